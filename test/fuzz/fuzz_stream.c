/* Frames of a stream: however the bytes are cut, the same frames must come out. The first byte is the size of
 * the pieces. */
#include <stdlib.h>

#include "agent/transport/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct outcome {
    int rc;
    uint64_t frames;
    uint64_t hash; /* of all payloads with their lengths, FNV-1a */
};

static void outcome_add(struct outcome *outcome, const uint8_t *payload, size_t len)
{
    outcome->frames++;
    outcome->hash = (outcome->hash ^ len) * 0x100000001b3u;
    for (size_t i = 0; i < len; i++)
        outcome->hash = (outcome->hash ^ payload[i]) * 0x100000001b3u;
    (void)frame_is_wireguard(payload, len);
}

static struct outcome read_in_pieces(const uint8_t *data, size_t len, size_t piece)
{
    struct frame_reader reader = {.limit = 4096};
    struct outcome outcome = {.hash = 0xcbf29ce484222325u};
    while (len && outcome.rc == 0) {
        size_t left = piece < len ? piece : len;
        data += left;
        len -= left;
        const uint8_t *at = data - left;
        const uint8_t *payload;
        size_t payload_len;
        while ((outcome.rc = frame_reader_next(&reader, &at, &left, &payload, &payload_len)) == 1)
            outcome_add(&outcome, payload, payload_len);
    }
    frame_reader_clear(&reader);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    const struct outcome whole = read_in_pieces(data + 1, len - 1, len);
    const struct outcome pieces = read_in_pieces(data + 1, len - 1, data[0] ? data[0] : 1);
    if (whole.rc != pieces.rc || whole.frames != pieces.frames || whole.hash != pieces.hash)
        abort();
    return 0;
}
