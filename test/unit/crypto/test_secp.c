#include <criterion/criterion.h>
#include <errno.h>

#include "crypto/keccak.h"
#include "crypto/secp.h"
#include "test/unit/vectors.h"

static struct secret *derived_key(void)
{
    cr_assert_eq(secret_init(), 0);
    struct secret *key = secret_new();
    cr_assert(key);
    vector_bytes(vectors_section("registration"), "derivedPrivateKey", key->b, sizeof(key->b));
    return key;
}

Test(secp, pubkey_and_address_of_the_vector_key)
{
    json_object *vector = vectors_section("registration");
    SECRET_AUTO key = derived_key();
    const struct address owner = vector_address(vector, "owner");
    struct secp_pubkey expected, pubkey;
    struct address address;
    vector_bytes(vector, "derivedCompressedPubkey", expected.b, sizeof(expected.b));
    cr_assert_eq(secp_pubkey_of_secret(key, &pubkey), 0);
    cr_assert_arr_eq(pubkey.b, expected.b, sizeof(pubkey.b));
    cr_assert_eq(secp_address_of_pubkey(&pubkey, &address), 0);
    cr_assert(address_equal(&address, &owner));
}

Test(secp, signature_matches_the_vector_byte_for_byte)
{
    json_object *vector = vectors_section("userOp");
    SECRET_AUTO key = derived_key();
    const struct bytes32 hash = vector_bytes32(vector, "userOpHash"), digest = secp_personal_digest(&hash);
    struct secp_signature expected, signature;
    vector_bytes(vector, "signature", expected.b, sizeof(expected.b));
    cr_assert_eq(secp_sign_digest(key, &digest, &signature), 0);
    cr_assert_arr_eq(signature.b, expected.b, sizeof(signature.b));
}

Test(secp, recover_takes_both_recovery_id_styles)
{
    json_object *vector = vectors_section("registration");
    const struct bytes32 hash = vector_bytes32(vector, "bindHash"), digest = secp_personal_digest(&hash);
    const struct address owner = vector_address(vector, "owner");
    struct secp_signature signature;
    struct address recovered;
    vector_bytes(vector, "messageSignature", signature.b, sizeof(signature.b));
    cr_assert_lt(signature.b[64], 2);
    cr_assert_eq(secp_recover_address(&digest, &signature, &recovered), 0);
    cr_assert(address_equal(&recovered, &owner));
    signature.b[64] = (uint8_t)(signature.b[64] + 27);
    cr_assert_eq(secp_recover_address(&digest, &signature, &recovered), 0);
    cr_assert(address_equal(&recovered, &owner));
}

/* The KMS root signs keccak("dstack-kms-issued" ‖ ":" ‖ appId ‖ appCompressedPubkey). */
Test(secp, recover_finds_the_kms_root_of_the_vector)
{
    json_object *vector = vectors_section("registration");
    const struct address app_id = vector_address(vector, "memberContract");
    const struct address root = vector_address(vector, "kmsRoot");
    struct secp_pubkey app_key;
    struct secp_signature signature;
    struct bytes32 digest;
    struct address recovered;
    struct keccak k;
    vector_bytes(vector, "appCompressedPubkey", app_key.b, sizeof(app_key.b));
    vector_bytes(vector, "kmsSignature", signature.b, sizeof(signature.b));
    keccak_init(&k);
    keccak_update(&k, "dstack-kms-issued:", 18);
    keccak_update(&k, app_id.b, sizeof(app_id.b));
    keccak_update(&k, app_key.b, sizeof(app_key.b));
    keccak_final(&k, &digest);
    cr_assert_eq(secp_recover_address(&digest, &signature, &recovered), 0);
    cr_assert(address_equal(&recovered, &root));
}

Test(secp, recover_refuses_other_recovery_ids)
{
    const struct bytes32 digest = keccak256("x", 1);
    SECRET_AUTO key = derived_key();
    struct secp_signature signature;
    struct secp_pubkey pubkey;
    cr_assert_eq(secp_sign_digest(key, &digest, &signature), 0);
    for (int v = 0; v < 256; v++) {
        const bool known = v < 2 || v == 27 || v == 28;
        signature.b[64] = (uint8_t)v;
        const int code = secp_recover_pubkey(&digest, &signature, &pubkey);
        cr_assert(known || code == AM_EAUTH, "v %d", v);
    }
}

/* n - s with the other parity is the same signature to ECDSA, and exactly what must not be accepted twice. */
Test(secp, recover_refuses_high_s)
{
    static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
                                      0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};
    const struct bytes32 digest = keccak256("x", 1);
    SECRET_AUTO key = derived_key();
    struct secp_signature signature;
    struct secp_pubkey pubkey;
    cr_assert_eq(secp_sign_digest(key, &digest, &signature), 0);
    int borrow = 0;
    for (int i = 31; i >= 0; i--) {
        const int difference = order[i] - signature.b[32 + i] - borrow;
        borrow = difference < 0;
        signature.b[32 + i] = (uint8_t)difference;
    }
    signature.b[64] = (uint8_t)(27 + (28 - signature.b[64]));
    cr_assert_eq(secp_recover_pubkey(&digest, &signature, &pubkey), AM_EAUTH);
}

Test(secp, recover_refuses_zero_and_overflowing_scalars)
{
    const struct bytes32 digest = keccak256("x", 1);
    struct secp_signature signature = {{0}};
    struct secp_pubkey pubkey;
    cr_assert_eq(secp_recover_pubkey(&digest, &signature, &pubkey), AM_EAUTH);
    memset(signature.b, 0xff, 64);
    cr_assert_eq(secp_recover_pubkey(&digest, &signature, &pubkey), AM_EAUTH);
}

Test(secp, keys_out_of_range_are_refused)
{
    const struct bytes32 digest = {{1}};
    cr_assert_eq(secret_init(), 0);
    SECRET_AUTO key = secret_new();
    struct secp_signature signature;
    struct secp_pubkey pubkey;
    cr_assert_eq(secp_pubkey_of_secret(key, &pubkey), -EINVAL);
    cr_assert_eq(secp_sign_digest(key, &digest, &signature), -EINVAL);
    memset(key->b, 0xff, sizeof(key->b));
    cr_assert_eq(secp_pubkey_of_secret(key, &pubkey), -EINVAL);
    cr_assert_eq(secp_sign_digest(key, &digest, &signature), -EINVAL);
}

Test(secp, a_point_off_the_curve_has_no_address)
{
    struct secp_pubkey pubkey = {{0x02, [32] = 5}};
    struct address address;
    cr_assert_eq(secp_address_of_pubkey(&pubkey, &address), AM_EFORMAT);
    pubkey.b[0] = 0x04;
    cr_assert_eq(secp_address_of_pubkey(&pubkey, &address), AM_EFORMAT);
}
