/* Envelopes that tell every other member this node's endpoint (PROTOCOL section 8). Internal to agent/core.
 *
 * One per member and content, each somebody's money. What was sent is read from the chain before anything is
 * sent: the n-th endpoint sent to a member has issued_ms n milliseconds after this node's registration, so
 * the id of what is due follows from the number of those before, and is the same however often the node
 * starts, or the answer to a send is lost.
 *
 * A reorganisation can undo what was sent, and nothing else tells of it. So what is found in a provisional
 * block, or was included just now, is read again once its block is none, and what is missing is due again. */
#ifndef AGENT_CORE_ANNOUNCE_H
#define AGENT_CORE_ANNOUNCE_H

#include "agent/core/state.h"

/* Endpoints that the chain has of this node, of the read in flight, in order. */
void announce_sent(struct core *core, const struct core_sent_batch *batch);

/* All of them were given. */
void announce_read(struct core *core);
void announce_read_failed(struct core *core);

/* Answers to SEND_ENVELOPE. */
void announce_done(struct core *core);
void announce_failed(struct core *core);

/* The issued_ms of what SEND_ENVELOPE sends. */
uint64_t announce_issued_ms(const struct core *core, uint32_t index);

void announce_pump(struct core *core);
uint64_t announce_deadline(const struct core *core);

#endif
