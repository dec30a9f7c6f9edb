#include "crypto/sign.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

_Static_assert(SIGN_SIGNATURE_SIZE == crypto_sign_BYTES, "Ed25519 signature size");

/* Ed25519 hashes the message twice, so the parts have to stand in one piece. The caller frees it. */
static uint8_t *parts_join(const struct sign_part *parts, size_t parts_len, size_t *len)
{
    size_t total = 0, offset = 0;
    for (size_t i = 0; i < parts_len; i++) {
        if (__builtin_add_overflow(total, parts[i].len, &total))
            return NULL;
    }
    uint8_t *joined = malloc(total ? total : 1);
    if (!joined)
        return NULL;
    for (size_t i = 0; i < parts_len; i++) {
        if (parts[i].len)
            memcpy(joined + offset, parts[i].data, parts[i].len);
        offset += parts[i].len;
    }
    *len = total;
    return joined;
}

int sign_pubkey_of_seed(const struct secret *seed, struct bytes32 *out)
{
    uint8_t *key = secret_buffer_new(crypto_sign_SECRETKEYBYTES);
    if (!key)
        return -ENOMEM;
    crypto_sign_seed_keypair(out->b, key, seed->b);
    secret_buffer_free(key);
    return 0;
}

int sign_parts(const struct secret *seed, const struct sign_part *parts, size_t parts_len,
               uint8_t signature[SIGN_SIGNATURE_SIZE])
{
    struct bytes32 pubkey;
    size_t len;
    uint8_t *key = secret_buffer_new(crypto_sign_SECRETKEYBYTES);
    uint8_t *message = parts_join(parts, parts_len, &len);
    int code = -ENOMEM;
    if (key && message) {
        crypto_sign_seed_keypair(pubkey.b, key, seed->b);
        crypto_sign_detached(signature, NULL, message, len, key);
        code = 0;
    }
    free(message);
    secret_buffer_free(key);
    return code;
}

int sign_verify_parts(const struct bytes32 *pubkey, const struct sign_part *parts, size_t parts_len,
                      const uint8_t signature[SIGN_SIGNATURE_SIZE])
{
    size_t len;
    uint8_t *message = parts_join(parts, parts_len, &len);
    if (!message)
        return -ENOMEM;
    const int bad = crypto_sign_verify_detached(signature, message, len, pubkey->b);
    free(message);
    return bad ? AM_EAUTH : 0;
}
