#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/backend.h"
#include "agent/meshctl/doctor.h"

#define BUFFER_SIZE (7 << 20) /* what the agent asks for */

static bool has_capability(unsigned capability)
{
    char line[128];
    uint64_t effective = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof(line), status))
        if (sscanf(line, "CapEff: %" SCNx64, &effective) == 1)
            break;
    if (status)
        fclose(status);
    return effective >> capability & 1;
}

static void check_capabilities(struct findings *findings)
{
    struct finding *finding = finding_open(findings, "capabilities");
    if (has_capability(CAP_NET_ADMIN))
        finding_close(findings, finding, FINDING_OK, "", "CAP_NET_ADMIN");
    else
        finding_close(findings, finding, FINDING_FAIL,
                      "run as root, or the container with --privileged or --cap-add NET_ADMIN",
                      "CAP_NET_ADMIN is missing here");
}

static void check_tun(struct findings *findings)
{
    struct finding *finding = finding_open(findings, "tun");
    const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        finding_close(findings, finding, FINDING_FAIL,
                      "give the container the device /dev/net/tun, or use the kernel backend",
                      "/dev/net/tun: %s", strerror(errno));
    else
        finding_close(findings, finding, FINDING_OK, "", "/dev/net/tun");
    if (fd >= 0)
        close(fd);
}

static void check_wireguard(const struct config *config, struct findings *findings)
{
    struct am_err err;
    struct finding *finding = finding_open(findings, "wireguard");
    struct reconciler *reconciler =
        reconciler_new(backend_kind(config->wg_backend), config->wg_interface, &err);
    if (!reconciler) {
        finding_close(findings, finding, FINDING_FAIL, "", "%s", err.text);
        return;
    }
    const enum wg_backend_kind backend = reconciler_backend(reconciler);
    finding_close(findings, finding, FINDING_OK, "", "%s backend for %s", wg_backend_name(backend),
                  config->wg_interface);
    reconciler_free(reconciler);
    if (backend == WG_BACKEND_USERSPACE)
        check_tun(findings);
}

static void check_buffers(struct findings *findings)
{
    static const char advice[] = "raise the sysctls net.core.rmem_max and wmem_max, or give CAP_NET_ADMIN";
    struct finding *finding = finding_open(findings, "udp buffers");
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = BUFFER_SIZE;
    int given = 0;
    socklen_t len = sizeof(given);
    if (fd < 0) {
        finding_close(findings, finding, FINDING_FAIL, "", "no UDP socket: %s", strerror(errno));
        return;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &given, &len);
    close(fd);
    if (given / 2 >= BUFFER_SIZE) /* the kernel doubles what is asked for */
        finding_close(findings, finding, FINDING_OK, "", "%d MiB", BUFFER_SIZE >> 20);
    else
        finding_close(findings, finding, FINDING_WARN, advice,
                      "only %d KiB: relayed WireGuard loses packets in bursts", given / 2 / 1024);
}

static void check_state_dir(const struct config *config, struct findings *findings)
{
    struct stat status;
    const char *path = config->state_dir;
    struct finding *finding = finding_open(findings, "state dir");
    if (!path)
        finding_close(findings, finding, FINDING_OK, "", "none: keys and cursors are kept in memory only");
    else if (stat(path, &status) != 0 && errno == ENOENT)
        finding_close(findings, finding, FINDING_OK, "", "%s is not there yet; the agent makes it", path);
    else if (stat(path, &status) != 0)
        finding_close(findings, finding, FINDING_FAIL, "", "%s: %s", path, strerror(errno));
    else if (!S_ISDIR(status.st_mode))
        finding_close(findings, finding, FINDING_FAIL, "STATE_DIR names a folder", "%s is no folder", path);
    else if (status.st_mode & 077)
        finding_close(findings, finding, FINDING_WARN, "chmod 0700", "%s is open to others: mode %04o", path,
                      status.st_mode & 07777);
    else if (access(path, R_OK | W_OK | X_OK) != 0)
        finding_close(findings, finding, FINDING_FAIL, "chown it to the agent's user", "%s: %s", path,
                      strerror(errno));
    else
        finding_close(findings, finding, FINDING_OK, "", "%s", path);
}

void doctor_check_machine(const struct config *config, struct findings *findings)
{
    check_capabilities(findings);
    check_wireguard(config, findings);
    check_buffers(findings);
    check_state_dir(config, findings);
}
