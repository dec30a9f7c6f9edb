/* Rotation of the node's WireGuard key (PROTOCOL sections 3 and 5). Internal to agent/core.
 *
 * The next generation is published, then the chain shows it in our record, and from there everything goes the
 * way that it goes after a restart: node.c tells the peers by a heartbeat that the registry has changed,
 * waits until they can have read it, reads its own record and takes its key into use. A tunnel is interrupted
 * from the first of both sides that changes over to the second. */
#ifndef AGENT_CORE_ROTATION_H
#define AGENT_CORE_ROTATION_H

#include "agent/core/state.h"

/* Asks for the next generation. Ignored while the node is not registered or a rotation is under way. */
void rotation_start(struct core *core);

/* The answers to PUBLISH_WG_KEY. */
void rotation_published(struct core *core);
void rotation_failed(struct core *core, const struct core_failure *failure);

/* How far the last one is. */
enum core_rotation rotation_state(const struct core *core);

#endif
