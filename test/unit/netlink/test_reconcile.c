#include "netlink/reconcile.h"

#include <criterion/criterion.h>

Test(netlink_reconcile, backend_names)
{
    enum wg_backend_kind kind;
    cr_assert(wg_backend_parse("kernel", &kind) && kind == WG_BACKEND_KERNEL);
    cr_assert(wg_backend_parse("userspace", &kind) && kind == WG_BACKEND_USERSPACE);
    cr_assert(wg_backend_parse("auto", &kind) && kind == WG_BACKEND_AUTO);
    cr_assert_not(wg_backend_parse("Kernel", &kind));
    cr_assert_not(wg_backend_parse("", &kind));
    cr_assert_str_eq(wg_backend_name(WG_BACKEND_USERSPACE), "userspace");
}

Test(netlink_reconcile, bad_interface_name_is_the_operators_to_fix)
{
    struct am_err err = {0};
    cr_assert_null(reconciler_new(WG_BACKEND_AUTO, "../etc", &err));
    cr_assert_eq(err.code, AM_ECONFIG);
    cr_assert_not_null(strstr(err.text, "../etc"));
}

Test(netlink_reconcile, nothing_to_free)
{
    reconciler_free(NULL);
}
