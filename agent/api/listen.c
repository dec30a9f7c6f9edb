#include "agent/api/listen.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GROUPS_MAX 256

static int find_group(const char *group, gid_t *gid, struct am_err *err)
{
    if (!group) {
        *gid = getegid();
        return 0;
    }
    char *end;
    errno = 0;
    const unsigned long number = strtoul(group, &end, 10);
    if (isdigit((unsigned char)group[0]) && *end == '\0' && errno == 0 && number < UINT32_MAX) {
        *gid = (gid_t)number;
        return 0;
    }
    const struct group *entry = getgrnam(group);
    if (!entry)
        return am_fail(err, AM_ECONFIG, "AGENT_SOCKET_GROUP: there is no group %s", group);
    *gid = entry->gr_gid;
    return 0;
}

static int fail_path(const char *path, struct am_err *err)
{
    return am_fail(err, -errno, "AGENT_SOCKET %s: %s", path, strerror(errno));
}

static int make_folder(const char *path, struct am_err *err)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    snprintf(folder, sizeof(folder), "%s", path);
    char *const slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return 0;
    *slash = '\0';
    return mkdir(folder, 0755) && errno != EEXIST ? fail_path(path, err) : 0;
}

/* Removes what an agent that is no more has left. */
static int clear_stale(const struct sockaddr_un *address, struct am_err *err)
{
    struct stat status;
    if (lstat(address->sun_path, &status))
        return errno == ENOENT ? 0 : fail_path(address->sun_path, err);
    if (!S_ISSOCK(status.st_mode))
        return am_fail(err, AM_ECONFIG, "AGENT_SOCKET %s: exists and is not a socket", address->sun_path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_path(address->sun_path, err);
    const bool refused =
        connect(fd, (const struct sockaddr *)address, sizeof(*address)) && errno == ECONNREFUSED;
    close(fd);
    if (!refused)
        return am_fail(err, -EADDRINUSE, "AGENT_SOCKET %s: another agent listens there", address->sun_path);
    return unlink(address->sun_path) && errno != ENOENT ? fail_path(address->sun_path, err) : 0;
}

/* Binds with no rights for anybody else, and grants them when the group is set. */
static int bind_for_group(int fd, const struct sockaddr_un *address, gid_t gid, struct am_err *err)
{
    const mode_t mask = umask(0177);
    const int failed = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    umask(mask);
    if (failed || chown(address->sun_path, (uid_t)-1, gid) || chmod(address->sun_path, 0660))
        return fail_path(address->sun_path, err);
    return 0;
}

int listen_bind_unix(const char *path, const char *group, gid_t *gid, struct am_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return am_fail(err, AM_ECONFIG, "AGENT_SOCKET %s: longer than %zu bytes", path,
                       sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int code = find_group(group, gid, err);
    if (code == 0)
        code = make_folder(path, err);
    if (code == 0)
        code = clear_stale(&address, err);
    if (code)
        return code;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_path(path, err);
    code = bind_for_group(fd, &address, *gid, err);
    if (code) {
        close(fd);
        return code;
    }
    return fd;
}

static bool is_of_group(int fd, gid_t gid)
{
    gid_t groups[GROUPS_MAX];
    socklen_t len = sizeof(groups);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
        return false;
    for (size_t i = 0; i < len / sizeof(groups[0]); i++) {
        if (groups[i] == gid)
            return true;
    }
    return false;
}

bool listen_peer_is_allowed(int fd, gid_t gid, uid_t *peer_uid, pid_t *peer_pid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
        return false;
    *peer_uid = peer.uid;
    *peer_pid = peer.pid;
    return peer.uid == 0 || peer.uid == geteuid() || peer.gid == gid || is_of_group(fd, gid);
}
