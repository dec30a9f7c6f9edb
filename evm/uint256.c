#include "evm/uint256.h"

#include <stdio.h>
#include <string.h>

#define QUANTITY_DIGITS_MAX 64

struct uint256 uint256_of_u64(uint64_t value)
{
    struct uint256 out = {0};
    be64_write(out.b + 24, value);
    return out;
}

struct uint256 uint256_of_u128(unsigned __int128 value)
{
    struct uint256 out = {0};
    be64_write(out.b + 16, (uint64_t)(value >> 64));
    be64_write(out.b + 24, (uint64_t)value);
    return out;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    static const uint8_t zero[32];
    return memcmp(bytes, zero, len) == 0;
}

bool uint256_to_u64(const struct uint256 *value, uint64_t *out)
{
    if (!is_zero(value->b, 24))
        return false;
    *out = be64_read(value->b + 24);
    return true;
}

bool uint256_to_u128(const struct uint256 *value, unsigned __int128 *out)
{
    if (!is_zero(value->b, 16))
        return false;
    *out = (unsigned __int128)be64_read(value->b + 16) << 64 | be64_read(value->b + 24);
    return true;
}

int uint256_compare(const struct uint256 *a, const struct uint256 *b)
{
    return memcmp(a->b, b->b, sizeof(a->b));
}

bool uint256_add(const struct uint256 *a, const struct uint256 *b, struct uint256 *out)
{
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        const unsigned sum = (unsigned)a->b[i] + b->b[i] + carry;
        out->b[i] = (uint8_t)sum;
        carry = sum >> 8;
    }
    return carry == 0;
}

bool uint256_multiply(const struct uint256 *value, uint32_t factor, struct uint256 *out)
{
    uint64_t carry = 0;
    for (int i = 31; i >= 0; i--) {
        const uint64_t product = (uint64_t)value->b[i] * factor + carry;
        out->b[i] = (uint8_t)product;
        carry = product >> 8;
    }
    return carry == 0;
}

bool uint256_parse_quantity(const char *text, struct uint256 *out)
{
    char padded[QUANTITY_DIGITS_MAX + 1];
    if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
        return false;
    const char *digits = text + 2;
    const size_t len = strlen(digits);
    if (len == 0 || len > QUANTITY_DIGITS_MAX)
        return false;
    memset(padded, '0', QUANTITY_DIGITS_MAX - len);
    memcpy(padded + QUANTITY_DIGITS_MAX - len, digits, len + 1);
    struct uint256 parsed;
    if (!hex_decode_exact(padded, parsed.b, sizeof(parsed.b)))
        return false;
    *out = parsed;
    return true;
}

const char *uint256_print_quantity(const struct uint256 *value, char out[UINT256_HEX_SIZE])
{
    char digits[QUANTITY_DIGITS_MAX + 1];
    hex_encode(value->b, sizeof(value->b), digits);
    size_t zeros = strspn(digits, "0");
    if (zeros == QUANTITY_DIGITS_MAX)
        zeros--;
    out[0] = '0';
    out[1] = 'x';
    memcpy(out + 2, digits + zeros, QUANTITY_DIGITS_MAX - zeros + 1);
    return out;
}

bool quantity_parse_u64(const char *text, uint64_t *out)
{
    struct uint256 value;
    return uint256_parse_quantity(text, &value) && uint256_to_u64(&value, out);
}

const char *uint256_print_decimal(const struct uint256 *value, char *out, size_t size)
{
    char digits[79];
    size_t at = sizeof(digits) - 1;
    struct uint256 rest = *value;
    digits[at] = '\0';
    do {
        unsigned remainder = 0;
        for (size_t i = 0; i < sizeof(rest.b); i++) {
            remainder = remainder << 8 | rest.b[i];
            rest.b[i] = (uint8_t)(remainder / 10);
            remainder %= 10;
        }
        digits[--at] = (char)('0' + remainder);
    } while (uint256_compare(&rest, &(struct uint256){0}) > 0);
    snprintf(out, size, "%s", digits + at);
    return out;
}
