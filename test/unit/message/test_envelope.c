#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "agent/message/envelope.h"

static struct secret *secret;
static struct bytes32 x_pubkey;
static uint8_t sealed[ENVELOPE_CIPHERTEXT_MAX];
static struct envelope opened;
static struct am_err err;

static void start(void)
{
    cr_assert_eq(secret_init(), 0);
    secret = secret_new();
    memset(secret->b, 7, sizeof(secret->b));
    cr_assert_eq(box_pubkey_of_secret(secret, &x_pubkey), 0);
}

static void stop(void)
{
    secret_free(secret);
}

TestSuite(envelope, .init = start, .fini = stop);

Test(envelope, what_is_sealed_opens_whatever_its_length)
{
    static uint8_t payload[ENVELOPE_PAYLOAD_MAX + 1];
    const size_t lengths[] = {0, 1, 1000, ENVELOPE_PAYLOAD_MAX};

    memset(payload, 0xab, sizeof(payload));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t len;
        cr_assert_eq(envelope_seal(&x_pubkey, ENVELOPE_APPLICATION, payload, lengths[i], sealed, &len), 0);
        cr_assert_eq(envelope_open(secret, sealed, len, &opened, &err), 0);
        cr_assert_eq(opened.kind, ENVELOPE_APPLICATION);
        cr_assert_eq(opened.len, lengths[i]);
        cr_assert_eq(memcmp(opened.payload, payload, opened.len), 0);
    }
}

Test(envelope, the_longest_payload_makes_the_longest_ciphertext)
{
    static uint8_t payload[ENVELOPE_PAYLOAD_MAX + 1];
    size_t len;

    cr_assert_eq(envelope_seal(&x_pubkey, ENVELOPE_PROTOCOL, payload, ENVELOPE_PAYLOAD_MAX, sealed, &len), 0);
    cr_assert_eq(len, ENVELOPE_CIPHERTEXT_MAX);
    cr_assert_eq(envelope_seal(&x_pubkey, ENVELOPE_PROTOCOL, payload, sizeof(payload), sealed, &len),
                 -EINVAL);
}

Test(envelope, one_that_was_changed_is_refused)
{
    size_t len;

    cr_assert_eq(envelope_seal(&x_pubkey, ENVELOPE_APPLICATION, (const uint8_t *)"hello", 5, sealed, &len),
                 0);
    sealed[len - 1] ^= 1;
    cr_assert_eq(envelope_open(secret, sealed, len, &opened, &err), AM_EAUTH);
    cr_assert_eq(envelope_open(secret, sealed, BOX_SEAL_OVERHEAD, &opened, &err), AM_EFORMAT);
}

Test(envelope, one_of_an_unknown_kind_is_refused_by_its_number)
{
    const uint8_t plaintext[] = {0x7f, 1, 2};

    cr_assert_eq(box_seal(&x_pubkey, plaintext, sizeof(plaintext), sealed), 0);
    cr_assert_eq(envelope_open(secret, sealed, sizeof(plaintext) + BOX_SEAL_OVERHEAD, &opened, &err),
                 AM_EFORMAT);
    cr_assert_not_null(strstr(err.text, "0x7f"));
}

Test(envelope, the_id_of_an_application_is_of_its_key_alone)
{
    const struct bytes32 id = envelope_application_id((const uint8_t *)"order 17", 8);
    const struct bytes32 again = envelope_application_id((const uint8_t *)"order 17", 8);
    const struct bytes32 other = envelope_application_id((const uint8_t *)"order 18", 8);
    const struct bytes32 protocol = {{1}};

    cr_assert(bytes32_equal(&id, &again));
    cr_assert_not(bytes32_equal(&id, &other));
    cr_assert(envelope_id_is_application(&id));
    cr_assert_not(envelope_id_is_application(&protocol));
}
