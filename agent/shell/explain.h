/* The path to one member, layer by layer, for `meshctl why`. */
#ifndef AGENT_SHELL_EXPLAIN_H
#define AGENT_SHELL_EXPLAIN_H

#include "agent/shell/views.h"

/* The answer to ExplainPeer (agent.proto) in a zeroed `out`. Returns UNSPECIFIED, NOT_FOUND, or
 * INVALID_ARGUMENT for a name that is none or is that of several members. */
api_Error_Code explain_fill_path(const struct views *views, const char *name, api_PeerPath *out);

/* Finds the member of this name among `count`; the same results. */
api_Error_Code explain_find(const struct core *core, uint32_t count, const char *name,
                            struct core_member *out);

#endif
