/* The node's own way in: identity, registration, phase. Internal to agent/core. */
#ifndef AGENT_CORE_NODE_H
#define AGENT_CORE_NODE_H

#include "agent/core/state.h"

void node_started(struct core *core);
void node_identity_ready(struct core *core, const struct core_identity *identity);
void node_identity_failed(struct core *core, const struct core_failure *failure);
void node_self_record(struct core *core, const struct core_self *self);
void node_self_failed(struct core *core, const char *text);
void node_register_done(struct core *core);
void node_register_failed(struct core *core, const struct core_failure *failure);

/* Holds what the freshly read table says about this node against what it believes. */
void node_check_self(struct core *core);

/* Asks for the step of the way in that is due. */
void node_pump(struct core *core);
uint64_t node_deadline(const struct core *core);

/* Derives the phase from everything else. */
void node_update_phase(struct core *core);

#endif
