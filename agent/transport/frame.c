#include "agent/transport/frame.h"

#include <errno.h>
#include <stdlib.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void frame_reader_reset(struct frame_reader *reader)
{
    free(reader->partial);
    reader->partial = NULL;
    reader->have = 0;
    reader->header_have = 0;
    reader->delivered = false;
}

/* Moves bytes of an interrupted payload to `partial`; true when it is complete. */
static bool frame_reader_collect(struct frame_reader *reader, size_t want, const uint8_t **data, size_t *len)
{
    const size_t taken = min_size(want - reader->have, *len);
    memcpy(reader->partial + reader->have, *data, taken);
    reader->have += taken;
    *data += taken;
    *len -= taken;
    return reader->have == want;
}

int frame_reader_next(struct frame_reader *reader, const uint8_t **data, size_t *len, const uint8_t **payload,
                      size_t *payload_len)
{
    if (reader->delivered)
        frame_reader_reset(reader);
    for (; reader->header_have < FRAME_HEADER_SIZE && *len; (*data)++, (*len)--)
        reader->header[reader->header_have++] = **data;
    if (reader->header_have < FRAME_HEADER_SIZE)
        return 0;

    const size_t want = be16_read(reader->header);
    if (want > reader->limit)
        return AM_EFORMAT;
    *payload_len = want;
    if (!reader->partial && *len >= want) {
        *payload = *data;
        *data += want;
        *len -= want;
        reader->header_have = 0;
        return 1;
    }
    if (*len == 0)
        return 0;
    if (!reader->partial && !(reader->partial = malloc(want)))
        return -ENOMEM;
    if (!frame_reader_collect(reader, want, data, len))
        return 0;
    *payload = reader->partial;
    reader->delivered = true;
    return 1;
}

void frame_reader_clear(struct frame_reader *reader)
{
    frame_reader_reset(reader);
}

bool frame_is_wireguard(const uint8_t *payload, size_t len)
{
    if (len < 4 || payload[1] || payload[2] || payload[3])
        return false;
    switch (payload[0]) {
    case 1: /* handshake initiation */ return len == 148;
    case 2: /* handshake response */ return len == 92;
    case 3: /* cookie reply */ return len == 64;
    case 4: /* transport data */ return len >= 32 && len <= FRAME_PAYLOAD_MAX;
    default: return false;
    }
}

bool frame_is_urgent(const uint8_t *payload, size_t len)
{
    return payload[0] != 4 || len == 32;
}
