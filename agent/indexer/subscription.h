/* The node's subscription to the indexer (PROTOCOL section 12): finds it in the registry, dials, proves who
 * this is, and turns verified pushes into wake-ups.
 *
 * The indexer is trusted for liveness only. What it pushes must carry the registry key's signature, and one
 * push in `sample` is asked for again at our own RPC; a push that fails either is an alarm: the session ends
 * and the indexer is left alone for SUBSCRIPTION_DISTRUST_S, while polling goes on. The quote's report data
 * is compared with the key; whether the quote itself is genuine is not checked here.
 */
#ifndef AGENT_INDEXER_SUBSCRIPTION_H
#define AGENT_INDEXER_SUBSCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/bytes.h"
#include "crypto/secret.h"
#include "evm/cluster.h"

#define SUBSCRIPTION_DISTRUST_S 600
#define SUBSCRIPTION_SILENCE_S 45 /* an indexer that says nothing for so long is gone */

struct event_base;
struct rpc;
struct subscription;

struct subscription_config {
    uint64_t chain_id;
    struct address registry;
    struct address cluster;
    struct bytes32 member_id;
    const struct secret *seed; /* Ed25519; outlives the subscription, as does `node` */
    struct rpc *node;
    uint64_t sample;
    const char *folder; /* keeps the cursor for the next run; NULL: none */
};

/* Told from the loop, never from within a call: that it is caught up, or no longer; that it pushed events, or
 * took some back (`wake`). */
typedef void (*subscription_fn)(void *user, bool caught_up, bool wake);

enum subscription_state {
    SUBSCRIPTION_WAITING, /* for the next attempt */
    SUBSCRIPTION_FINDING, /* reading the registry */
    SUBSCRIPTION_DIALING, /* until the Welcome */
    SUBSCRIPTION_READING, /* what was missed */
    SUBSCRIPTION_CAUGHT_UP
};

struct subscription_status {
    enum subscription_state state;
    struct cluster_indexer indexer; /* as last read from the registry; no endpoint before */
    uint64_t checkpoint_block;      /* 0 before the first */
    uint64_t checkpoint_time;       /* of that block, unix seconds */
    uint64_t pushes, retractions;
    uint64_t checked, unchecked; /* samples that the RPC confirmed, and that it could not answer */
    uint64_t alarms;
    char error[AM_ERR_TEXT_MAX]; /* why the last session ended, "" while one works */
};

/* Begins at once, from the loop. NULL without memory. */
struct subscription *subscription_new(struct event_base *base, const struct subscription_config *config,
                                      subscription_fn changed, void *user);
void subscription_free(struct subscription *subscription);

/* Ends the session with an alarm: the chain says that the indexer withheld something. Nothing is told. */
void subscription_distrust(struct subscription *subscription, const char *reason);

void subscription_status(const struct subscription *subscription, struct subscription_status *out);
const char *subscription_state_name(enum subscription_state state);

#endif
