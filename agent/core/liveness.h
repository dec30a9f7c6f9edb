/* Heartbeats: who is up, what each of them sees, and whether all agree (PROTOCOL section 7). Internal to
 * agent/core.
 *
 * A heartbeat costs the bits of its view that changed, and nothing per member. */
#ifndef AGENT_CORE_LIVENESS_H
#define AGENT_CORE_LIVENESS_H

#include "agent/core/state.h"

#define LIVENESS_INTERVAL_MS 2000
#define LIVENESS_UP_MS (3 * LIVENESS_INTERVAL_MS)
#define LIVENESS_HURRY_MS 250        /* at least between two heartbeats, when there is news, */
#define LIVENESS_HURRY_PER_PEER_MS 2 /* or so much for each peer, and never more than the interval */
/* A node that hears nobody at all takes itself for the whole live set only after this long: peers need a
 * moment to learn of it, and the side with the higher id dials after 15 s. */
#define LIVENESS_ALONE_MS 20000

/* Makes room for views of and about `capacity` rows. Returns 0 or -ENOMEM (nothing changed). */
int liveness_reserve(struct liveness *liveness, uint32_t capacity);
void liveness_release(struct liveness *liveness);

/* The row was filled, or is a peer, or is one no more. */
void liveness_settle(struct core *core, uint32_t index);

void liveness_heartbeat(struct core *core, const struct core_heartbeat *heartbeat);

/* What the own heartbeats tell has changed: the next one goes out early. */
void liveness_hurry(struct core *core);

/* Whether the live set agrees now. */
bool liveness_converged(const struct core *core);

/* Whether the view of a member that is up has this node. */
bool liveness_hears_us(const struct core *core, uint32_t index);

/* Lets silent members go down, asks for a heartbeat that is due, latches the first convergence. */
void liveness_pump(struct core *core);
uint64_t liveness_deadline(const struct core *core);

#endif
