#include "agent/attest/kms_chain.h"

#include <string.h>

#include "crypto/keccak.h"

static struct bytes32 digest_of_derived(const char *purpose, const struct secp_pubkey *derived)
{
    char digits[2 * SECP_COMPRESSED_SIZE + 1];
    struct bytes32 digest;
    struct keccak k;
    hex_encode(derived->b, sizeof(derived->b), digits);
    keccak_init(&k);
    keccak_update(&k, purpose, strlen(purpose));
    keccak_update(&k, ":", 1);
    keccak_update(&k, digits, strlen(digits));
    keccak_final(&k, &digest);
    return digest;
}

static struct bytes32 digest_of_app(const struct address *app_id, const struct secp_pubkey *app)
{
    static const char prefix[] = "dstack-kms-issued:";
    struct bytes32 digest;
    struct keccak k;
    keccak_init(&k);
    keccak_update(&k, prefix, sizeof(prefix) - 1);
    keccak_update(&k, app_id->b, sizeof(app_id->b));
    keccak_update(&k, app->b, sizeof(app->b));
    keccak_final(&k, &digest);
    return digest;
}

int kms_chain_recover(const struct secret *key, const char *purpose, const struct address *app_id,
                      const struct secp_signature *app_signature, const struct secp_signature *kms_signature,
                      struct kms_chain *out, struct am_err *err)
{
    out->app_signature = *app_signature;
    out->kms_signature = *kms_signature;
    if (secp_pubkey_of_secret(key, &out->derived_pubkey))
        return am_fail(err, AM_EFORMAT, "field key is not a secp256k1 private key");
    const struct bytes32 derived_digest = digest_of_derived(purpose, &out->derived_pubkey);
    if (secp_recover_pubkey(&derived_digest, app_signature, &out->app_pubkey))
        return am_fail(err, AM_EAUTH, "field signature_chain[0] is not a signature");
    const struct bytes32 app_digest = digest_of_app(app_id, &out->app_pubkey);
    if (secp_recover_address(&app_digest, kms_signature, &out->kms_root))
        return am_fail(err, AM_EAUTH, "field signature_chain[1] is not a signature");
    return 0;
}

bool kms_chain_agrees(const struct kms_chain *a, const struct kms_chain *b)
{
    return memcmp(a->app_pubkey.b, b->app_pubkey.b, sizeof(a->app_pubkey.b)) == 0 &&
           address_equal(&a->kms_root, &b->kms_root);
}
