/* The preface: the first frame each way of a stream, by which each side proves that it is the member it
 * claims to be, on this very TLS session (PROTOCOL section 6; stream.proto).
 *
 * Pure. The signature covers the session's exporter, so a preface is worth nothing on another session and the
 * gateway can not stand between the two members.
 */
#ifndef AGENT_TRANSPORT_PREFACE_H
#define AGENT_TRANSPORT_PREFACE_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

#define PREFACE_VERSION 1
#define PREFACE_SIZE_MAX 256 /* ours has less; longer ones are refused before they are read */
#define PREFACE_EXPORTER_SIZE 32
#define PREFACE_EXPORTER_LABEL "EXPORTER-attestmesh"

struct preface {
    struct address cluster;
    struct bytes32 from; /* member ids */
    struct bytes32 to;
    uint64_t unix_ms; /* for the reader of a trace; not signed, not judged */
    uint8_t signature[SIGN_SIGNATURE_SIZE];
};

/* Signs `preface` (cluster, from and to are set) for the session and encodes it. Returns 0 or -ENOMEM. */
int preface_build(struct preface *preface, const struct secret *seed,
                  const uint8_t exporter[PREFACE_EXPORTER_SIZE], uint8_t out[PREFACE_SIZE_MAX], size_t *len);

/* Decodes; says nothing about truth. Returns 0, or AM_EFORMAT: not a preface, or one of another version. */
int preface_parse(const uint8_t *data, size_t len, struct preface *out, struct am_err *err);

/* Whether a parsed preface is meant for `cluster` and `to`, comes from `from`, and is signed with `pubkey`
 * (the key that `from` has in the registry) for the session. Returns 0, AM_EMISMATCH, AM_EAUTH or -ENOMEM. */
int preface_check(const struct preface *preface, const struct address *cluster, const struct bytes32 *from,
                  const struct bytes32 *to, const struct bytes32 *pubkey,
                  const uint8_t exporter[PREFACE_EXPORTER_SIZE], struct am_err *err);

#endif
