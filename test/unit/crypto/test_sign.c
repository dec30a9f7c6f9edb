#include <criterion/criterion.h>

#include "crypto/sign.h"

/* RFC 8032 section 7.1, test 3: two bytes of message. */
static const char seed_hex[] = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
static const char pubkey_hex[] = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
static const char signature_hex[] = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                                    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
static const uint8_t message[] = {0xaf, 0x82};

static struct secret *seed_of_vector(void)
{
    cr_assert_eq(secret_init(), 0);
    struct secret *seed = secret_new();
    cr_assert(seed && hex_decode_exact(seed_hex, seed->b, sizeof(seed->b)));
    return seed;
}

Test(sign, matches_rfc_8032_in_any_division)
{
    const struct sign_part divisions[][3] = {
        {{message, 2}, {NULL, 0}, {NULL, 0}},
        {{message, 1}, {message + 1, 1}, {NULL, 0}},
        {{NULL, 0}, {message, 2}, {message, 0}},
    };
    SECRET_AUTO seed = seed_of_vector();
    uint8_t expected[SIGN_SIGNATURE_SIZE], signature[SIGN_SIGNATURE_SIZE];
    struct bytes32 pubkey, expected_pubkey;
    cr_assert(hex_decode_exact(signature_hex, expected, sizeof(expected)));
    cr_assert(hex_decode_exact(pubkey_hex, expected_pubkey.b, sizeof(expected_pubkey.b)));
    cr_assert_eq(sign_pubkey_of_seed(seed, &pubkey), 0);
    cr_assert(bytes32_equal(&pubkey, &expected_pubkey));
    for (size_t i = 0; i < sizeof(divisions) / sizeof(divisions[0]); i++) {
        cr_assert_eq(sign_parts(seed, divisions[i], 3, signature), 0);
        cr_assert_arr_eq(signature, expected, sizeof(expected));
        cr_assert_eq(sign_verify_parts(&pubkey, divisions[i], 3, signature), 0);
    }
}

Test(sign, a_changed_message_signature_or_key_is_noticed)
{
    const struct sign_part part = {message, sizeof(message)}, shorter = {message, 1};
    SECRET_AUTO seed = seed_of_vector();
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    struct bytes32 pubkey;
    cr_assert_eq(sign_pubkey_of_seed(seed, &pubkey), 0);
    cr_assert_eq(sign_parts(seed, &part, 1, signature), 0);
    cr_assert_eq(sign_verify_parts(&pubkey, &shorter, 1, signature), AM_EAUTH);
    cr_assert_eq(sign_verify_parts(&pubkey, NULL, 0, signature), AM_EAUTH);
    for (size_t i = 0; i < sizeof(signature); i++) {
        signature[i] ^= 0x10;
        cr_assert_eq(sign_verify_parts(&pubkey, &part, 1, signature), AM_EAUTH, "byte %zu", i);
        signature[i] ^= 0x10;
    }
    pubkey.b[0] ^= 1;
    cr_assert_eq(sign_verify_parts(&pubkey, &part, 1, signature), AM_EAUTH);
}

Test(sign, a_zero_key_verifies_nothing)
{
    const struct sign_part part = {message, sizeof(message)};
    const struct bytes32 zero = {0};
    const uint8_t signature[SIGN_SIGNATURE_SIZE] = {0};
    cr_assert_eq(secret_init(), 0);
    cr_assert_eq(sign_verify_parts(&zero, &part, 1, signature), AM_EAUTH);
}

Test(sign, a_length_that_overflows_is_refused)
{
    const struct sign_part parts[] = {{message, SIZE_MAX}, {message, 2}};
    SECRET_AUTO seed = seed_of_vector();
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    cr_assert_neq(sign_parts(seed, parts, 2, signature), 0);
}
