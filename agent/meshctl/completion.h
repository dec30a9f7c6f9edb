/* meshctl completion SHELL: a script that completes commands, their options and what may follow them. */
#ifndef AGENT_MESHCTL_COMPLETION_H
#define AGENT_MESHCTL_COMPLETION_H

#include "agent/meshctl/command.h"

/* Returns an exit code of command.h. */
int completion_print(const struct invocation *invocation);

#endif
