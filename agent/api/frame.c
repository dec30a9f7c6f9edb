#include "agent/api/frame.h"

#include "crypto/am_error.h"

int frame_parse(const uint8_t *in, size_t in_len, size_t max, struct frame *out)
{
    uint64_t length = 0;
    size_t prefix = 0;
    do {
        if (prefix == FRAME_PREFIX_MAX)
            return AM_EFORMAT;
        if (prefix == in_len)
            return 0;
        length |= (uint64_t)(in[prefix] & 0x7f) << 7 * prefix;
        if (length > max)
            return AM_EFORMAT;
    } while (in[prefix++] & 0x80);

    if (in_len - prefix < length)
        return 0;
    *out =
        (struct frame){.message = in + prefix, .message_len = (size_t)length, .len = prefix + (size_t)length};
    return 1;
}
