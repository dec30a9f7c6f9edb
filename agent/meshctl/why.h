/* meshctl why PEER: the path to a member, layer by layer, and the first layer that fails. */
#ifndef AGENT_MESHCTL_WHY_H
#define AGENT_MESHCTL_WHY_H

#include "agent/meshctl/command.h"

/* Returns an exit code of command.h; EXIT_UNHEALTHY when a layer fails. */
int why_explain(const struct invocation *invocation);

#endif
