#include "agent/message/envelope.h"

#include <errno.h>
#include <string.h>

#include "crypto/keccak.h"

#define APPLICATION_ID_ZEROS 8

int envelope_seal(const struct bytes32 *x_pubkey, enum envelope_kind kind, const uint8_t *payload, size_t len,
                  uint8_t out[ENVELOPE_CIPHERTEXT_MAX], size_t *out_len)
{
    uint8_t plaintext[1 + ENVELOPE_PAYLOAD_MAX];

    if (len > ENVELOPE_PAYLOAD_MAX)
        return -EINVAL;
    plaintext[0] = (uint8_t)kind;
    if (len > 0)
        memcpy(plaintext + 1, payload, len);
    const int code = box_seal(x_pubkey, plaintext, 1 + len, out);
    secret_wipe(plaintext, sizeof(plaintext));
    *out_len = 1 + len + BOX_SEAL_OVERHEAD;
    return code;
}

static int take_plaintext(const uint8_t *plaintext, size_t len, struct envelope *out, struct am_err *err)
{
    if (plaintext[0] != ENVELOPE_APPLICATION && plaintext[0] != ENVELOPE_PROTOCOL)
        return am_fail(err, AM_EFORMAT, "the envelope is of the unknown kind 0x%02x", plaintext[0]);
    out->kind = (enum envelope_kind)plaintext[0];
    out->len = len - 1;
    memcpy(out->payload, plaintext + 1, out->len);
    return 0;
}

int envelope_open(const struct secret *secret, const uint8_t *sealed, size_t len, struct envelope *out,
                  struct am_err *err)
{
    uint8_t plaintext[1 + ENVELOPE_PAYLOAD_MAX];

    if (len <= BOX_SEAL_OVERHEAD || len > ENVELOPE_CIPHERTEXT_MAX)
        return am_fail(err, AM_EFORMAT, "an envelope of %zu bytes", len);
    if (box_open(secret, sealed, len, plaintext))
        return am_fail(err, AM_EAUTH, "the envelope was not sealed to this node's key");
    const int code = take_plaintext(plaintext, len - BOX_SEAL_OVERHEAD, out, err);
    secret_wipe(plaintext, sizeof(plaintext));
    return code;
}

struct bytes32 envelope_application_id(const uint8_t *key, size_t len)
{
    static const char domain[] = "attestmesh.application.v1";
    struct keccak k;
    struct bytes32 id;

    keccak_init(&k);
    keccak_update(&k, domain, sizeof(domain) - 1);
    keccak_update(&k, key, len);
    keccak_final(&k, &id);
    memset(id.b, 0, APPLICATION_ID_ZEROS);
    return id;
}

bool envelope_id_is_application(const struct bytes32 *id)
{
    static const uint8_t zeros[APPLICATION_ID_ZEROS];

    return memcmp(id->b, zeros, sizeof(zeros)) == 0;
}
