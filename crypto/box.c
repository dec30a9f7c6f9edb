#include "crypto/box.h"

#include <errno.h>
#include <sodium.h>

_Static_assert(BOX_SEAL_OVERHEAD == crypto_box_SEALBYTES, "sealed box overhead");

int box_pubkey_of_secret(const struct secret *secret, struct bytes32 *out)
{
    return crypto_scalarmult_base(out->b, secret->b) ? -EINVAL : 0;
}

int box_seal(const struct bytes32 *recipient, const uint8_t *plaintext, size_t len, uint8_t *out)
{
    return crypto_box_seal(out, plaintext, len, recipient->b) ? -EINVAL : 0;
}

int box_open(const struct secret *secret, const uint8_t *sealed, size_t len, uint8_t *out)
{
    struct bytes32 own;
    if (len < BOX_SEAL_OVERHEAD)
        return AM_EFORMAT;
    if (box_pubkey_of_secret(secret, &own) || crypto_box_seal_open(out, sealed, len, own.b, secret->b))
        return AM_EAUTH;
    return 0;
}
