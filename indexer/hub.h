/* The subscribers: a TLS listener, and for each connection a place in its cluster's log (PROTOCOL section
 * 12).
 *
 * A session reads the store from its cursor on; once it has read all, it is live and gets each new frame as
 * it is made. One whose queue is full goes back to reading the store, so nothing is ever left out, and one
 * that takes nothing for HUB_STALL_S is closed, to resume later. Connections that have not said Hello are few
 * and short-lived; when there are too many, the oldest gives way.
 */
#ifndef INDEXER_HUB_H
#define INDEXER_HUB_H

#include <openssl/ssl.h>

#include "crypto/secret.h"
#include "indexer/store.h"

#define HUB_CONNECTIONS_MAX 25000 /* or as many as files may be open, less those that others need */
#define HUB_FILES_RESERVED 64
#define HUB_STRANGERS_MAX 1024 /* connections without a Hello */
#define HUB_HELLO_S 10         /* to handshake and say Hello */
#define HUB_STALL_S 20
#define HUB_GONE_S 30 /* a peer that confirms no byte for so long, of a checkpoint say, is gone */
#define HUB_CHECKPOINT_MS 15000
#define HUB_QUEUE_MAX (1u << 20) /* bytes waiting for one subscriber */
#define HUB_REPLAY_CHUNK (128u << 10)

struct event_base;
struct hub;

struct hub_config {
    const char *host; /* numeric */
    uint16_t port;    /* 0: any, for tests */
    uint64_t chain_id;
    const struct secret *seed; /* outlives the hub, as do the next two */
    SSL_CTX *tls;
    struct store *store;
    const uint8_t *welcome; /* the first frame of every session; copied */
    size_t welcome_len;
};

struct hub_status {
    uint64_t sessions;  /* that said Hello */
    uint64_t strangers; /* that did not yet */
    uint64_t live;      /* sessions that have read all */
    uint64_t accepted, refused, pushes, bytes, retractions, checkpoints, acks, fallbacks, stalled;
};

int hub_new(struct event_base *base, const struct hub_config *config, struct hub **out, struct am_err *err);

/* Closes all connections at once; NULL is allowed. */
void hub_free(struct hub *hub);

/* Tells everybody that the service ends; what is queued still goes out while the loop runs. */
void hub_stop(struct hub *hub);

uint16_t hub_port(const struct hub *hub);

/* What ledger_listener tells. `tip_time` is 0 when not known. */
void hub_tell_appended(struct hub *hub, const struct store_tip *tip, uint64_t tip_time,
                       const struct store_log *logs, size_t logs_len);
void hub_tell_retracted(struct hub *hub, const struct address *cluster, const struct wire_cursor *block);

void hub_status(const struct hub *hub, struct hub_status *out);

/* Members of a cluster that are connected, and whether one is. */
size_t hub_count(const struct hub *hub, const struct address *cluster);
bool hub_serves(const struct hub *hub, const struct address *cluster, const struct bytes32 *member_id);

#endif
