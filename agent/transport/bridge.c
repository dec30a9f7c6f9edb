#include "agent/transport/bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/transport/clock.h"
#include "agent/transport/loopback.h"
#include "agent/transport/outbox.h"

/* The default of 208 KiB is the cliff that relayed WireGuard falls from. */
#define SOCKET_BUFFER_SIZE (7 * 1024 * 1024)
#define MESSAGE_SIZE_MAX 65536
#define GUARD_ADDRESS 0x7ffffffeu /* 127.255.255.254: no peer's */
#define ADDRESS_LOW_OFFSET 18     /* of the last 16 bits of the destination in an IPv4 header */
#define MESSAGES_PER_CALL 32
#define CALLS_PER_WAKE 4                    /* then the streams get their turn */
#define BYTES_PER_BATCH ((size_t)64 * 1024) /* a stream's queue holds some of these */

/* Wakes that follow each other faster than BUSY_WAKE_NS bring few datagrams each and cost most of the CPU
 * time of a moderate flow. Datagrams then wait for company, where there is enough of it not so long; those
 * that come one at a time never do. */
#define BUSY_WAKE_NS 500000u
#define GATHER_FEW_NS 260000
#define GATHER_MANY_NS 150000

/* Where a message was sent to, when it arrived, and the size of the datagrams in it when the kernel has
 * coalesced several. */
union receive_control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct timespec)) +
               CMSG_SPACE(sizeof(int))];
};

/* Pages of the buffers that no large message has touched take no memory. */
struct inbox {
    struct mmsghdr messages[MESSAGES_PER_CALL];
    struct iovec parts[MESSAGES_PER_CALL];
    struct sockaddr_in sources[MESSAGES_PER_CALL];
    union receive_control controls[MESSAGES_PER_CALL];
    uint8_t bytes[MESSAGES_PER_CALL][MESSAGE_SIZE_MAX];
};

struct bridge {
    int fd;
    int guard_fd; /* the last of several workers has it */
    unsigned lo_ifindex;
    struct sockaddr_in wireguard;
    struct event *readable;
    struct bridge_events events;
    void *user;
    size_t batch_size; /* bytes received since the last batch_end */
    uint64_t woken_ns;
    unsigned woken_messages; /* what the last wake brought */
    size_t woken_bytes;
    struct inbox inbox;
    struct outbox outbox;
};

struct message_info {
    uint32_t destination;
    uint64_t arrived_unix_ms;
    size_t datagram_size; /* 0: the message is one datagram */
};

/* False when the kernel does not tell the destination. */
static bool message_read_info(struct msghdr *message, struct message_info *info)
{
    bool found = false;
    info->datagram_size = 0;
    info->arrived_unix_ms = UINT64_MAX;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo packet;
            memcpy(&packet, CMSG_DATA(part), sizeof(packet));
            info->destination = ntohl(packet.ipi_addr.s_addr);
            found = true;
        } else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec at;
            memcpy(&at, CMSG_DATA(part), sizeof(at));
            info->arrived_unix_ms = clock_ms(&at);
        } else if (part->cmsg_level == SOL_UDP && part->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(part), sizeof(size));
            info->datagram_size = size > 0 ? (size_t)size : 0;
        }
    }
    return found;
}

static bool from_wireguard(const struct bridge *bridge, const struct sockaddr_in *source)
{
    return source->sin_family == AF_INET && source->sin_port == bridge->wireguard.sin_port &&
           ntohl(source->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static void inbox_prepare(struct inbox *inbox)
{
    for (size_t i = 0; i < MESSAGES_PER_CALL; i++) {
        inbox->parts[i] = (struct iovec){inbox->bytes[i], MESSAGE_SIZE_MAX};
        inbox->messages[i].msg_hdr = (struct msghdr){.msg_name = &inbox->sources[i],
                                                     .msg_namelen = sizeof(inbox->sources[i]),
                                                     .msg_iov = &inbox->parts[i],
                                                     .msg_iovlen = 1,
                                                     .msg_control = &inbox->controls[i],
                                                     .msg_controllen = sizeof(inbox->controls[i])};
    }
}

/* Datagrams of strangers, or to no peer's address, are skipped. A clock that was stepped back meanwhile makes
 * nothing late. */
static void bridge_take_message(struct bridge *bridge, size_t number, uint64_t unix_ms)
{
    struct inbox *inbox = &bridge->inbox;
    const uint8_t *data = inbox->bytes[number];
    size_t len = inbox->messages[number].msg_len;
    struct message_info info;
    uint32_t index;
    if (!from_wireguard(bridge, &inbox->sources[number]) ||
        !message_read_info(&inbox->messages[number].msg_hdr, &info) ||
        !loopback_index_of_address(info.destination, &index))
        return;
    const uint64_t waited_ms = unix_ms > info.arrived_unix_ms ? unix_ms - info.arrived_unix_ms : 0;
    bridge->batch_size += len;
    bridge->woken_bytes += len;
    do {
        const size_t size = info.datagram_size && info.datagram_size < len ? info.datagram_size : len;
        bridge->events.datagram(bridge->user, index, data, size, waited_ms);
        data += size;
        len -= size;
    } while (len);
}

static void bridge_end_batch(struct bridge *bridge, bool more)
{
    bridge->batch_size = 0;
    bridge->events.batch_end(bridge->user, more);
}

/* False when nothing more is there. */
static bool bridge_receive(struct bridge *bridge)
{
    inbox_prepare(&bridge->inbox);
    const int count = recvmmsg(bridge->fd, bridge->inbox.messages, MESSAGES_PER_CALL, MSG_DONTWAIT, NULL);
    if (count < 0)
        return errno == EINTR;
    bridge->woken_messages += (unsigned)count;
    /* Only a backlog makes late: dropping the last that wait would help nobody. */
    const uint64_t unix_ms = count == MESSAGES_PER_CALL ? clock_unix_ms() : 0;
    for (int i = 0; i < count; i++) {
        bridge_take_message(bridge, (size_t)i, unix_ms);
        if (bridge->batch_size >= BYTES_PER_BATCH)
            bridge_end_batch(bridge, true);
    }
    return count == MESSAGES_PER_CALL;
}

static void bridge_gather(struct bridge *bridge)
{
    const bool many = bridge->woken_bytes >= BYTES_PER_BATCH;
    const struct timespec moment = {.tv_nsec = many ? GATHER_MANY_NS : GATHER_FEW_NS};
    const uint64_t now_ns = clock_monotonic_ns();
    const bool busy = bridge->woken_messages > 1 && now_ns - bridge->woken_ns < BUSY_WAKE_NS;
    bridge->woken_ns = now_ns;
    if (busy)
        nanosleep(&moment, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct bridge *bridge = user;
    bridge_gather(bridge);
    bridge->woken_messages = 0;
    bridge->woken_bytes = 0;
    for (unsigned calls = 0; calls < CALLS_PER_WAKE && bridge_receive(bridge); calls++)
        ;
    bridge_end_batch(bridge, false);
}

static void on_sent(void *user, const struct outbox_run *run, int error)
{
    const struct bridge *bridge = user;
    bridge->events.handed(bridge->user, run->index, run->count, run->len, error);
}

void bridge_flush(struct bridge *bridge)
{
    outbox_send(&bridge->outbox, bridge->fd, bridge->lo_ifindex, &bridge->wireguard, on_sent, bridge);
}

void bridge_send(struct bridge *bridge, uint32_t index, const uint8_t *data, size_t len)
{
    if (outbox_put(&bridge->outbox, index, data, len))
        return;
    bridge_flush(bridge);
    (void)outbox_put(&bridge->outbox, index, data, len); /* an empty one takes any datagram */
}

/* Beyond the system's limit with CAP_NET_ADMIN, up to it without. */
static void raise_buffer(int fd, int force_option, int option)
{
    const int size = SOCKET_BUFFER_SIZE;
    if (setsockopt(fd, SOL_SOCKET, force_option, &size, sizeof(size)))
        (void)setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size));
}

/* The kernel's part of loopback_worker_of_index: the result is the place in the order of opening. */
static int socket_choose_by_peer(int fd, unsigned workers)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (unsigned)SKF_NET_OFF + ADDRESS_LOW_OFFSET),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, workers),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program));
}

static int socket_open(const struct bridge_place *place, uint32_t address)
{
    static const char lo[] = "lo";
    const int shared = place->workers > 1;
    const struct sockaddr_in local = {
        .sin_family = AF_INET, .sin_port = htons(place->port), .sin_addr.s_addr = htonl(address)};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, lo, sizeof(lo)) &&
        !setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof(shared)) &&
        !bind(fd, (const struct sockaddr *)&local, sizeof(local)))
        return fd;
    const int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

/* When all workers are there the port is closed to everybody else: a socket that does not share it, at an
 * address that is no peer's, refuses a second agent, which would get a part of our datagrams. */
static int bridge_guard_port(struct bridge *bridge, const struct bridge_place *place)
{
    static const int off = 0;
    if (place->workers == 1 || place->number + 1 < place->workers)
        return 0;
    bridge->guard_fd = socket_open(place, GUARD_ADDRESS);
    return bridge->guard_fd < 0 ? -1
                                : setsockopt(bridge->guard_fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
}

static int bridge_open_socket(struct bridge *bridge, const struct bridge_place *place, struct am_err *err)
{
    const int on = 1;
    bridge->lo_ifindex = if_nametoindex("lo");
    bridge->fd = socket_open(place, INADDR_ANY);
    if (!bridge->lo_ifindex || bridge->fd < 0)
        return am_fail(err, -errno, "loopback socket: UDP port %u on lo: %s", place->port, strerror(errno));
    if (place->workers > 1 && !place->number && socket_choose_by_peer(bridge->fd, place->workers))
        return am_fail(err, -errno, "loopback socket: choosing by peer: %s", strerror(errno));
    if (bridge_guard_port(bridge, place))
        return am_fail(err, -errno, "loopback socket: keeping UDP port %u: %s", place->port, strerror(errno));
    if (setsockopt(bridge->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)))
        return am_fail(err, -errno, "loopback socket: packet info: %s", strerror(errno));
    if (setsockopt(bridge->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)))
        return am_fail(err, -errno, "loopback socket: time stamps: %s", strerror(errno));
    (void)setsockopt(bridge->fd, SOL_UDP, UDP_GRO, &on, sizeof(on)); /* Linux 5.0 or later */
    raise_buffer(bridge->fd, SO_RCVBUFFORCE, SO_RCVBUF);
    raise_buffer(bridge->fd, SO_SNDBUFFORCE, SO_SNDBUF);
    return 0;
}

struct bridge *bridge_new(struct event_base *base, const struct bridge_place *place,
                          const struct bridge_events *events, void *user, struct am_err *err)
{
    struct bridge *bridge = calloc(1, sizeof(*bridge));
    if (!bridge) {
        am_fail(err, -ENOMEM, "loopback socket: out of memory");
        return NULL;
    }
    bridge->fd = bridge->guard_fd = -1;
    bridge->wireguard = (struct sockaddr_in){.sin_family = AF_INET,
                                             .sin_port = htons(place->wireguard_port),
                                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bridge->events = *events;
    bridge->user = user;
    if (bridge_open_socket(bridge, place, err))
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
    if (bridge->guard_fd >= 0)
        close(bridge->guard_fd);
    if (bridge->fd >= 0)
        close(bridge->fd);
    free(bridge);
}
