#include "agent/peer/beacon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/peer/heartbeat.h"
#include "agent/peer/mesh_socket.h"

#define BATCH 64       /* datagrams per call of the kernel */
#define READ_BURST 256 /* datagrams before the loop gets its turn */
#define RECEIVE_BUFFER (1 << 20)

struct beacon {
    int fd;
    struct event *readable;
    beacon_datagram_fn datagram;
    void *user;
};

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    struct beacon *beacon = user;
    uint8_t data[HEARTBEAT_SIZE_MAX + 1]; /* one more byte shows that a datagram is too long */
    (void)what;
    for (int i = 0; i < READ_BURST; i++) {
        struct sockaddr_in source;
        socklen_t source_len = sizeof(source);
        const ssize_t len =
            recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&source, &source_len);
        if (len < 0)
            return;
        if (source_len == sizeof(source) && ntohs(source.sin_port) == BEACON_PORT &&
            (size_t)len <= HEARTBEAT_SIZE_MAX)
            beacon->datagram(beacon->user, ntohl(source.sin_addr.s_addr), data, (size_t)len);
    }
}

struct beacon *beacon_new(struct event_base *base, uint32_t mesh_ip, beacon_datagram_fn datagram, void *user,
                          struct am_err *err)
{
    static const int buffer = RECEIVE_BUFFER;
    struct beacon *beacon = calloc(1, sizeof(*beacon));
    if (!beacon) {
        am_fail(err, -ENOMEM, "out of memory");
        return NULL;
    }
    beacon->datagram = datagram;
    beacon->user = user;
    beacon->fd = mesh_socket_bind(SOCK_DGRAM, mesh_ip, BEACON_PORT, err);
    if (beacon->fd < 0) {
        free(beacon);
        return NULL;
    }
    if (setsockopt(beacon->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) != 0)
        setsockopt(beacon->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)); /* as much as one may */
    beacon->readable = event_new(base, beacon->fd, EV_READ | EV_PERSIST, on_readable, beacon);
    if (beacon->readable && event_add(beacon->readable, NULL) == 0)
        return beacon;
    am_fail(err, -ENOMEM, "out of memory");
    beacon_free(beacon);
    return NULL;
}

void beacon_free(struct beacon *beacon)
{
    if (!beacon)
        return;
    if (beacon->readable)
        event_free(beacon->readable);
    close(beacon->fd);
    free(beacon);
}

/* Sends to at most BATCH addresses; an address that fails is skipped. */
static size_t send_batch(int fd, struct iovec *data, const uint32_t *ips, size_t ips_len)
{
    struct sockaddr_in addresses[BATCH];
    struct mmsghdr messages[BATCH];
    size_t taken = 0, at = 0;
    for (size_t i = 0; i < ips_len; i++) {
        addresses[i] = mesh_socket_address(ips[i], BEACON_PORT);
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &addresses[i],
                                                   .msg_namelen = sizeof(addresses[i]),
                                                   .msg_iov = data,
                                                   .msg_iovlen = 1}};
    }
    while (at < ips_len) {
        const int sent = sendmmsg(fd, messages + at, (unsigned)(ips_len - at), MSG_DONTWAIT);
        taken += sent > 0 ? (size_t)sent : 0;
        at += sent > 0 ? (size_t)sent : 1;
    }
    return taken;
}

size_t beacon_send(struct beacon *beacon, const uint8_t *data, size_t len, const uint32_t *ips,
                   size_t ips_len)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    size_t taken = 0;
    for (size_t at = 0; at < ips_len; at += BATCH)
        taken += send_batch(beacon->fd, &iov, ips + at, ips_len - at < BATCH ? ips_len - at : BATCH);
    return taken;
}
