#include "agent/peer/heartbeat.h"

#include <criterion/criterion.h>

#include "crypto/sign.h"

static const struct address cluster = {{0xcc}};
static struct secret *seed;
static struct bytes32 pubkey;
static struct heartbeat beat, parsed;
static uint8_t data[HEARTBEAT_SIZE_MAX];
static size_t len;
static struct am_err err;

static void start(void)
{
    cr_assert_eq(secret_init(), 0);
    seed = secret_new();
    seed->b[5] = 9;
    cr_assert_eq(sign_pubkey_of_seed(seed, &pubkey), 0);
    beat = (struct heartbeat){.member_id = {{1, 2}},
                              .boot_nonce = UINT64_MAX,
                              .sequence = 7,
                              .unix_ms = 1700000000000,
                              .registry_version = 12,
                              .csk_held = true,
                              .csk_generation = 3,
                              .view_len = 2,
                              .view = {0x81, 0x01}};
    cr_assert_eq(heartbeat_build(&beat, &cluster, seed, data, &len), 0);
}

static void stop(void)
{
    secret_free(seed);
}

TestSuite(heartbeat, .init = start, .fini = stop);

static int check(void)
{
    return heartbeat_check(&parsed, data, len, &cluster, &beat.member_id, &pubkey, &err);
}

Test(heartbeat, arrives_as_it_was_sent)
{
    cr_assert_eq(heartbeat_parse(data, len, &parsed, &err), 0);
    cr_assert_eq(memcmp(&parsed, &beat, offsetof(struct heartbeat, view) + beat.view_len), 0);
    cr_assert_eq(check(), 0);
}

Test(heartbeat, largest_fits_a_datagram_and_a_larger_view_is_refused)
{
    beat.sequence = beat.unix_ms = beat.registry_version = beat.csk_generation = UINT64_MAX;
    beat.view_len = HEARTBEAT_VIEW_MAX;
    cr_assert_eq(heartbeat_build(&beat, &cluster, seed, data, &len), 0);
    cr_assert_leq(len, HEARTBEAT_SIZE_MAX);
    beat.view_len++;
    cr_assert_neq(heartbeat_build(&beat, &cluster, seed, data, &len), 0);
}

Test(heartbeat, every_changed_bit_is_noticed)
{
    for (size_t i = 0; i < len * 8; i++) {
        data[i / 8] ^= (uint8_t)(1 << i % 8);
        cr_assert(heartbeat_parse(data, len, &parsed, &err) != 0 || check() != 0, "bit %zu", i);
        data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

Test(heartbeat, another_cluster_member_or_key_is_refused)
{
    const struct address other_cluster = {{0xdd}};
    const struct bytes32 other = {{9}};

    cr_assert_eq(heartbeat_parse(data, len, &parsed, &err), 0);
    cr_assert_eq(heartbeat_check(&parsed, data, len, &other_cluster, &beat.member_id, &pubkey, &err),
                 AM_EAUTH);
    cr_assert_eq(heartbeat_check(&parsed, data, len, &cluster, &other, &pubkey, &err), AM_EMISMATCH);
    cr_assert_eq(heartbeat_check(&parsed, data, len, &cluster, &beat.member_id, &other, &err), AM_EAUTH);
}

Test(heartbeat, a_datagram_of_no_such_length_is_refused)
{
    cr_assert_eq(heartbeat_parse(data, SIGN_SIGNATURE_SIZE, &parsed, &err), AM_EFORMAT);
    cr_assert_eq(heartbeat_parse(data, HEARTBEAT_SIZE_MAX + 1, &parsed, &err), AM_EFORMAT);
}
