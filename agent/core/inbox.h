/* The node's inbox: the MessageSent logs to it, in order, with nothing left out (PROTOCOL sections 2.3 and
 * 12). Internal to agent/core.
 *
 * nodeState tells how many messages there were and their chained head. When the two move, the logs since the
 * last position are read and must lead there; when they do not, there was a reorganisation, or the RPC left
 * something out, and they are read again from further back. What the messages say is not the core's. */
#ifndef AGENT_CORE_INBOX_H
#define AGENT_CORE_INBOX_H

#include "agent/core/state.h"

/* What the chain says now; whether that is more or other messages than it said before. */
bool inbox_chain_state(struct core *core, const struct core_chain_state *state);

/* Logs of the read in flight, in order. */
void inbox_messages(struct core *core, const struct core_inbox_batch *batch);

/* All of them were given. */
void inbox_read(struct core *core);
void inbox_read_failed(struct core *core, const char *text);

void inbox_pump(struct core *core);
uint64_t inbox_deadline(const struct core *core);

#endif
