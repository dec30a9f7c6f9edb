/* The commands for messages between applications. They return exit codes of command.h. */
#ifndef AGENT_MESHCTL_MESSAGE_H
#define AGENT_MESHCTL_MESSAGE_H

#include "agent/meshctl/command.h"

int message_send(const struct invocation *invocation);
int message_receive(const struct invocation *invocation);

#endif
