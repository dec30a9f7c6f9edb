/* Replies of the kernel's generic netlink: family, device, ack. What a device reply says must survive being
 * written as a request and read again. */
#include <stdlib.h>

#include "netlink/wg_genl.h"

#define REQUEST_SIZE 65536

static void check_round_trip(const struct wg_device_observed *device)
{
    static _Alignas(8) uint8_t request[REQUEST_SIZE];
    const struct wg_genl_expect own = {.sequence = 1, .portid = 0, .family = 0x20};
    for (size_t i = 0; i < device->peers_len; i++) {
        struct wg_device_observed again = {0};
        const struct wg_peer *peer = &device->peers[i].config;
        unsigned fields = WG_PEER_PREFIXES | WG_PEER_KEEPALIVE;
        if (peer->endpoint.family != AF_UNSPEC)
            fields |= WG_PEER_ENDPOINT;
        const struct wg_edit edit = {.kind = WG_EDIT_SET_PEER, .peer = peer, .peer_fields = fields};
        size_t len;
        if (wg_genl_build_set(request, sizeof(request), 0x20, 1, "wg0", &edit, 1, &len) != 1 ||
            wg_genl_parse_device(request, len, &own, &again, NULL) != WG_GENL_MORE || again.peers_len != 1 ||
            memcmp(&again.peers[0].config, peer, sizeof(*peer)) != 0)
            abort();
        wg_device_clear(&again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct wg_genl_expect expect = {.sequence = 7, .portid = 9, .family = 0x20};
    struct wg_device_observed device = {0};
    struct am_err err = {0};
    uint16_t family;
    /* The parsers read aligned buffers, as the kernel fills them. */
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    if (len)
        memcpy(copy, data, len);
    wg_genl_parse_family(copy, len, &expect, &family, &err);
    wg_genl_parse_ack(copy, len, &expect, &err);
    wg_genl_ends(copy, len, &expect);
    if (wg_genl_parse_device(copy, len, &expect, &device, &err) >= 0)
        check_round_trip(&device);
    wg_device_clear(&device);
    free(copy);
    return 0;
}
