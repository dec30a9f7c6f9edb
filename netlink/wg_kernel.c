/* The kernel's WireGuard, by generic netlink. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <unistd.h>

#include "netlink/backend.h"
#include "netlink/nlerr.h"
#include "netlink/wg_genl.h"

/* A reply datagram is at most one page or the size of the read that fetches it, up to 32 KiB. A request stays
 * below 64 KiB, the largest nest. */
#define BUFFER_SIZE 32768
#define DUMP_TRIES_MAX 5
#define REPLY_TIMEOUT_S 2

struct wg_backend {
    struct mnl_socket *socket;
    uint8_t *buffer; /* secret memory: both directions carry private keys */
    struct wg_genl_expect expect;
    char ifname[WG_IFNAME_SIZE];
};

static int send_request(struct wg_backend *b, size_t len, struct am_err *err)
{
    const ssize_t sent = mnl_socket_sendto(b->socket, b->buffer, len);
    secret_wipe(b->buffer, len);
    return sent < 0 ? am_fail(err, -errno, "netlink send: %s", strerror(errno)) : 0;
}

/* One datagram from the kernel itself; its length, or a negative code. */
static ssize_t receive_reply(struct wg_backend *b, struct am_err *err)
{
    for (;;) {
        struct sockaddr_nl sender = {0};
        struct iovec iov = {.iov_base = b->buffer, .iov_len = BUFFER_SIZE};
        struct msghdr header = {
            .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &iov, .msg_iovlen = 1};
        const ssize_t len = recvmsg(mnl_socket_get_fd(b->socket), &header, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return am_fail(err, -errno, "netlink receive: %s", strerror(errno));
        if (header.msg_flags & MSG_TRUNC)
            return am_fail(err, -ENOBUFS, "netlink reply exceeds %d bytes", BUFFER_SIZE);
        if (sender.nl_pid == 0)
            return len;
    }
}

static int resolve_family(struct wg_backend *b, struct am_err *err)
{
    uint16_t family = 0;
    int rc = send_request(b, wg_genl_build_get_family(b->buffer, ++b->expect.sequence), err);
    if (rc < 0)
        return rc;
    do {
        const ssize_t len = receive_reply(b, err);
        rc = len < 0 ? (int)len : wg_genl_parse_family(b->buffer, (size_t)len, &b->expect, &family, err);
    } while (rc == WG_GENL_MORE);
    if (rc == -ENOENT)
        return am_fail(err, AM_ECONFIG,
                       "this kernel has no WireGuard: load its module (modprobe wireguard), or set "
                       "WG_BACKEND=userspace to use wireguard-go");
    if (rc < 0) {
        am_fail_context(err, "look up netlink family wireguard");
        return rc;
    }
    b->expect.family = family;
    return 0;
}

static void kernel_close(struct wg_backend *b)
{
    if (!b)
        return;
    if (b->socket)
        mnl_socket_close(b->socket);
    secret_buffer_free(b->buffer);
    free(b);
}

static int open_socket(struct wg_backend *b, struct am_err *err)
{
    const struct timeval reply_timeout = {.tv_sec = REPLY_TIMEOUT_S};
    b->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
    if (!b->socket || mnl_socket_bind(b->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return am_fail(err, -errno, "netlink socket: %s", strerror(errno));
    nlerr_enable(mnl_socket_get_fd(b->socket));
    /* A reply that never ends would hold up everything. */
    (void)setsockopt(mnl_socket_get_fd(b->socket), SOL_SOCKET, SO_RCVTIMEO, &reply_timeout,
                     sizeof(reply_timeout));
    b->expect.portid = mnl_socket_get_portid(b->socket);
    return resolve_family(b, err);
}

static struct wg_backend *kernel_open(const char *ifname, struct am_err *err)
{
    struct wg_backend *b = calloc(1, sizeof(*b));
    if (b)
        b->buffer = secret_buffer_new(BUFFER_SIZE);
    if (!b || !b->buffer) {
        am_fail(err, -ENOMEM, "no memory for the netlink buffer");
        kernel_close(b);
        return NULL;
    }
    memcpy(b->ifname, ifname, strlen(ifname) + 1);
    if (open_socket(b, err) < 0) {
        kernel_close(b);
        return NULL;
    }
    return b;
}

static int kernel_create(struct wg_backend *b, struct link_socket *links, struct am_err *err)
{
    return link_create(links, b->ifname, "wireguard", err);
}

/* Reads the rest of a reply that is of no use, whose last datagram is in the buffer: the kernel takes no
 * other request for a dump (EBUSY) while one goes on. */
static int skip_reply(struct wg_backend *b, size_t len, struct am_err *err)
{
    while (!wg_genl_ends(b->buffer, len, &b->expect)) {
        ssize_t next;
        secret_wipe(b->buffer, len);
        do
            next = receive_reply(b, err);
        while (next == -ENOBUFS);
        if (next < 0)
            return (int)next;
        len = (size_t)next;
    }
    secret_wipe(b->buffer, len);
    return 0;
}

static int dump_once(struct wg_backend *b, struct wg_device_observed *device, struct am_err *err)
{
    int rc = send_request(
        b, wg_genl_build_get_device(b->buffer, b->expect.family, ++b->expect.sequence, b->ifname), err);
    if (rc < 0)
        return rc;
    do {
        const ssize_t len = receive_reply(b, err);
        if (len < 0 && len != -ENOBUFS)
            return (int)len;
        rc = len < 0 ? (int)len : wg_genl_parse_device(b->buffer, (size_t)len, &b->expect, device, err);
        if (rc < 0) {
            const int skipped = skip_reply(b, len < 0 ? 0 : (size_t)len, NULL);
            return skipped < 0 ? skipped : rc;
        }
        secret_wipe(b->buffer, (size_t)len);
    } while (rc == WG_GENL_MORE);
    return rc;
}

/* What an interrupted or cut dump has read is thrown away, and the dump asked again. */
static int kernel_dump(struct wg_backend *b, struct wg_device_observed *device, struct am_err *err)
{
    int rc = -EINTR;
    struct am_err cause;
    for (int i = 0; i < DUMP_TRIES_MAX && (rc == -EINTR || rc == -ENOBUFS); i++) {
        device->peers_len = 0;
        rc = dump_once(b, device, &cause);
    }
    return rc < 0 ? am_fail(err, rc, "read WireGuard device %s: %s", b->ifname, cause.text) : 0;
}

static int apply_message(struct wg_backend *b, const struct wg_edit *edits, size_t len, size_t *taken,
                         struct am_err *err)
{
    size_t message_len;
    *taken = wg_genl_build_set(b->buffer, BUFFER_SIZE, b->expect.family, ++b->expect.sequence, b->ifname,
                               edits, len, &message_len);
    if (*taken == 0)
        return am_fail(err, -EMSGSIZE, "an edit does not fit a netlink message");
    int rc = send_request(b, message_len, err);
    if (rc < 0)
        return rc;
    do {
        const ssize_t reply_len = receive_reply(b, err);
        if (reply_len < 0)
            return (int)reply_len;
        rc = wg_genl_parse_ack(b->buffer, (size_t)reply_len, &b->expect, err);
        secret_wipe(b->buffer, (size_t)reply_len);
    } while (rc == WG_GENL_MORE);
    return rc < 0 ? AM_EREMOTE : 0;
}

static int kernel_apply(struct wg_backend *b, const struct wg_edit *edits, size_t len, struct am_err *err)
{
    for (size_t done = 0, taken; done < len; done += taken) {
        const int rc = apply_message(b, edits + done, len - done, &taken, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

const struct wg_backend_ops wg_kernel_ops = {
    .link_kind = "wireguard",
    .open = kernel_open,
    .close = kernel_close,
    .create = kernel_create,
    .dump = kernel_dump,
    .apply = kernel_apply,
};
