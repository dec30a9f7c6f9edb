/* How often something may happen: PACER_BURST times at once, then once in PACER_INTERVAL_MS. Pure: time is an
 * argument. Zero-initialise; set `sharers` when that many share one allowance evenly.
 *
 * A node has one for the handshakes that it begins and one for those that others begin with it, so that after
 * a restart of the gateway it makes no more than 100 a second, and strangers can not use up its own.
 */
#ifndef AGENT_TRANSPORT_PACER_H
#define AGENT_TRANSPORT_PACER_H

#include <stdbool.h>
#include <stdint.h>

#define PACER_INTERVAL_MS 20u
#define PACER_BURST 10u

struct pacer {
    unsigned sharers; /* 0 is 1 */
    uint64_t spent_until_ms;
};

/* True when it may happen now; then it counts. Otherwise it may in PACER_INTERVAL_MS at the latest, times
 * the sharers. */
static inline bool pacer_take(struct pacer *pacer, uint64_t now_ms)
{
    const uint64_t interval_ms = (uint64_t)PACER_INTERVAL_MS * (pacer->sharers ? pacer->sharers : 1);
    const uint64_t from = pacer->spent_until_ms > now_ms ? pacer->spent_until_ms : now_ms;
    if (from + interval_ms > now_ms + PACER_BURST * PACER_INTERVAL_MS)
        return false;
    pacer->spent_until_ms = from + interval_ms;
    return true;
}

#endif
