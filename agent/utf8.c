#include "agent/utf8.h"

#include <string.h>

size_t utf8_sequence_len(const char *text)
{
    const uint8_t *in = (const uint8_t *)text;
    const size_t len = in[0] < 0x80                     ? 1
                       : in[0] >= 0xc2 && in[0] <= 0xdf ? 2
                       : in[0] >= 0xe0 && in[0] <= 0xef ? 3
                       : in[0] >= 0xf0 && in[0] <= 0xf4 ? 4
                                                        : 0;
    for (size_t i = 1; i < len; i++) {
        if ((in[i] & 0xc0) != 0x80)
            return 0;
    }
    const bool overlong = (in[0] == 0xe0 && in[1] < 0xa0) || (in[0] == 0xf0 && in[1] < 0x90);
    const bool beyond = (in[0] == 0xed && in[1] > 0x9f) || (in[0] == 0xf4 && in[1] > 0x8f);
    return overlong || beyond ? 0 : len;
}

void utf8_make_valid(char *text)
{
    while (*text) {
        const size_t len = utf8_sequence_len(text);
        if (len == 0)
            *text = '?';
        text += len ? len : 1;
    }
}

bool utf8_is_valid(const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        char next[5] = "";
        memcpy(next, bytes, len < 4 ? len : 4);
        const size_t step = utf8_sequence_len(next);
        if (step == 0)
            return false;
        bytes += step;
        len -= step;
    }
    return true;
}
