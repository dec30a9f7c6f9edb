#include "agent/utf8.h"

#include <criterion/criterion.h>

Test(utf8, sequences_are_recognised)
{
    cr_assert_eq(utf8_sequence_len("a"), 1);
    cr_assert_eq(utf8_sequence_len("\xc3\xa9"), 2);
    cr_assert_eq(utf8_sequence_len("\xe2\x82\xac"), 3);
    cr_assert_eq(utf8_sequence_len("\xf0\x9f\x99\x82"), 4);
}

Test(utf8, what_rfc_3629_forbids_is_none)
{
    static const char *const broken[] = {
        "\x80",
        "\xc3",
        "\xc3(",
        "\xc0\x80",
        "\xe0\x80\x80",
        "\xed\xa0\x80",
        "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        cr_assert_eq(utf8_sequence_len(broken[i]), 0, "case %zu", i);
}

Test(utf8, text_cut_within_a_sequence_is_made_valid)
{
    char text[] = "a\xe2\x82\xac b\xe2\x82";
    utf8_make_valid(text);
    cr_assert_str_eq(text, "a\xe2\x82\xac b??");
}

Test(utf8, bytes_are_valid_as_a_whole_or_not)
{
    cr_assert(utf8_is_valid((const uint8_t *)"", 0));
    cr_assert(utf8_is_valid((const uint8_t *)"a\0\xc3\xa4", 4));
    cr_assert_not(utf8_is_valid((const uint8_t *)"a\xc3\xa4", 2), "cut in the middle");
    cr_assert_not(utf8_is_valid((const uint8_t *)"\xff", 1));
}
