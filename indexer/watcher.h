/* Follows the factories and their clusters along the chain without ever skipping a log. Pure: the shell asks
 * what to read, reads it, and hands the answer in.
 *
 *     while (!busy) { watcher_next(watcher, now_ms, &ask); perform(&ask); }
 *
 * Old blocks are read in ranges, which grow while answers come and halve when they do not. The last
 * WATCHER_WINDOW blocks may still be reorganised: they are read one by one, by hash, so that an answer is
 * either of that very block or an error, and each must be the child of the one before; else the last block is
 * retracted and the search goes on from its parent. A block whose bloom filter excludes all our addresses
 * costs one header and no logs. A range's logs come from the endpoint that knows its last block: one that is
 * late would answer with an empty list. What an RPC does not answer, or answers wrongly, is asked again;
 * nothing is ever assumed to be empty.
 */
#ifndef INDEXER_WATCHER_H
#define INDEXER_WATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "evm/eth_log.h"
#include "indexer/store.h"

#define WATCHER_WINDOW 32
#define WATCHER_RANGE_MAX 2000  /* blocks in one question */
#define WATCHER_BATCH_MAX 128   /* addresses in one question */
#define WATCHER_LOGS_MAX 100000 /* logs taken in at once */
#define WATCHER_POLL_MS 1000
#define WATCHER_LAG_MS 60000 /* an RPC that shows an older chain is late for so long, then believed */
#define WATCHER_LATEST UINT64_MAX

struct watcher;

enum watcher_ask_type {
    WATCHER_WAIT,
    WATCHER_READ_HEADER, /* eth_getBlockByNumber(number or WATCHER_LATEST) -> watcher_header */
    WATCHER_READ_LOGS    /* eth_getLogs of one block by hash, or of from..to -> watcher_logs */
};

struct watcher_ask {
    enum watcher_ask_type type;
    uint64_t until_ms; /* WAIT */
    uint64_t number;   /* READ_HEADER */
    bool by_hash;      /* READ_LOGS: `hash`, else from..to */
    struct bytes32 hash;
    uint64_t from, to;
    const struct address *addresses; /* until the answer */
    size_t addresses_len;
};

/* What the chain turns out to be; returning an error leaves the watcher where it was, to try again. */
struct watcher_sink {
    /* All blocks after the last tip up to `tip`; `logs` in chain order; `clusters` are new. */
    int (*append)(void *user, const struct eth_header *tip, const struct store_cluster *clusters,
                  size_t clusters_len, const struct eth_log *logs, size_t logs_len);
    /* The last append is undone; the tip before it comes back, zero hash and first block - 1 for none. */
    int (*retract)(void *user, struct store_tip *tip);
    void *user;
};

struct watcher_config {
    uint64_t first_block;
    const struct address *factories; /* copied */
    size_t factories_len;
};

struct watcher_status {
    uint64_t head;      /* highest block seen, 0 before the first */
    uint64_t head_time; /* its unix seconds */
    struct store_tip tip;
    uint64_t tip_time; /* 0 when not known */
    uint64_t clusters;
    uint64_t range; /* blocks that the next range would have */
    uint64_t logs, failures, retractions, doubts;
    bool caught_up; /* the tip is the head as of the last look */
};

/* NULL when memory is short. */
struct watcher *watcher_new(const struct watcher_config *config, const struct watcher_sink *sink);
void watcher_free(struct watcher *watcher);

/* Where an earlier run ended; before the first watcher_next. Clusters in the order of their blocks. */
int watcher_add_cluster(struct watcher *watcher, const struct store_cluster *cluster);
void watcher_resume(struct watcher *watcher, const struct store_tip *tip);

/* The next thing to do; not while an answer is due. */
void watcher_next(struct watcher *watcher, uint64_t now_ms, struct watcher_ask *ask);

/* Answers, each with the number of the endpoint that gave it. A NULL header: the RPC knows no such block.
 * `code` as of rpc_result or eth_logs_parse. */
void watcher_header(struct watcher *watcher, uint64_t now_ms, const struct eth_header *header,
                    size_t endpoint);
void watcher_logs(struct watcher *watcher, uint64_t now_ms, const struct eth_logs *logs, size_t endpoint);
void watcher_failed(struct watcher *watcher, uint64_t now_ms, int code);

void watcher_status(const struct watcher *watcher, struct watcher_status *out);

#endif
