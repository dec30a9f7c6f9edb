/* What a stranger sends to the indexer. */
#include "agent/api/frame.h"
#include "indexer/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t exporter[WIRE_EXPORTER_SIZE];
    static const struct bytes32 key;
    struct wire_client_frame client;
    struct frame frame;
    struct am_err err;
    while (frame_parse(data, len, WIRE_HELLO_MAX, &frame) == 1) {
        if (wire_parse_client(frame.message, frame.message_len, &client, &err) == 0 && client.is_hello)
            wire_verify_hello(&client.hello, &key, exporter, &err);
        data += frame.len;
        len -= frame.len;
    }
    return 0;
}
