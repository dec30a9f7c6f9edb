/* Load generator, sink and ping for anything that carries UDP datagrams from one port of this host to
 * another.
 *
 *   bench_load [-g] [-k peers] [-m mode] -a address -p port -f port -t port -s size -r rate -d ms
 *
 * The generator sends from port -f to -a:-p, the sink listens on port -t. Peers have consecutive addresses
 * and take turns. The datagrams look like WireGuard's transport data and carry the time at which they were
 * sent. With -g they are sent with UDP_SEGMENT and received with UDP_GRO. Prints `name value` lines.
 *
 * Mode "flood", the default, sends -r datagrams a second for -d ms. Mode "limit" looks from rate -r upwards
 * for the highest that arrives with less than 0.1 % loss. In mode "ping" the sink answers, and one datagram
 * is under way at a time. The generator and the sink have the turns of the transport's threads (turn.h): they
 * stand for the kernel's WireGuard, and what is measured is not how long they wait for other programs.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/transport/turn.h"

#define BATCH 32
#define DATAGRAM_MAX 65536
#define SEGMENTED_MAX 65000 /* payload of one segmented send */
#define SEGMENTS_MAX 64
#define SAMPLES_MAX 4000000
#define STAMP_OFFSET 16
#define TICK_NS 200000
#define LOSS_PPM_MAX 1000
#define SETTLE_NS 150000000
#define BUFFER_SIZE (7 << 20)

struct load {
    struct in_addr address;
    uint16_t port;
    uint16_t from_port;
    uint16_t sink_port;
    size_t size;
    double rate;
    unsigned duration_ms;
    unsigned peers;
    bool segmented;
    int from_fd;
    int sink_fd;
};

struct result {
    uint64_t sent;
    uint64_t received;
    double seconds;
    double loss_ppm;
};

static _Atomic uint64_t received;
static uint32_t samples_us[SAMPLES_MAX]; /* of the datagrams received, as many as fit */
static uint8_t sink_buffers[BATCH][DATAGRAM_MAX];
static uint8_t source_buffer[DATAGRAM_MAX] = {0};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t at_ns)
{
    const struct timespec at = {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static int open_socket(uint16_t port, bool gro)
{
    const int size = BUFFER_SIZE;
    const int on = 1;
    const struct timeval patience = {.tv_usec = 100000};
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any)))
        err(1, "UDP port %u", port);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
        (gro && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on))))
        err(1, "UDP port %u: options", port);
    return fd;
}

static struct sockaddr_in peer_address(const struct load *load, unsigned peer)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(load->port),
                                .sin_addr.s_addr = htonl(ntohl(load->address.s_addr) + peer)};
}

static void sink_count(const uint8_t *data, size_t len, size_t datagram_size, uint64_t at_ns)
{
    for (size_t at = 0; at < len; at += datagram_size) {
        uint64_t stamp;
        memcpy(&stamp, data + at + STAMP_OFFSET, sizeof(stamp));
        const uint64_t count = atomic_fetch_add_explicit(&received, 1, memory_order_relaxed);
        if (count < SAMPLES_MAX)
            samples_us[count] = (uint32_t)((at_ns - stamp) / 1000);
    }
}

static void *sink_run(void *user)
{
    const struct load *load = user;
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    for (unsigned i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){sink_buffers[i], DATAGRAM_MAX};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (;;) {
        const int count = recvmmsg(load->sink_fd, messages, BATCH, MSG_WAITFORONE, NULL);
        const uint64_t at_ns = now_ns();
        for (int i = 0; i < count; i++)
            sink_count(sink_buffers[i], messages[i].msg_len, load->size, at_ns);
    }
    return NULL;
}

/* Sends up to `count` datagrams to one peer; returns how many went. */
static unsigned send_segmented(const struct load *load, unsigned peer, unsigned count)
{
    const size_t fit = SEGMENTED_MAX / load->size < SEGMENTS_MAX ? SEGMENTED_MAX / load->size : SEGMENTS_MAX;
    const unsigned segments = count < fit ? count : (unsigned)fit;
    const uint16_t size = (uint16_t)load->size;
    const uint64_t stamp = now_ns();
    struct sockaddr_in to = peer_address(load, peer);
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(size))];
    } control = {0};
    struct iovec part = {source_buffer, segments * load->size};
    struct msghdr message = {.msg_name = &to,
                             .msg_namelen = sizeof(to),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(size));
    memcpy(CMSG_DATA(header), &size, sizeof(size));
    for (unsigned i = 0; i < segments; i++) {
        source_buffer[i * load->size] = 4;
        memcpy(source_buffer + i * load->size + STAMP_OFFSET, &stamp, sizeof(stamp));
    }
    return sendmsg(load->from_fd, &message, 0) < 0 ? 0 : segments;
}

static unsigned send_single(const struct load *load, unsigned peer)
{
    const uint64_t stamp = now_ns();
    const struct sockaddr_in to = peer_address(load, peer);
    memcpy(source_buffer + STAMP_OFFSET, &stamp, sizeof(stamp));
    return sendto(load->from_fd, source_buffer, load->size, 0, (const struct sockaddr *)&to, sizeof(to)) > 0;
}

/* Sends `rate` datagrams a second and waits until what arrives has arrived. */
static struct result flood(const struct load *load, double rate)
{
    struct result result = {0};
    atomic_store(&received, 0);
    const uint64_t start_ns = now_ns();
    const uint64_t duration_ns = (uint64_t)load->duration_ms * 1000000;
    const uint64_t half_interval_ns = (uint64_t)(5e8 / rate);
    const uint64_t pause_ns = half_interval_ns > TICK_NS ? half_interval_ns : TICK_NS;
    unsigned peer = 0;
    for (uint64_t elapsed_ns = 0; elapsed_ns < duration_ns; elapsed_ns = now_ns() - start_ns) {
        const uint64_t due = (uint64_t)(rate * (double)elapsed_ns / 1e9) + 1;
        while (result.sent < due && now_ns() - start_ns < duration_ns) {
            result.sent += load->segmented ? send_segmented(load, peer, (unsigned)(due - result.sent))
                                           : send_single(load, peer);
            peer = (peer + 1) % load->peers;
        }
        sleep_until(now_ns() + pause_ns);
    }
    result.seconds = (double)(now_ns() - start_ns) / 1e9;
    sleep_until(now_ns() + SETTLE_NS);
    result.received = atomic_load(&received);
    if (result.sent > result.received)
        result.loss_ppm = (double)(result.sent - result.received) * 1e6 / (double)result.sent;
    return result;
}

/* A machine shared with others drops now and then for no fault of ours: two of three attempts must fail. */
static bool sustains(const struct load *load, double rate, struct result *best)
{
    for (unsigned attempt = 0, failures = 0; attempt < 3 && failures < 2; attempt++) {
        const struct result result = flood(load, rate);
        const bool reached = (double)result.sent >= 0.95 * rate * result.seconds;
        if (reached && result.loss_ppm < LOSS_PPM_MAX) {
            *best = result;
            return true;
        }
        failures++;
    }
    return false;
}

static struct result find_limit(const struct load *load)
{
    struct result best = {.seconds = 1};
    double low = 0;
    double high = load->rate;
    while (sustains(load, high, &best)) {
        low = high;
        high *= 1.6;
    }
    for (unsigned step = 0; step < 4; step++) {
        const double middle = (low + high) / 2;
        if (sustains(load, middle, &best))
            low = middle;
        else
            high = middle;
    }
    return best;
}

static void *echo_run(void *user)
{
    const struct load *load = user;
    for (;;) {
        struct sockaddr_in from;
        socklen_t from_len = sizeof(from);
        const ssize_t len =
            recvfrom(load->sink_fd, sink_buffers[0], DATAGRAM_MAX, 0, (struct sockaddr *)&from, &from_len);
        if (len > 0)
            sendto(load->sink_fd, sink_buffers[0], (size_t)len, 0, (const struct sockaddr *)&from, from_len);
    }
    return NULL;
}

static struct result ping(const struct load *load)
{
    struct result result = {0};
    const uint64_t start_ns = now_ns();
    const uint64_t duration_ns = (uint64_t)load->duration_ms * 1000000;
    atomic_store(&received, 0);
    while (now_ns() - start_ns < duration_ns) {
        result.sent += send_single(load, 0);
        const ssize_t len = recv(load->from_fd, sink_buffers[1], DATAGRAM_MAX, 0);
        if (len == (ssize_t)load->size)
            sink_count(sink_buffers[1], (size_t)len, load->size, now_ns());
    }
    result.received = atomic_load(&received);
    result.seconds = (double)(now_ns() - start_ns) / 1e9;
    return result;
}

static int compare_samples(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void print_result(const struct load *load, const struct result *result)
{
    const size_t count = result->received < SAMPLES_MAX ? result->received : SAMPLES_MAX;
    qsort(samples_us, count, sizeof(samples_us[0]), compare_samples);
    printf("offered_pps %.0f\n", (double)result->sent / result->seconds);
    printf("pps %.0f\n", (double)result->received / result->seconds);
    printf("mbit_s %.1f\n", (double)result->received * 8 * (double)load->size / result->seconds / 1e6);
    printf("received %llu\n", (unsigned long long)result->received);
    printf("loss_ppm %.0f\n", result->loss_ppm);
    printf("p50_us %u\n", count ? samples_us[count / 2] : 0);
    printf("p99_us %u\n", count ? samples_us[count * 99 / 100] : 0);
}

static struct load parse_arguments(int argc, char **argv, const char **mode)
{
    struct load load = {.peers = 1, .duration_ms = 1000, .rate = 10000, .size = 1452};
    for (int option; (option = getopt(argc, argv, "a:p:f:t:s:r:d:k:m:g")) != -1;) {
        switch (option) {
        case 'a': inet_pton(AF_INET, optarg, &load.address); break;
        case 'p': load.port = (uint16_t)atoi(optarg); break;
        case 'f': load.from_port = (uint16_t)atoi(optarg); break;
        case 't': load.sink_port = (uint16_t)atoi(optarg); break;
        case 's': load.size = (size_t)atoi(optarg); break;
        case 'r': load.rate = atof(optarg); break;
        case 'd': load.duration_ms = (unsigned)atoi(optarg); break;
        case 'k': load.peers = (unsigned)atoi(optarg); break;
        case 'm': *mode = optarg; break;
        case 'g': load.segmented = true; break;
        default: errx(2, "see the top of the source for usage");
        }
    }
    if (load.size < 32 || load.size > SEGMENTED_MAX || !load.peers || load.rate <= 0)
        errx(2, "size 32..%d, peers and rate above 0", SEGMENTED_MAX);
    return load;
}

int main(int argc, char **argv)
{
    const char *mode = "flood";
    struct load load = parse_arguments(argc, argv, &mode);
    const bool is_ping = strcmp(mode, "ping") == 0;
    pthread_t sink;
    prctl(PR_SET_TIMERSLACK, 1);
    turn_shorten();
    source_buffer[0] = 4;
    load.from_fd = open_socket(load.from_port, false);
    load.sink_fd = open_socket(load.sink_port, load.segmented);
    if (pthread_create(&sink, NULL, is_ping ? echo_run : sink_run, &load))
        errx(1, "no thread");
    const struct result result = is_ping                      ? ping(&load)
                                 : strcmp(mode, "limit") == 0 ? find_limit(&load)
                                                              : flood(&load, load.rate);
    print_result(&load, &result);
    return 0;
}
