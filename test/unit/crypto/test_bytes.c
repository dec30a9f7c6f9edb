#include <criterion/criterion.h>

#include "crypto/bytes.h"

Test(bytes, hex_round_trip_of_every_byte)
{
    uint8_t in[256], out[256];
    char text[2 * sizeof(in) + 1];
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)i;
    hex_encode(in, sizeof(in), text);
    cr_assert_eq(strncmp(text, "000102030405060708090a0b0c0d0e0f10", 34), 0);
    cr_assert(hex_decode_exact(text, out, sizeof(out)));
    cr_assert_arr_eq(in, out, sizeof(in));
}

Test(bytes, hex_takes_prefix_and_either_case)
{
    uint8_t out[2];
    cr_assert(hex_decode_exact("0xAbCd", out, 2));
    cr_assert_arr_eq(out, ((uint8_t[]){0xab, 0xcd}), 2);
    cr_assert(hex_decode_exact("0XaBcD", out, 2));
    cr_assert(hex_decode_exact("abcd", out, 2));
}

Test(bytes, hex_refuses_every_other_character)
{
    uint8_t out[1];
    for (int c = 1; c < 256; c++) {
        const char high[] = {(char)c, '0', '\0'}, low[] = {'0', (char)c, '\0'};
        const bool digit = strchr("0123456789abcdefABCDEF", c) != NULL;
        cr_assert_eq(hex_decode_exact(high, out, 1), digit, "character %d", c);
        cr_assert_eq(hex_decode_exact(low, out, 1), digit, "character %d", c);
    }
}

Test(bytes, hex_refuses_other_lengths)
{
    uint8_t out[4];
    size_t len;
    cr_assert_not(hex_decode_exact("abc", out, 1));
    cr_assert_not(hex_decode_exact("abcd", out, 1));
    cr_assert_not(hex_decode_exact("", out, 1));
    cr_assert_not(hex_decode("0xabcdefabcd", out, sizeof(out), &len));
    cr_assert(hex_decode("0xabcdef", out, sizeof(out), &len));
    cr_assert_eq(len, 3);
    cr_assert(hex_decode("0x", out, sizeof(out), &len));
    cr_assert_eq(len, 0);
}

Test(bytes, integers_are_big_endian)
{
    uint8_t out[8];
    be64_write(out, 0x0102030405060708);
    cr_assert_arr_eq(out, ((uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8}), 8);
    cr_assert_eq(be64_read(out), 0x0102030405060708);
    cr_assert_eq(be32_read(out + 2), 0x03040506);
    cr_assert_eq(be16_read(out + 6), 0x0708);
}

Test(bytes, values_print_with_prefix)
{
    char text[BYTES32_HEX_SIZE];
    const struct address address = {{0xde, 0xad}};
    const struct bytes32 value = {{0x01}};
    cr_assert_str_eq(address_hex(&address, text), "0xdead000000000000000000000000000000000000");
    cr_assert_str_eq(bytes32_hex(&value, text),
                     "0x0100000000000000000000000000000000000000000000000000000000000000");
    cr_assert_not(bytes32_is_zero(&value));
    cr_assert(bytes32_is_zero(&(struct bytes32){0}));
    cr_assert_not(address_is_zero(&address));
    cr_assert(address_is_zero(&(struct address){0}));
}
