/* The cluster shared key: who makes it, who commits to it, whom to ask for it (PROTOCOL section 9). Internal
 * to agent/core.
 *
 * The keyholder of an open generation derives the key and publishes its hash. Everyone who lacks a committed
 * key looks in its cache, then the keyholder derives it again and the others pull it: from the keyholder
 * first, then from any peer that says it has it. What the shell holds counts once its hash is on chain. */
#ifndef AGENT_CORE_CSK_H
#define AGENT_CORE_CSK_H

#include "agent/core/state.h"

#define CSK_SETTLE_MS 15000 /* how long an RPC may not show a commitment whose receipt we have */
#define CSK_GRACE_MS 30000  /* how long a node stays healthy on the key before a newly committed one */

void csk_found(struct core *core, enum core_event_type type, const struct core_csk *found);
void csk_failed(struct core *core, const struct core_csk_failure *failure);
void csk_committed(struct core *core);

/* The row is a peer no more. */
void csk_forget_peer(struct core *core, struct row *row);

/* A peer came up or says something new about its key: looks for the key at once. */
void csk_wake(struct core *core);

/* Whether the node has the key that it must have to be healthy. */
bool csk_acquired(const struct core *core);

/* What the node does about the key it lacks, for people. */
void csk_reason(const struct core *core, char out[CORE_TEXT_MAX]);

/* Asks for the step that is due. */
void csk_pump(struct core *core);
uint64_t csk_deadline(const struct core *core);

#endif
