#include <criterion/criterion.h>

#include "evm/uint256.h"

Test(uint256, u64_and_u128_round_trip_with_range_check)
{
    struct uint256 value = uint256_of_u64(0x0102030405060708);
    uint64_t narrow = 0;
    unsigned __int128 wide;
    cr_assert(uint256_to_u64(&value, &narrow));
    cr_assert_eq(narrow, 0x0102030405060708);
    value = uint256_of_u128((unsigned __int128)5 << 64 | 6);
    cr_assert_not(uint256_to_u64(&value, &narrow));
    cr_assert_eq(narrow, 0x0102030405060708);
    cr_assert(uint256_to_u128(&value, &wide));
    cr_assert(wide == ((unsigned __int128)5 << 64 | 6));
    value.b[15] = 1;
    cr_assert_not(uint256_to_u128(&value, &wide));
}

Test(uint256, quantities_round_trip)
{
    const char *const quantities[] = {"0x0",
                                      "0x1",
                                      "0xf",
                                      "0x10",
                                      "0x77359400",
                                      "0xffffffffffffffff",
                                      "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    for (size_t i = 0; i < sizeof(quantities) / sizeof(quantities[0]); i++) {
        struct uint256 value;
        char text[UINT256_HEX_SIZE];
        cr_assert(uint256_parse_quantity(quantities[i], &value));
        cr_assert_str_eq(uint256_print_quantity(&value, text), quantities[i]);
    }
}

Test(uint256, padded_and_upper_case_quantities_are_understood)
{
    uint64_t value;
    cr_assert(quantity_parse_u64("0x000Fa0", &value));
    cr_assert_eq(value, 4000);
}

Test(uint256, other_texts_are_no_quantities)
{
    const char *const texts[] = {"",
                                 "0x",
                                 "12",
                                 "0xg",
                                 "0x 1",
                                 "-0x1",
                                 "0x1 ",
                                 "0x-1",
                                 "0x0x1",
                                 "0x00x1",
                                 "latest",
                                 "x1",
                                 "0x1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                                 "0x0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    struct uint256 value;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        cr_assert_not(uint256_parse_quantity(texts[i], &value), "'%s'", texts[i]);
    uint64_t narrow;
    cr_assert_not(quantity_parse_u64("0x10000000000000000", &narrow));
}

Test(uint256, addition_and_multiplication_carry_and_report_overflow)
{
    struct uint256 a = uint256_of_u64(UINT64_MAX), one = uint256_of_u64(1), out, most;
    unsigned __int128 wide;
    uint64_t narrow;
    cr_assert(uint256_add(&a, &one, &out));
    cr_assert(uint256_to_u128(&out, &wide) && wide == (unsigned __int128)1 << 64);
    cr_assert(uint256_multiply(&a, 9, &out));
    cr_assert(uint256_to_u128(&out, &wide) && wide == (unsigned __int128)UINT64_MAX * 9);
    memset(most.b, 0xff, sizeof(most.b));
    cr_assert_not(uint256_add(&most, &one, &out));
    cr_assert(uint256_to_u64(&out, &narrow) && narrow == 0);
    cr_assert_not(uint256_multiply(&most, 2, &out));
}

Test(uint256, decimal_text)
{
    char text[80], tiny[4];
    struct uint256 most;
    memset(most.b, 0xff, sizeof(most.b));
    const struct uint256 zero = uint256_of_u64(0), some = uint256_of_u64(12345678901234567890u);
    cr_assert_str_eq(uint256_print_decimal(&zero, text, sizeof(text)), "0");
    cr_assert_str_eq(uint256_print_decimal(&some, text, sizeof(text)), "12345678901234567890");
    cr_assert_str_eq(uint256_print_decimal(&most, text, sizeof(text)),
                     "115792089237316195423570985008687907853269984665640564039457584007913129639935");
    cr_assert_str_eq(uint256_print_decimal(&some, tiny, sizeof(tiny)), "123");
    cr_assert_lt(uint256_compare(&zero, &some), 0);
    cr_assert_eq(uint256_compare(&most, &most), 0);
}
