#include <criterion/criterion.h>

#include "crypto/box.h"

static struct secret *secret_of_hex(const char *hex)
{
    cr_assert_eq(secret_init(), 0);
    struct secret *secret = secret_new();
    cr_assert(secret && hex_decode_exact(hex, secret->b, sizeof(secret->b)));
    return secret;
}

/* RFC 7748 section 6.1, Alice. */
static struct secret *alice_secret(void)
{
    return secret_of_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
}

Test(box, pubkey_matches_rfc_7748)
{
    SECRET_AUTO alice = alice_secret();
    struct bytes32 pubkey, expected;
    cr_assert(hex_decode_exact("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", expected.b,
                               sizeof(expected.b)));
    cr_assert_eq(box_pubkey_of_secret(alice, &pubkey), 0);
    cr_assert(bytes32_equal(&pubkey, &expected));
}

Test(box, sealed_box_opens)
{
    static const uint8_t message[] = "endpoint";
    uint8_t sealed[sizeof(message) + BOX_SEAL_OVERHEAD], opened[sizeof(message)];
    SECRET_AUTO alice = alice_secret();
    struct bytes32 pubkey;
    cr_assert_eq(box_pubkey_of_secret(alice, &pubkey), 0);
    cr_assert_eq(box_seal(&pubkey, message, sizeof(message), sealed), 0);
    cr_assert_eq(box_open(alice, sealed, sizeof(sealed), opened), 0);
    cr_assert_arr_eq(opened, message, sizeof(message));
}

Test(box, every_changed_byte_is_noticed)
{
    static const uint8_t message[] = "endpoint";
    uint8_t sealed[sizeof(message) + BOX_SEAL_OVERHEAD], opened[sizeof(message)];
    SECRET_AUTO alice = alice_secret();
    struct bytes32 pubkey;
    cr_assert_eq(box_pubkey_of_secret(alice, &pubkey), 0);
    cr_assert_eq(box_seal(&pubkey, message, sizeof(message), sealed), 0);
    for (size_t i = 0; i < sizeof(sealed); i++) {
        sealed[i] ^= 1;
        cr_assert_eq(box_open(alice, sealed, sizeof(sealed), opened), AM_EAUTH, "byte %zu", i);
        sealed[i] ^= 1;
    }
}

Test(box, another_key_does_not_open)
{
    uint8_t sealed[1 + BOX_SEAL_OVERHEAD], opened[1];
    SECRET_AUTO alice = alice_secret();
    SECRET_AUTO other = secret_of_hex("0101010101010101010101010101010101010101010101010101010101010101");
    struct bytes32 pubkey;
    cr_assert_eq(box_pubkey_of_secret(alice, &pubkey), 0);
    cr_assert_eq(box_seal(&pubkey, (const uint8_t *)"x", 1, sealed), 0);
    cr_assert_eq(box_open(other, sealed, sizeof(sealed), opened), AM_EAUTH);
}

Test(box, a_short_box_is_malformed)
{
    uint8_t sealed[BOX_SEAL_OVERHEAD] = {0}, opened[1];
    SECRET_AUTO alice = alice_secret();
    for (size_t len = 0; len < BOX_SEAL_OVERHEAD; len++)
        cr_assert_eq(box_open(alice, sealed, len, opened), AM_EFORMAT);
}

Test(box, a_zero_recipient_is_refused)
{
    const struct bytes32 zero = {0};
    uint8_t sealed[1 + BOX_SEAL_OVERHEAD];
    cr_assert_eq(secret_init(), 0);
    cr_assert_neq(box_seal(&zero, (const uint8_t *)"x", 1, sealed), 0);
}
