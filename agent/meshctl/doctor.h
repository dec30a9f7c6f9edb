/* meshctl doctor: whether this machine and the services around it have what the agent needs. Works from the
 * agent's configuration, with or without a running agent, and changes nothing. */
#ifndef AGENT_MESHCTL_DOCTOR_H
#define AGENT_MESHCTL_DOCTOR_H

#include "agent/config.h"
#include "agent/meshctl/command.h"
#include "agent/meshctl/finding.h"

/* Returns an exit code of command.h; EXIT_UNHEALTHY when a check fails. */
int doctor_run(const struct invocation *invocation);

/* What this machine has. Local and quick. */
void doctor_check_machine(const struct config *config, struct findings *findings);

/* What the services around it say, all asked at the same time, for at most DOCTOR_PATIENCE_S. Returns 0 or
 * -ENOMEM. */
#define DOCTOR_PATIENCE_S 12
int doctor_check_services(const struct config *config, struct findings *findings);

#endif
