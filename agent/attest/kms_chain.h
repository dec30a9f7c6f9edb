/* The signature chain of dstack's KMS: root over the app's key, app's key over a derived key (PROTOCOL 2.5).
 * Pure. */
#ifndef AGENT_ATTEST_KMS_CHAIN_H
#define AGENT_ATTEST_KMS_CHAIN_H

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secp.h"
#include "crypto/secret.h"

struct kms_chain {
    struct secp_pubkey derived_pubkey;
    struct secp_pubkey app_pubkey;
    struct address kms_root;
    struct secp_signature app_signature;
    struct secp_signature kms_signature;
};

/* Recovers who vouches for `key`: the signer of its public key and `purpose`, and the signer of that app key
 * for `app_id`. Whether these are the right ones only shows against something else: another key of the same
 * app must give the same two, and the cluster must allow the root. Returns 0, AM_EFORMAT for a key outside
 * the curve's order, AM_EAUTH for a signature that nobody can have made. */
int kms_chain_recover(const struct secret *key, const char *purpose, const struct address *app_id,
                      const struct secp_signature *app_signature, const struct secp_signature *kms_signature,
                      struct kms_chain *out, struct am_err *err);

/* Whether two chains end in the same app key and the same root. */
bool kms_chain_agrees(const struct kms_chain *a, const struct kms_chain *b);

#endif
