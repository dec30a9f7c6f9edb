/* A chain in memory behind an RPC that drops, truncates, lags and lies, and that is reorganised: the double
 * that the watcher is tested against. It has two endpoints, of which the second is behind. A seed reproduces
 * a run. */
#ifndef UNIT_INDEXER_FLAKY_CHAIN_H
#define UNIT_INDEXER_FLAKY_CHAIN_H

#include "indexer/watcher.h"

#define FLAKY_BLOCKS_MAX 4096
#define FLAKY_LOGS_MAX 6 /* in a block */

struct flaky_block {
    struct eth_header header;
    struct eth_log logs[FLAKY_LOGS_MAX];
    size_t logs_len;
};

struct flaky_chain {
    uint64_t rng;
    struct address factory;
    struct address clusters[64];
    size_t clusters_len;
    struct flaky_block blocks[FLAKY_BLOCKS_MAX]; /* by number, from 0 */
    size_t len;
    uint64_t salt; /* makes the blocks of a fork differ */
    /* Of 256 questions so many: fail, are answered by a node some blocks behind, get an empty list of logs at
     * the tip; an answer has at most so many logs. */
    unsigned drop, lag, empty;
    size_t late; /* how many blocks the node behind is behind, 0: a few */
    size_t answer_max;
    unsigned emptied; /* in a row */
    /* How often each was done. */
    unsigned drops, lags, empties, truncations;
};

void flaky_chain_init(struct flaky_chain *chain, uint64_t seed);

/* Adds blocks with random logs of the factory, of clusters and of strangers. */
void flaky_chain_grow(struct flaky_chain *chain, size_t blocks);

/* Replaces the last `depth` blocks by others, one more. */
void flaky_chain_reorganise(struct flaky_chain *chain, size_t depth);

/* Answers a question of the watcher, well or badly. */
void flaky_chain_answer(struct flaky_chain *chain, struct watcher *watcher, uint64_t now_ms,
                        const struct watcher_ask *ask);

uint64_t flaky_chain_random(struct flaky_chain *chain, uint64_t below);

#endif
