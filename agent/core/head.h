/* The registry's chained head (PROTOCOL 2.2). */
#ifndef AGENT_CORE_HEAD_H
#define AGENT_CORE_HEAD_H

#include "agent/core/core.h"

/* The head after one more registration, the one that made the registry's version `version`. */
struct bytes32 head_after_registration(const struct bytes32 *head, uint64_t version,
                                       const struct core_record *record);

/* The head after a commitment to a CSK generation. */
struct bytes32 head_after_commitment(const struct bytes32 *head, uint64_t version, uint64_t generation,
                                     const struct bytes32 *commitment);

#endif
