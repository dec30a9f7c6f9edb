/* What the indexer keeps: the logs of all clusters as ready-made frames, and the hashes of recent blocks.
 *
 * A store belongs to one chain, one set of factories and one signing key; opened for others it starts empty,
 * as does a deleted one: the chain is then read again from the deployment block. One writer. The backend is
 * SQLite with a write-ahead log; everything else sees this header only. Functions return 0 or AM_EFORMAT
 * (the store is damaged) or -EIO, with a sentence, unless they say otherwise.
 */
#ifndef INDEXER_STORE_H
#define INDEXER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "indexer/wire/wire.h"

#define STORE_BLOCKS_MAX 1024 /* hashes kept; a deeper reorganisation starts the store anew */

struct store;

/* A block up to which, inclusive, everything is stored. */
struct store_tip {
    uint64_t number;
    struct bytes32 hash;
};

struct store_cluster {
    struct address address;
    uint64_t block; /* of its deployment */
};

struct store_log {
    struct address cluster;
    struct wire_cursor at;
    indexer_EventKind kind;
    struct bytes32 subject; /* the member an event is about, a message's recipient; else zero */
    struct bytes32 key;     /* the member's Ed25519 key, in the events that set one; else zero */
    const uint8_t *frame;   /* as it goes to subscribers */
    size_t frame_len;
};

struct store_member {
    bool registered; /* the rest is set when it is */
    bool removed;
    uint64_t registered_block;
    struct bytes32 key;
};

/* Everything the store's contents follow from. */
struct store_identity {
    uint64_t chain_id;
    struct bytes32 key;
    struct bytes32 sources; /* a hash of the factories and the first block */
};

/* `fresh` tells whether nothing was there, or of another identity. */
int store_open(const char *path, const struct store_identity *identity, struct store **out, bool *fresh,
               struct am_err *err);
void store_close(struct store *store);

/* Takes in all blocks after the last tip up to `tip`, in one transaction. */
int store_append(struct store *store, const struct store_tip *tip, const struct store_cluster *clusters,
                 size_t clusters_len, const struct store_log *logs, size_t logs_len, struct am_err *err);

/* A block of which logs are stored. */
typedef void (*store_block_fn)(void *user, const struct address *cluster, const struct wire_cursor *block);

/* Undoes the last append: calls `each` for every cluster and block that loses logs, highest block first, then
 * drops them. `has_tip` is false when nothing is left. */
int store_retract(struct store *store, store_block_fn each, void *user, struct store_tip *tip, bool *has_tip,
                  struct am_err *err);

int store_read_tip(struct store *store, struct store_tip *tip, bool *has_tip, struct am_err *err);

/* Whether `cursor` names a log of the cluster, or else a block, as the store knows it; blocks older than the
 * hashes kept count as known. */
bool store_knows(struct store *store, const struct address *cluster, const struct wire_cursor *cursor);

typedef void (*store_cluster_fn)(void *user, const struct store_cluster *cluster);
int store_each_cluster(struct store *store, store_cluster_fn each, void *user, struct am_err *err);

int store_read_member(struct store *store, const struct address *cluster, const struct bytes32 *member_id,
                      struct store_member *out, struct am_err *err);

/* Returns false to end the reading. The log lives during the call. */
typedef bool (*store_log_fn)(void *user, const struct store_log *log);

/* The logs of a cluster behind `after` (in blocks above `after->block`, or in it at higher places), in order;
 * of messages only those to `member_id`. */
int store_each_log(struct store *store, const struct address *cluster, const struct bytes32 *member_id,
                   const struct wire_cursor *after, store_log_fn each, void *user, struct am_err *err);

/* The logs that make, change and end memberships of a cluster, in order. */
int store_each_membership(struct store *store, const struct address *cluster, store_log_fn each, void *user,
                          struct am_err *err);

/* All logs of a cluster, the latest first. */
int store_each_recent_log(struct store *store, const struct address *cluster, store_log_fn each, void *user,
                          struct am_err *err);

/* Logs stored, for metrics. */
uint64_t store_log_count(const struct store *store);

#endif
