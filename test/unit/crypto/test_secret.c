#include <criterion/criterion.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "crypto/secret.h"

Test(secret, init_forbids_core_dumps)
{
    struct rlimit limit;
    cr_assert_eq(secret_init(), 0);
    cr_assert_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
    cr_assert_eq(getrlimit(RLIMIT_CORE, &limit), 0);
    cr_assert_eq(limit.rlim_cur, 0);
    cr_assert_eq(secret_init(), 0);
}

Test(secret, new_memory_is_zero_and_writable)
{
    static const uint8_t zero[SECRET_SIZE];
    cr_assert_eq(secret_init(), 0);
    SECRET_AUTO secret = secret_new();
    cr_assert(secret);
    cr_assert_arr_eq(secret->b, zero, sizeof(zero));
    memset(secret->b, 0xff, sizeof(secret->b));
    char *buffer = secret_buffer_new(1000);
    cr_assert(buffer);
    memset(buffer, 'x', 1000);
    secret_buffer_free(buffer);
}

Test(secret, free_takes_null)
{
    secret_free(NULL);
    secret_buffer_free(NULL);
}

Test(secret, an_impossible_size_is_refused)
{
    cr_assert_eq(secret_init(), 0);
    cr_assert_null(secret_buffer_new(SIZE_MAX - 64));
}

Test(secret, wipe_clears)
{
    char text[] = "key";
    secret_wipe(text, sizeof(text));
    cr_assert_arr_eq(text, "\0\0\0\0", sizeof(text));
}
