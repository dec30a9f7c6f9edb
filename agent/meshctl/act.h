/* The commands that do something, or give a secret away. They return exit codes of command.h. */
#ifndef AGENT_MESHCTL_ACT_H
#define AGENT_MESHCTL_ACT_H

#include "agent/meshctl/command.h"

int act_csk(const struct invocation *invocation);
int act_rotate_wg_key(const struct invocation *invocation);
int act_down(const struct invocation *invocation);

#endif
