#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "crypto/am_error.h"

Test(am_error, fail_sets_code_and_text)
{
    struct am_err err;
    cr_assert_eq(am_fail(&err, AM_EFORMAT, "field %s is missing", "key"), AM_EFORMAT);
    cr_assert_eq(err.code, AM_EFORMAT);
    cr_assert_str_eq(err.text, "field key is missing");
}

Test(am_error, fail_replaces_control_characters)
{
    struct am_err err;
    am_fail(&err, AM_EREMOTE, "a\nb\x1b[31m\x7f");
    cr_assert_str_eq(err.text, "a?b?[31m?");
}

Test(am_error, fail_cuts_a_long_text)
{
    struct am_err err;
    char longer[2 * AM_ERR_TEXT_MAX];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    am_fail(&err, -EINVAL, "%s", longer);
    cr_assert_eq(strlen(err.text), AM_ERR_TEXT_MAX - 1);
    am_fail_context(&err, "%s", longer);
    cr_assert_eq(strlen(err.text), AM_ERR_TEXT_MAX - 1);
}

Test(am_error, context_stands_in_front)
{
    struct am_err err;
    am_fail(&err, -ENOENT, "no such file");
    cr_assert_eq(am_fail_context(&err, "peer %d", 7), -ENOENT);
    cr_assert_str_eq(err.text, "peer 7: no such file");
}

Test(am_error, null_is_allowed)
{
    cr_assert_eq(am_fail(NULL, -EIO, "x"), -EIO);
    cr_assert_eq(am_fail_context(NULL, "x"), 0);
}

Test(am_error, names_cover_both_kinds)
{
    cr_assert_str_eq(am_error_name(0), "success");
    cr_assert_str_eq(am_error_name(AM_EFORMAT), "malformed data");
    cr_assert_str_eq(am_error_name(AM_EMISMATCH), "contradicting data");
    cr_assert_str_eq(am_error_name(-ENOENT), strerror(ENOENT));
}
