/* Chain intake: polls nodeState, reads pages when it moved. Internal to agent/core. */
#ifndef AGENT_CORE_REGISTRY_H
#define AGENT_CORE_REGISTRY_H

#include "agent/core/state.h"

void registry_chain_state(struct core *core, const struct core_chain_state *state);
void registry_page(struct core *core, const struct core_page *page);
void registry_read_failed(struct core *core, const char *text);

/* How many rows the page being read has. */
uint32_t registry_page_rows(const struct core *core);

/* Polls at once. */
void registry_wake(struct core *core);

/* Polls rarely while the indexer is caught up, and at once when it pushes; an indexer that withholds a change
 * is told of with CORE_TELL_WITHHELD and no longer relied on. */
void registry_indexer(struct core *core, const struct core_indexer *indexer);

/* Somebody knows a newer version: polls within a second. */
void registry_hint(struct core *core);

/* Asks for a poll that is due. */
void registry_pump(struct core *core);
uint64_t registry_deadline(const struct core *core);

#endif
