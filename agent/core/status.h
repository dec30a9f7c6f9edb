/* What the views say in words. Internal to agent/core. */
#ifndef AGENT_CORE_STATUS_H
#define AGENT_CORE_STATUS_H

#include "agent/core/state.h"

/* What the present phase waits for, or why it fails; "" when healthy. */
void status_reason(const struct core *core, char out[CORE_TEXT_MAX]);

#endif
