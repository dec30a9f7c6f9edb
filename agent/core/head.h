/* The registry's chained head (PROTOCOL 2.2). */
#ifndef AGENT_CORE_HEAD_H
#define AGENT_CORE_HEAD_H

#include "agent/core/core.h"

/* The head after one more registration, the one that made the registry's version `version`. */
struct bytes32 head_after_registration(const struct bytes32 *head, uint64_t version,
                                       const struct core_record *record);

#endif
