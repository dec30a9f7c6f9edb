/* Answers of the dstack guest agent (PROTOCOL section 3). Pure. */
#ifndef AGENT_ATTEST_GUEST_ANSWER_H
#define AGENT_ATTEST_GUEST_ANSWER_H

#include <stddef.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secp.h"
#include "crypto/secret.h"

/* GetKey: the key, and who vouches for it. */
struct guest_key {
    struct secret *key;
    struct secp_signature app_signature;
    struct secp_signature kms_signature;
};

/* /Info; what the agent may leave out is zero then. */
struct guest_info {
    struct address app_id;
    struct address instance_id;  /* 20 bytes, not an EVM address */
    struct bytes32 device_id;    /* optional */
    struct bytes32 compose_hash; /* optional */
};

/* Reads the answer of GetKey, `body` being in locked memory. A general JSON parser would leave copies of the
 * key in ordinary memory, so this one reads in place: the only copy is the new secret in `out`, which passes
 * to the caller. Returns 0, AM_EFORMAT with a sentence that names the field and shows no value, or -ENOMEM.
 */
int guest_answer_parse_key(const char *body, size_t len, struct guest_key *out, struct am_err *err);

/* Reads the answer of /GetQuote; `quote` is for the caller to free. Returns 0, AM_EFORMAT or -ENOMEM. */
#define GUEST_QUOTE_MAX 65536
int guest_answer_parse_quote(const char *body, size_t len, uint8_t **quote, size_t *quote_len,
                             struct am_err *err);

/* Reads the answer of /Info, which holds nothing secret. Returns 0 or AM_EFORMAT. */
int guest_answer_parse_info(const char *body, size_t len, struct guest_info *out, struct am_err *err);

#endif
