/* Heartbeats from the network: parsed or refused with a sentence, never believed without a signature. */
#include <stdlib.h>

#include "agent/peer/heartbeat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct bytes32 pubkey = {{0xd7, 0x5a, 0x98, 0x01}};
    static const struct address cluster = {{1}};
    struct heartbeat heartbeat;
    struct am_err err = {0};
    if (heartbeat_parse(data, len, &heartbeat, &err) != 0) {
        if (!err.text[0])
            abort();
        return 0;
    }
    if (heartbeat.view_len > sizeof(heartbeat.view) ||
        heartbeat_check(&heartbeat, data, len, &cluster, &heartbeat.member_id, &pubkey, &err) == 0)
        abort();
    return 0;
}
