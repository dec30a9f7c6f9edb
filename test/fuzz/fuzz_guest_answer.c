/* Both answers of the guest agent. A key that is accepted came from 64 digits of the input: they are in
 * there. */
#include <stdlib.h>
#include <string.h>

#include "agent/attest/guest_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool holds_digits_of(const uint8_t *data, size_t len, const struct secret *key)
{
    uint8_t found[SECRET_SIZE];
    for (size_t at = 0; at + 2 * SECRET_SIZE <= len; at++) {
        char digits[2 * SECRET_SIZE + 1] = {0};
        memcpy(digits, data + at, 2 * SECRET_SIZE);
        if (hex_decode_exact(digits, found, sizeof(found)) && memcmp(found, key->b, sizeof(found)) == 0)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static bool started;
    struct guest_key key;
    struct guest_info info;
    struct am_err err = {0};
    if (!started && secret_init())
        abort();
    started = true;
    if (guest_answer_parse_key((const char *)data, len, &key, &err) == 0) {
        if (!holds_digits_of(data, len, key.key))
            abort();
        secret_free(key.key);
    } else if (key.key || !err.text[0]) {
        abort();
    }
    if (guest_answer_parse_info((const char *)data, len, &info, &err) == 0 && len < 40)
        abort();
    return 0;
}
