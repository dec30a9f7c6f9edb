/* The events of our contracts (PROTOCOL section 2), decoded from a log's topics and data. Pure. */
#ifndef EVM_CLUSTER_EVENT_H
#define EVM_CLUSTER_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "evm/cluster.h"

#define CLUSTER_CIPHERTEXT_MAX 8192

enum cluster_event_type {
    CLUSTER_EVENT_OTHER, /* not one of those below: nothing else is set */
    CLUSTER_EVENT_MEMBER_REGISTERED,
    CLUSTER_EVENT_MEMBER_REMOVED,
    CLUSTER_EVENT_WG_KEY_PUBLISHED,
    CLUSTER_EVENT_ED25519_KEY_PUBLISHED,
    CLUSTER_EVENT_CSK_COMMITMENT_SET,
    CLUSTER_EVENT_CSK_ROTATION_STARTED,
    CLUSTER_EVENT_MESSAGE_SENT
};

struct cluster_event {
    enum cluster_event_type type;
    union {
        struct {
            struct bytes32 member_id;
            struct address member_contract;
            struct bytes32 attestor_id;
            struct cluster_keys keys;
        } registered;
        struct bytes32 removed; /* the member id */
        struct {
            struct bytes32 member_id;
            struct bytes32 key;
        } key_published; /* either kind */
        struct {
            uint64_t generation;
            struct bytes32 commitment; /* zero in CSK_ROTATION_STARTED */
        } csk;
        struct {
            struct bytes32 sender, recipient, envelope_id;
            const uint8_t *ciphertext; /* inside `data` */
            size_t ciphertext_len;
        } message;
    };
};

/* Returns 0, also for events that are none of ours (CLUSTER_EVENT_OTHER), or AM_EFORMAT when a log claims to
 * be one of ours and has not its shape. */
int cluster_event_parse(const struct bytes32 *topics, size_t topics_len, const uint8_t *data, size_t data_len,
                        struct cluster_event *out, struct am_err *err);

#endif
