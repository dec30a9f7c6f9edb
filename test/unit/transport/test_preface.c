#include <criterion/criterion.h>
#include <string.h>

#include "agent/transport/preface.h"

static const uint8_t exporter[PREFACE_EXPORTER_SIZE] = {1, 2, 3};
static const struct address cluster = {{0xc1}};
static const struct bytes32 alice = {{0xa1}};
static const struct bytes32 bob = {{0xb0}};

struct fixture {
    struct secret *seed;
    struct bytes32 pubkey;
    struct preface preface;
    uint8_t wire[PREFACE_SIZE_MAX];
    size_t len;
};

/* A good preface of alice for bob, as parsed from the wire. */
static struct fixture fixture_new(void)
{
    struct fixture f = {.preface = {.cluster = cluster, .from = alice, .to = bob, .unix_ms = 1700000000000}};
    cr_assert_eq(secret_init(), 0);
    f.seed = secret_new();
    memset(f.seed->b, 9, SECRET_SIZE);
    sign_pubkey_of_seed(f.seed, &f.pubkey);
    cr_assert_eq(preface_build(&f.preface, f.seed, exporter, f.wire, &f.len), 0);
    memset(&f.preface, 0, sizeof(f.preface));
    struct am_err err = {0};
    cr_assert_eq(preface_parse(f.wire, f.len, &f.preface, &err), 0, "%s", err.text);
    return f;
}

static int check(const struct fixture *f, struct am_err *err)
{
    return preface_check(&f->preface, &cluster, &alice, &bob, &f->pubkey, exporter, err);
}

Test(preface, good_one_is_believed)
{
    struct fixture f = fixture_new();
    struct am_err err = {0};
    cr_assert_eq(f.preface.unix_ms, 1700000000000);
    cr_assert_eq(check(&f, &err), 0, "%s", err.text);
    secret_free(f.seed);
}

Test(preface, signature_covers_what_the_protocol_says)
{
    struct fixture f = fixture_new();
    const struct sign_part parts[] = {
        {"attestmesh.stream.v1", 20}, {exporter, 32}, {cluster.b, 20}, {alice.b, 32}, {bob.b, 32}};
    cr_assert_eq(sign_verify_parts(&f.pubkey, parts, 5, f.preface.signature), 0);
    secret_free(f.seed);
}

Test(preface, replay_on_another_session_is_refused)
{
    struct fixture f = fixture_new();
    const uint8_t other_exporter[PREFACE_EXPORTER_SIZE] = {1, 2, 4};
    struct am_err err = {0};
    cr_assert_eq(preface_check(&f.preface, &cluster, &alice, &bob, &f.pubkey, other_exporter, &err),
                 AM_EAUTH);
    cr_assert(strstr(err.text, "signature"));
    secret_free(f.seed);
}

Test(preface, each_wrong_field_is_refused_by_name)
{
    struct fixture f = fixture_new();
    struct fixture g = f;
    struct am_err err = {0};
    g.preface.cluster.b[19] ^= 1;
    cr_assert_eq(check(&g, &err), AM_EMISMATCH);
    cr_assert(strstr(err.text, "cluster"));
    g = f;
    g.preface.from.b[31] ^= 1;
    cr_assert_eq(check(&g, &err), AM_EMISMATCH);
    cr_assert(strstr(err.text, "comes from"));
    g = f;
    g.preface.to = alice;
    cr_assert_eq(check(&g, &err), AM_EMISMATCH);
    cr_assert(strstr(err.text, "meant for"));
    g = f;
    g.preface.signature[0] ^= 1;
    cr_assert_eq(check(&g, &err), AM_EAUTH);
    g = f;
    g.pubkey.b[5] ^= 1;
    cr_assert_eq(check(&g, &err), AM_EAUTH);
    secret_free(f.seed);
}

Test(preface, signed_fields_can_not_be_changed_with_the_expectation)
{
    struct fixture f = fixture_new();
    struct am_err err = {0};
    const struct address other_cluster = {{0xc2}};
    const struct bytes32 mallory = {{0x3a}};
    struct preface changed = f.preface;
    changed.cluster = other_cluster;
    cr_assert_eq(preface_check(&changed, &other_cluster, &alice, &bob, &f.pubkey, exporter, &err), AM_EAUTH);
    changed = f.preface;
    changed.from = mallory;
    cr_assert_eq(preface_check(&changed, &cluster, &mallory, &bob, &f.pubkey, exporter, &err), AM_EAUTH);
    changed = f.preface;
    changed.to = mallory;
    cr_assert_eq(preface_check(&changed, &cluster, &alice, &mallory, &f.pubkey, exporter, &err), AM_EAUTH);
    secret_free(f.seed);
}

Test(preface, every_prefix_is_refused)
{
    struct fixture f = fixture_new();
    for (size_t len = 0; len < f.len; len++) {
        struct preface parsed = {0};
        struct am_err err = {0};
        if (preface_parse(f.wire, len, &parsed, &err) == 0)
            cr_assert_lt(preface_check(&parsed, &cluster, &alice, &bob, &f.pubkey, exporter, &err), 0);
        cr_assert_neq(err.text[0], '\0');
    }
    secret_free(f.seed);
}

Test(preface, fields_of_another_length_are_refused)
{
    const uint8_t short_cluster[] = {0x08, 0x01, 0x12, 0x02, 0xaa, 0xbb};
    struct preface parsed;
    struct am_err err = {0};
    cr_assert_eq(preface_parse(short_cluster, sizeof(short_cluster), &parsed, &err), AM_EFORMAT);
    cr_assert(strstr(err.text, "malformed"), "%s", err.text);
}

Test(preface, another_version_is_refused_by_number)
{
    const uint8_t version_2[] = {0x08, 0x02};
    struct preface parsed;
    struct am_err err = {0};
    cr_assert_eq(preface_parse(version_2, sizeof(version_2), &parsed, &err), AM_EFORMAT);
    cr_assert(strstr(err.text, "version 2"), "%s", err.text);
}
