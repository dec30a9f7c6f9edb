/* A sealed box as the chain carries it, to a fixed key; and the same bytes as a plaintext, sealed. */
#include <stdlib.h>
#include <string.h>

#include "agent/message/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_plaintext(const struct secret *secret, const struct bytes32 *x_pubkey, const uint8_t *data,
                            size_t len)
{
    static uint8_t sealed[ENVELOPE_CIPHERTEXT_MAX];
    static struct envelope envelope;
    if (len == 0 || len > ENVELOPE_CIPHERTEXT_MAX - BOX_SEAL_OVERHEAD)
        return;
    if (box_seal(x_pubkey, data, len, sealed))
        abort();
    const int code = envelope_open(secret, sealed, len + BOX_SEAL_OVERHEAD, &envelope, NULL);
    if ((code == 0) != (data[0] <= ENVELOPE_PROTOCOL))
        abort();
    if (code == 0 && (envelope.len != len - 1 || memcmp(envelope.payload, data + 1, len - 1) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct secret *secret;
    static struct bytes32 x_pubkey;
    static struct envelope envelope;
    if (!secret) {
        if (secret_init() || !(secret = secret_new()))
            abort();
        memset(secret->b, 5, sizeof(secret->b));
        if (box_pubkey_of_secret(secret, &x_pubkey))
            abort();
    }
    (void)envelope_open(secret, data, len, &envelope, NULL);
    check_plaintext(secret, &x_pubkey, data, len);
    return 0;
}
