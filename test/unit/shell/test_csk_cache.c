#include "agent/shell/csk_cache.h"

#include <criterion/criterion.h>

static struct secret *wrap, *csk, *out;
static struct csk_cache_label label;
static uint8_t data[CSK_CACHE_SIZE];

static void start(void)
{
    cr_assert_eq(secret_init(), 0);
    wrap = secret_new();
    csk = secret_new();
    out = secret_new();
    wrap->b[0] = 1;
    csk->b[0] = 2;
    label = (struct csk_cache_label){.generation = 3, .commitment = {{4}}};
    csk_cache_build(wrap, &label, csk, data);
}

static void stop(void)
{
    secret_free(wrap);
    secret_free(csk);
    secret_free(out);
}

TestSuite(csk_cache, .init = start, .fini = stop);

Test(csk_cache, gives_back_what_was_put_in)
{
    cr_assert_eq(csk_cache_parse(wrap, &label, data, sizeof(data), out), 0);
    cr_assert_eq(memcmp(out->b, csk->b, sizeof(out->b)), 0);
}

Test(csk_cache, never_writes_the_same_bytes_twice)
{
    uint8_t again[CSK_CACHE_SIZE];

    csk_cache_build(wrap, &label, csk, again);
    cr_assert_neq(memcmp(again, data, sizeof(data)), 0);
}

Test(csk_cache, is_bound_to_cluster_member_generation_and_commitment)
{
    struct csk_cache_label others[] = {label, label, label, label};

    others[0].cluster.b[0]++;
    others[1].member_id.b[0]++;
    others[2].generation++;
    others[3].commitment.b[0]++;
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(csk_cache_parse(wrap, &others[i], data, sizeof(data), out), AM_EAUTH);
    wrap->b[0]++;
    cr_assert_eq(csk_cache_parse(wrap, &label, data, sizeof(data), out), AM_EAUTH);
}

Test(csk_cache, refuses_every_changed_byte_and_every_other_length)
{
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] ^= 1;
        cr_assert_neq(csk_cache_parse(wrap, &label, data, sizeof(data), out), 0);
        data[i] ^= 1;
        cr_assert_eq(csk_cache_parse(wrap, &label, data, i, out), AM_EFORMAT);
    }
}
