/* Notifications of rtnetlink. */
#include <stdlib.h>

#include "netlink/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct link_interest interest = {.ifname = "attestmesh0",
                                           .ifindex = 2,
                                           .portid = 9,
                                           .mtu = 1420,
                                           .addresses = {wg_prefix_v4(0x0a0d0001, 32)},
                                           .addresses_len = 1};
    /* The parser reads an aligned buffer of exactly this size. */
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    if (len)
        memcpy(copy, data, len);
    link_news(copy, len, &interest);
    free(copy);
    return 0;
}
