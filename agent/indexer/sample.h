/* Asks our own RPC for a log that the indexer pushed, one at a time. */
#ifndef AGENT_INDEXER_SAMPLE_H
#define AGENT_INDEXER_SAMPLE_H

#include "evm/eth_log.h"
#include "evm/rpc.h"

struct sample;

enum sample_verdict {
    SAMPLE_CONFIRMED,
    SAMPLE_DENIED,    /* the RPC knows the block, and no such log in it */
    SAMPLE_UNANSWERED /* the RPC is late, away, or has forgotten the block */
};

typedef void (*sample_fn)(void *user, enum sample_verdict verdict);

/* Runs the log's repro stub; `done` comes once, from the loop. NULL without memory. */
struct sample *sample_start(struct rpc *node, const struct eth_log *log, sample_fn done, void *user);

/* No callback comes; NULL is allowed. Invalid once `done` was called. */
void sample_cancel(struct sample *sample);

#endif
