/* The commands that show what the agent says of its node. They return exit codes of command.h. */
#ifndef AGENT_MESHCTL_LOOK_H
#define AGENT_MESHCTL_LOOK_H

#include "agent/meshctl/command.h"

int look_at_status(const struct invocation *invocation);
int look_at_peers(const struct invocation *invocation);
int look_at_events(const struct invocation *invocation);
int look_at_indexer(const struct invocation *invocation);
int look_at_operations(const struct invocation *invocation);

#endif
