#include "agent/transport/bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/transport/loopback.h"

/* The default of 208 KiB is the cliff that relayed WireGuard falls from. */
#define SOCKET_BUFFER_SIZE (7 * 1024 * 1024)
#define DATAGRAM_SIZE_MAX 65536
#define DATAGRAMS_PER_WAKE 64 /* then the streams get their turn */

struct bridge {
    int fd;
    unsigned lo_ifindex;
    uint16_t wireguard_port;
    struct event *readable;
    struct bridge_events events;
    void *user;
    uint8_t buffer[DATAGRAM_SIZE_MAX];
};

union pktinfo_control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* The address a datagram was sent to; false when the kernel does not tell. */
static bool pktinfo_destination(struct msghdr *message, uint32_t *address)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != IPPROTO_IP || part->cmsg_type != IP_PKTINFO)
            continue;
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(part), sizeof(info));
        *address = ntohl(info.ipi_addr.s_addr);
        return true;
    }
    return false;
}

static bool from_wireguard(const struct bridge *bridge, const struct sockaddr_in *source)
{
    return source->sin_family == AF_INET && ntohs(source->sin_port) == bridge->wireguard_port &&
           ntohl(source->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* False when nothing more is there. Datagrams of strangers, or to no peer's address, are skipped. */
static bool bridge_receive(struct bridge *bridge)
{
    struct sockaddr_in source;
    union pktinfo_control control;
    struct iovec part = {bridge->buffer, sizeof(bridge->buffer)};
    struct msghdr message = {.msg_name = &source,
                             .msg_namelen = sizeof(source),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    const ssize_t len = recvmsg(bridge->fd, &message, 0);
    if (len < 0)
        return errno == EINTR;
    uint32_t destination;
    uint32_t index;
    if (from_wireguard(bridge, &source) && pktinfo_destination(&message, &destination) &&
        loopback_index_of_address(destination, &index))
        bridge->events.datagram(bridge->user, index, bridge->buffer, (size_t)len);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct bridge *bridge = user;
    for (unsigned count = 0; count < DATAGRAMS_PER_WAKE && bridge_receive(bridge); count++)
        ;
    bridge->events.batch_end(bridge->user);
}

int bridge_send(struct bridge *bridge, uint32_t index, const uint8_t *data, size_t len)
{
    struct sockaddr_in wireguard = {.sin_family = AF_INET,
                                    .sin_port = htons(bridge->wireguard_port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct in_pktinfo source = {.ipi_ifindex = (int)bridge->lo_ifindex,
                                      .ipi_spec_dst.s_addr = htonl(loopback_address_of_index(index))};
    union pktinfo_control control = {0};
    struct iovec part = {(void *)data, len};
    struct msghdr message = {.msg_name = &wireguard,
                             .msg_namelen = sizeof(wireguard),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof(source));
    memcpy(CMSG_DATA(header), &source, sizeof(source));
    return sendmsg(bridge->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Beyond the system's limit with CAP_NET_ADMIN, up to it without. */
static void raise_buffer(int fd, int force_option, int option)
{
    const int size = SOCKET_BUFFER_SIZE;
    if (setsockopt(fd, SOL_SOCKET, force_option, &size, sizeof(size)))
        (void)setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size));
}

static int bridge_open_socket(struct bridge *bridge, uint16_t port, struct am_err *err)
{
    static const char lo[] = "lo";
    const int on = 1;
    const struct sockaddr_in any = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    bridge->lo_ifindex = if_nametoindex(lo);
    bridge->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (!bridge->lo_ifindex || bridge->fd < 0)
        return am_fail(err, -errno, "loopback socket: %s", strerror(errno));
    if (setsockopt(bridge->fd, SOL_SOCKET, SO_BINDTODEVICE, lo, sizeof(lo)))
        return am_fail(err, -errno, "loopback socket: binding to the interface lo: %s", strerror(errno));
    if (setsockopt(bridge->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)))
        return am_fail(err, -errno, "loopback socket: packet info: %s", strerror(errno));
    if (bind(bridge->fd, (const struct sockaddr *)&any, sizeof(any)))
        return am_fail(err, -errno, "loopback socket: UDP port %u on lo: %s", port, strerror(errno));
    raise_buffer(bridge->fd, SO_RCVBUFFORCE, SO_RCVBUF);
    raise_buffer(bridge->fd, SO_SNDBUFFORCE, SO_SNDBUF);
    return 0;
}

struct bridge *bridge_new(struct event_base *base, uint16_t port, uint16_t wireguard_port,
                          const struct bridge_events *events, void *user, struct am_err *err)
{
    struct bridge *bridge = calloc(1, sizeof(*bridge));
    if (!bridge) {
        am_fail(err, -ENOMEM, "loopback socket: out of memory");
        return NULL;
    }
    bridge->fd = -1;
    bridge->wireguard_port = wireguard_port;
    bridge->events = *events;
    bridge->user = user;
    if (bridge_open_socket(bridge, port, err))
        goto fail;
    bridge->readable = event_new(base, bridge->fd, EV_READ | EV_PERSIST, on_readable, bridge);
    if (!bridge->readable || event_add(bridge->readable, NULL)) {
        am_fail(err, -ENOMEM, "loopback socket: out of memory");
        goto fail;
    }
    return bridge;

fail:
    bridge_free(bridge);
    return NULL;
}

void bridge_free(struct bridge *bridge)
{
    if (!bridge)
        return;
    if (bridge->readable)
        event_free(bridge->readable);
    if (bridge->fd >= 0)
        close(bridge->fd);
    free(bridge);
}
