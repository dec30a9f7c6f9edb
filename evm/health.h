/* How a remote service behaves: which of several to ask first, and when to leave one alone. Pure: the caller
 * brings time and chance. Zeroed memory is a service that nothing is known about. */
#ifndef EVM_HEALTH_H
#define EVM_HEALTH_H

#include <stddef.h>
#include <stdint.h>

#define HEALTH_RETRY_AFTER_MAX_S 3600 /* no service silences a node for longer */

struct health {
    uint32_t failures; /* since the last success */
    uint64_t doubtful_until_ms;
    uint64_t closed_until_ms;
};

enum health_rank {
    HEALTH_GOOD,
    HEALTH_DOUBTFUL, /* it failed a while ago: ask others first */
    HEALTH_CLOSED    /* it said when to come back, and that is later */
};

/* Backoff: from floor_ms, doubled with each failure up to ceiling_ms; jitter takes off up to a half. */
struct health_backoff {
    uint32_t floor_ms;
    uint32_t ceiling_ms;
};

void health_succeed(struct health *health);

/* Counts a failure. `retry_after_s` is the service's wish, 0 when it had none; jitter adds up to an eighth,
 * so that not everybody comes back at once. `chance` is any random number. */
void health_fail(struct health *health, const struct health_backoff *backoff, uint64_t now_ms,
                 uint32_t retry_after_s, uint32_t chance);

enum health_rank health_rank(const struct health *health, uint64_t now_ms);

/* Of `len` services' ranks makes the order in which to ask: better ranks first, equal ones as they stand. */
void health_order(const enum health_rank *ranks, size_t len, size_t *order);

#endif
