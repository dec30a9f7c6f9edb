/* Peers as people name them. */
#ifndef AGENT_MESHCTL_FIND_H
#define AGENT_MESHCTL_FIND_H

#include "agent/api/client.h"

/* Finds the one live peer that `name` means: its registry index, a mesh address, or the beginning (at least
 * four digits, with or without 0x) of its member id or member contract. Returns 0, -ENOENT, -EEXIST when
 * there are several, or an error of the client's. */
int find_peer(struct api_client *client, const char *name, api_Peer *out, struct am_err *err);

#endif
