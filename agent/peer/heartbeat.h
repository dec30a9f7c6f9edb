/* Heartbeats as they travel (PROTOCOL section 7; peer.proto). Pure. */
#ifndef AGENT_PEER_HEARTBEAT_H
#define AGENT_PEER_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secret.h"

#define HEARTBEAT_SIZE_MAX 1232
#define HEARTBEAT_VIEW_MAX 1072 /* bytes: 8,576 members */

struct heartbeat {
    struct bytes32 member_id; /* of the sender */
    uint64_t boot_nonce;
    uint64_t sequence;
    uint64_t unix_ms;
    uint64_t registry_version;
    bool csk_held;
    uint64_t csk_generation;
    size_t view_len;
    uint8_t view[HEARTBEAT_VIEW_MAX]; /* bit i & 7 of byte i >> 3 is the registry index i */
};

/* Encodes and signs. `view_len` is at most HEARTBEAT_VIEW_MAX. Returns 0, -EINVAL or -ENOMEM. */
int heartbeat_build(const struct heartbeat *heartbeat, const struct address *cluster,
                    const struct secret *seed, uint8_t out[HEARTBEAT_SIZE_MAX], size_t *len);

/* Decodes; says nothing about truth. Returns 0, or AM_EFORMAT. */
int heartbeat_parse(const uint8_t *data, size_t len, struct heartbeat *out, struct am_err *err);

/* Whether the datagram that was parsed into `heartbeat` is of `member_id` and signed for the cluster with
 * `pubkey`, the key that this member has in the registry. Returns 0, AM_EMISMATCH, AM_EAUTH or -ENOMEM. */
int heartbeat_check(const struct heartbeat *heartbeat, const uint8_t *data, size_t len,
                    const struct address *cluster, const struct bytes32 *member_id,
                    const struct bytes32 *pubkey, struct am_err *err);

#endif
