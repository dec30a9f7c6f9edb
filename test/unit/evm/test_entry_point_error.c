#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "evm/bundler_error.h"
#include "evm/entry_point_error.h"

Test(entry_point_error, every_code_of_the_entry_point_is_explained_in_one_line)
{
    /* Those of EntryPoint.sol 0.7.0, and AA35 to AA51 of older ones. */
    static const int codes[] = {10, 13, 14, 15, 20, 21, 22, 23, 24, 25, 26, 30, 31, 32, 33,
                                34, 35, 36, 40, 41, 50, 51, 90, 91, 92, 93, 94, 95, 96};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        char text[32];
        snprintf(text, sizeof(text), "AA%d something", codes[i]);
        const char *explanation = entry_point_error_explain(text);
        cr_assert(explanation, "%s", text);
        cr_assert(strlen(explanation) > 20 && strlen(explanation) < 160, "%s", text);
        cr_assert_null(strpbrk(explanation, "\n"));
    }
    cr_assert_null(entry_point_error_explain("AA99 new"));
    cr_assert_null(entry_point_error_explain("reverted"));
}

Test(entry_point_error, a_code_is_found_where_bundlers_put_it)
{
    cr_assert_str_eq(entry_point_error_find("UserOperation reverted: AA21 didn't pay"), "AA21 didn't pay");
    cr_assert_str_eq(entry_point_error_find("AAAA25"), "AA25");
    cr_assert_null(entry_point_error_find("AA2 AAxx 0xAA21ff"));
    cr_assert_null(entry_point_error_find(NULL));
    cr_assert_null(entry_point_error_find(""));
}

Test(entry_point_error, the_paymasters_faults_are_told_from_the_others)
{
    const struct {
        int rpc_code;
        const char *message;
        bool paymasters;
    } cases[] = {
        {-32500, "AA33 reverted", true}, {-32500, "AA23 reverted", false},
        {-32501, "rejected", true},      {-32521, "execution reverted", false},
        {-32602, "AA31 deposit", true},  {-32602, "no such field", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct rpc_result result = {
            .code = AM_EREMOTE, .rpc_code = cases[i].rpc_code, .message = cases[i].message, .error = "x"};
        cr_assert_eq(bundler_error_blames_paymaster(&result), cases[i].paymasters, "%s", cases[i].message);
    }
}
