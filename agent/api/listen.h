/* The file side of a unix socket: where it lies, and who may come in. */
#ifndef AGENT_API_LISTEN_H
#define AGENT_API_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "crypto/am_error.h"

/* A bound socket that does not listen yet: non-blocking, close-on-exec, mode 0660, of `group` (a name or a
 * number, or NULL for the process's own), whose id goes to `gid`. Makes the path's last folder (0755) and
 * replaces a socket file that nobody listens on. Returns the descriptor; or -EADDRINUSE when somebody does,
 * AM_ECONFIG for an unknown group or a path that is something else, or an errno. */
int listen_bind_unix(const char *path, const char *group, gid_t *gid, struct am_err *err);

/* Whether the process at the other end is root, of this user, or of group `gid` (SO_PEERCRED and
 * SO_PEERGROUPS, see unix(7) and socket(7)). */
bool listen_peer_is_allowed(int fd, gid_t gid, uid_t *peer_uid, pid_t *peer_pid);

#endif
