/* UserOperations of the node: one in flight, since all share the account's nonce. Internal to agent/core.
 *
 * Who wants an operation says so as often as he likes; it is asked for once. A failed one is not repeated
 * from here: it may have landed although its receipt was lost, so whoever wants it looks at the chain first,
 * and finds that it can not go out again before its backoff has passed. */
#ifndef AGENT_CORE_OUTBOX_H
#define AGENT_CORE_OUTBOX_H

#include "agent/core/state.h"

/* Asks for the operation as soon as none is in flight and its backoff has passed. */
void outbox_want(struct core *core, enum outbox_item item);

/* Not any more. What is in flight stays so. */
void outbox_drop(struct core *core, enum outbox_item item);

bool outbox_in_flight(const struct core *core, enum outbox_item item);

/* Takes the answer to what is in flight: it is not wanted any more. False when `item` is not in flight. */
bool outbox_done(struct core *core, enum outbox_item item);
bool outbox_failed(struct core *core, enum outbox_item item);

/* When the operation may go out (again). */
uint64_t outbox_due_ms(const struct core *core, enum outbox_item item);

/* Answers to SEND_MESSAGE. A message may go out again at once: its envelope id makes it count once. */
void outbox_message_settled(struct core *core, const struct core_messages *messages);
void outbox_message_failed(struct core *core, const struct core_messages *messages);

/* Asks for the operation that is due. */
void outbox_pump(struct core *core);
uint64_t outbox_deadline(const struct core *core);

#endif
