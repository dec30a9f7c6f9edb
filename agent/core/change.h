/* What one change does to the registry's state (PROTOCOL 2.2). */
#ifndef AGENT_CORE_CHANGE_H
#define AGENT_CORE_CHANGE_H

#include "agent/core/core.h"

/* nodeState after one more change: version, head, and the counter or key generation that it moves. Block and
 * network stay. */
struct core_chain_state change_apply(const struct core_chain_state *before, const struct core_change *change);

#endif
