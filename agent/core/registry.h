/* Chain intake: polls nodeState; when it moved, reads the changes that moved it, and all pages where that is
 * not possible. Internal to agent/core.
 *
 * Changes are believed when they lead from a state that is known to the new one: its chained head leaves no
 * room for others. A reorganisation shows in that they lead to it from an earlier state only; then what came
 * after that one is undone first. */
#ifndef AGENT_CORE_REGISTRY_H
#define AGENT_CORE_REGISTRY_H

#include "agent/core/state.h"

void registry_chain_state(struct core *core, const struct core_chain_state *state);
void registry_changes(struct core *core, const struct core_changes *changes);
void registry_changes_failed(struct core *core);
void registry_page(struct core *core, const struct core_page *page);
void registry_read_failed(struct core *core, const char *text);

/* How many rows the page being read has; the first block whose changes are read. */
uint32_t registry_page_rows(const struct core *core);
uint64_t registry_changes_from(const struct core *core);

/* Polls at once. */
void registry_wake(struct core *core);

/* Polls rarely while the indexer is caught up, and at once when it pushes or a session begins. An indexer
 * that withholds a change or a message, and does not make up for it in this or the next session, is told of
 * with CORE_TELL_WITHHELD and no longer relied on. */
void registry_indexer(struct core *core, const struct core_indexer *indexer);

/* Somebody knows a newer version: polls within a second. */
void registry_hint(struct core *core);

/* Asks for a poll that is due. */
void registry_pump(struct core *core);
uint64_t registry_deadline(const struct core *core);

#endif
