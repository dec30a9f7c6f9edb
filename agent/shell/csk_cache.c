#include "agent/shell/csk_cache.h"

#include <sodium.h>

#define VERSION 1
#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE crypto_aead_xchacha20poly1305_ietf_ABYTES
#define LABEL_SIZE (1 + 20 + 32 + 8 + 32)

_Static_assert(CSK_CACHE_SIZE == 1 + NONCE_SIZE + SECRET_SIZE + TAG_SIZE, "the header says so");
_Static_assert(SECRET_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the wrap key is a key");

static void write_label(const struct csk_cache_label *label, uint8_t out[LABEL_SIZE])
{
    out[0] = VERSION;
    memcpy(out + 1, label->cluster.b, 20);
    memcpy(out + 21, label->member_id.b, 32);
    be64_write(out + 53, label->generation);
    memcpy(out + 61, label->commitment.b, 32);
}

void csk_cache_build(const struct secret *wrap, const struct csk_cache_label *label, const struct secret *csk,
                     uint8_t out[CSK_CACHE_SIZE])
{
    uint8_t bound[LABEL_SIZE];
    write_label(label, bound);
    out[0] = VERSION;
    randombytes_buf(out + 1, NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + 1 + NONCE_SIZE, NULL, csk->b, SECRET_SIZE, bound,
                                               sizeof(bound), NULL, out + 1, wrap->b);
}

int csk_cache_parse(const struct secret *wrap, const struct csk_cache_label *label, const uint8_t *data,
                    size_t len, struct secret *out)
{
    uint8_t bound[LABEL_SIZE];
    if (len != CSK_CACHE_SIZE || data[0] != VERSION)
        return AM_EFORMAT;
    write_label(label, bound);
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out->b, NULL, NULL, data + 1 + NONCE_SIZE,
                                                      SECRET_SIZE + TAG_SIZE, bound, sizeof(bound), data + 1,
                                                      wrap->b) == 0
               ? 0
               : AM_EAUTH;
}
