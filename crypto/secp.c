#include "crypto/secp.h"

#include <errno.h>
#include <pthread.h>
#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <sodium.h>

#include "crypto/keccak.h"

static secp256k1_context *context;

/* One context for the process, read-only once made; blinded against side channels in signing. */
static void context_create(void)
{
    uint8_t seed[32];
    context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    randombytes_buf(seed, sizeof(seed));
    const int blinded = secp256k1_context_randomize(context, seed);
    (void)blinded; /* the library promises 1 for a context made as above */
    secret_wipe(seed, sizeof(seed));
}

static const secp256k1_context *context_get(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, context_create);
    return context;
}

static void serialize_compressed(const secp256k1_pubkey *key, struct secp_pubkey *out)
{
    size_t len = sizeof(out->b);
    secp256k1_ec_pubkey_serialize(context_get(), out->b, &len, key, SECP256K1_EC_COMPRESSED);
}

static void address_of_point(const secp256k1_pubkey *key, struct address *out)
{
    uint8_t point[65];
    size_t len = sizeof(point);
    secp256k1_ec_pubkey_serialize(context_get(), point, &len, key, SECP256K1_EC_UNCOMPRESSED);
    const struct bytes32 hash = keccak256(point + 1, 64);
    memcpy(out->b, hash.b + 12, sizeof(out->b));
}

int secp_pubkey_of_secret(const struct secret *key, struct secp_pubkey *out)
{
    secp256k1_pubkey point;
    if (!secp256k1_ec_pubkey_create(context_get(), &point, key->b))
        return -EINVAL;
    serialize_compressed(&point, out);
    return 0;
}

int secp_address_of_pubkey(const struct secp_pubkey *pubkey, struct address *out)
{
    secp256k1_pubkey point;
    if (!secp256k1_ec_pubkey_parse(context_get(), &point, pubkey->b, sizeof(pubkey->b)))
        return AM_EFORMAT;
    address_of_point(&point, out);
    return 0;
}

int secp_sign_digest(const struct secret *key, const struct bytes32 *digest, struct secp_signature *out)
{
    secp256k1_ecdsa_recoverable_signature signature;
    int recovery_id;
    if (!secp256k1_ecdsa_sign_recoverable(context_get(), &signature, digest->b, key->b, NULL, NULL))
        return -EINVAL;
    secp256k1_ecdsa_recoverable_signature_serialize_compact(context_get(), out->b, &recovery_id, &signature);
    out->b[64] = (uint8_t)(27 + recovery_id);
    return 0;
}

static int recover_point(const struct bytes32 *digest, const struct secp_signature *signature,
                         secp256k1_pubkey *out)
{
    secp256k1_ecdsa_recoverable_signature recoverable;
    secp256k1_ecdsa_signature plain;
    const uint8_t v = signature->b[64];
    const int recovery_id = v >= 27 ? v - 27 : v;
    if (recovery_id > 1)
        return AM_EAUTH;
    if (!secp256k1_ecdsa_recoverable_signature_parse_compact(context_get(), &recoverable, signature->b,
                                                             recovery_id))
        return AM_EAUTH;
    secp256k1_ecdsa_recoverable_signature_convert(context_get(), &plain, &recoverable);
    const bool high_s = secp256k1_ecdsa_signature_normalize(context_get(), NULL, &plain);
    if (high_s || !secp256k1_ecdsa_recover(context_get(), out, &recoverable, digest->b))
        return AM_EAUTH;
    return 0;
}

int secp_recover_pubkey(const struct bytes32 *digest, const struct secp_signature *signature,
                        struct secp_pubkey *out)
{
    secp256k1_pubkey point;
    const int code = recover_point(digest, signature, &point);
    if (!code)
        serialize_compressed(&point, out);
    return code;
}

int secp_recover_address(const struct bytes32 *digest, const struct secp_signature *signature,
                         struct address *out)
{
    secp256k1_pubkey point;
    const int code = recover_point(digest, signature, &point);
    if (!code)
        address_of_point(&point, out);
    return code;
}

struct bytes32 secp_personal_digest(const struct bytes32 *hash)
{
    static const char prefix[] = "\x19"
                                 "Ethereum Signed Message:\n32";
    struct keccak k;
    struct bytes32 digest;
    keccak_init(&k);
    keccak_update(&k, prefix, sizeof(prefix) - 1);
    keccak_update(&k, hash->b, sizeof(hash->b));
    keccak_final(&k, &digest);
    return digest;
}
