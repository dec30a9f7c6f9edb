#include "crypto/bytes.h"

bool bytes32_is_zero(const struct bytes32 *value)
{
    static const struct bytes32 zero;
    return bytes32_equal(value, &zero);
}

bool address_is_zero(const struct address *value)
{
    static const struct address zero;
    return address_equal(value, &zero);
}

/* All ones when low <= c <= high, else zero; no branch, because hex text may be a key. */
static uint32_t range_mask(uint32_t c, uint32_t low, uint32_t high)
{
    return 0u - (((low - 1 - c) & (c - high - 1)) >> 31);
}

static char hex_digit(uint32_t nibble)
{
    const uint32_t is_letter = range_mask(nibble, 10, 15);
    return (char)(nibble + '0' + (is_letter & ('a' - '0' - 10)));
}

/* The value of a digit; clears `*valid` for any other character. */
static uint32_t hex_value(char digit, uint32_t *valid)
{
    const uint32_t c = (unsigned char)digit, lower = c | 0x20;
    const uint32_t is_digit = range_mask(c, '0', '9'), is_letter = range_mask(lower, 'a', 'f');
    *valid &= is_digit | is_letter;
    return (is_digit & (c - '0')) | (is_letter & (lower - 'a' + 10));
}

static const char *skip_prefix(const char *text)
{
    return text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? text + 2 : text;
}

static bool decode_digits(const char *digits, uint8_t *out, size_t len)
{
    uint32_t valid = ~0u;
    for (size_t i = 0; i < len; i++) {
        const uint32_t high = hex_value(digits[2 * i], &valid);
        const uint32_t low = hex_value(digits[2 * i + 1], &valid);
        out[i] = (uint8_t)(high << 4 | low);
    }
    return valid != 0;
}

void hex_encode(const uint8_t *in, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        *out++ = hex_digit(in[i] >> 4);
        *out++ = hex_digit(in[i] & 15);
    }
    *out = '\0';
}

bool hex_decode_exact(const char *text, uint8_t *out, size_t len)
{
    const char *digits = skip_prefix(text);
    const size_t digits_len = strlen(digits);
    return digits_len % 2 == 0 && digits_len / 2 == len && decode_digits(digits, out, len);
}

bool hex_decode(const char *text, uint8_t *out, size_t capacity, size_t *len)
{
    const char *digits = skip_prefix(text);
    const size_t digits_len = strlen(digits);
    if (digits_len % 2 || digits_len / 2 > capacity)
        return false;
    *len = digits_len / 2;
    return decode_digits(digits, out, *len);
}

static const char *hex_with_prefix(const uint8_t *in, size_t len, char *out)
{
    out[0] = '0';
    out[1] = 'x';
    hex_encode(in, len, out + 2);
    return out;
}

const char *bytes32_hex(const struct bytes32 *value, char out[BYTES32_HEX_SIZE])
{
    return hex_with_prefix(value->b, sizeof(value->b), out);
}

const char *address_hex(const struct address *value, char out[ADDRESS_HEX_SIZE])
{
    return hex_with_prefix(value->b, sizeof(value->b), out);
}
