/* Members as people name them: the agent knows who is meant. */
#ifndef AGENT_MESHCTL_FIND_H
#define AGENT_MESHCTL_FIND_H

#include "agent/api/client.h"

/* Asks the agent (ExplainPeer) for the path to the one member that `name` means, alive or removed. Returns 0,
 * -ENOENT when the registry has none, -EINVAL when there are several or the name is none, or an error of the
 * client's. */
int find_path(struct api_client *client, const char *name, api_PeerPath *out, struct am_err *err);

#endif
