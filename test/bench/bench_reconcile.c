/* The reconciler beside the stock tool on one kernel device with many peers. Prints `name value` lines.
 *
 *   bench_reconcile PEERS ROUNDS
 *
 * For a kernel of its own (test/bench/reconcile boots one): it makes and removes the interface attestmesh0,
 * and counts every netlink message of the system. Times are medians over the rounds; the tool's and ours
 * alternate in one run. Keepalives are off, since thousands of handshakes to nowhere would be measured
 * instead. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/box.h"
#include "netlink/reconcile.h"

#define IFNAME "attestmesh0"
#define CONFIG_FILE "/run/bench.conf"
#define ROUNDS_MAX 15
#define DUMPS_PER_ROUND 3
#define COUNTER_BUFFER_SIZE (8 * 1024 * 1024)

struct samples {
    double ms[ROUNDS_MAX * DUMPS_PER_ROUND];
    size_t len;
};

static struct wg_device_desired desired;
static struct wg_peer *peers;

__attribute__((format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("bench_reconcile: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void run(const char *command)
{
    if (system(command) != 0)
        die("failed: %s", command);
}

static double clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void note(struct samples *samples, double since_ms)
{
    samples->ms[samples->len++] = clock_ms() - since_ms;
}

static int compare_ms(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(struct samples *samples)
{
    qsort(samples->ms, samples->len, sizeof(samples->ms[0]), compare_ms);
    return samples->ms[samples->len / 2];
}

static int compare_peers(const void *a, const void *b)
{
    const struct wg_peer *left = a, *right = b;
    return memcmp(left->pubkey.b, right->pubkey.b, sizeof(left->pubkey.b));
}

static void make_peer(struct wg_peer *peer, uint32_t index)
{
    uint8_t v6[16] = {0xfd, 1, 2, 3, 4, 5};
    be32_write(v6 + 12, index + 1);
    *peer = (struct wg_peer){.endpoint = wg_endpoint_v4(0x7f400000 + index + 1, 51901),
                             .prefixes = {wg_prefix_v4(0x0a0d0100 + index, 32), wg_prefix_v6(v6, 128)},
                             .prefixes_len = 2};
    randombytes_buf(peer->pubkey.b, sizeof(peer->pubkey.b));
}

static void make_desired(struct secret *key, size_t peers_len)
{
    const uint8_t own[16] = {0xfd, 1, 2, 3, 4, 5, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9};
    const uint8_t mesh[16] = {0xfd, 1, 2, 3, 4, 5};
    peers = calloc(peers_len, sizeof(*peers));
    if (!peers)
        die("no memory");
    for (uint32_t i = 0; i < peers_len; i++)
        make_peer(&peers[i], i);
    qsort(peers, peers_len, sizeof(*peers), compare_peers);
    memset(key->b, 0x42, sizeof(key->b));
    desired =
        (struct wg_device_desired){.private_key = key,
                                   .listen_port = 51821,
                                   .mtu = 1420,
                                   .addresses = {wg_prefix_v4(0x0a0d0001, 32), wg_prefix_v6(own, 128)},
                                   .addresses_len = 2,
                                   .routes = {{wg_prefix_v4(0x0a0d0000, 16), 0}, {wg_prefix_v6(mesh, 48), 0}},
                                   .routes_len = 2,
                                   .peers = peers,
                                   .peers_len = peers_len};
    if (box_pubkey_of_secret(key, &desired.public_key) < 0)
        die("no public key");
}

/* The same set as text for `wg setconf`. */
static void write_config(void)
{
    char key[WG_KEY_TEXT_SIZE], v4[WG_PREFIX_TEXT_SIZE], v6[WG_PREFIX_TEXT_SIZE];
    const struct bytes32 *private_key = (const struct bytes32 *)desired.private_key->b;
    FILE *file = fopen(CONFIG_FILE, "w");
    if (!file)
        die("%s: %s", CONFIG_FILE, strerror(errno));
    fprintf(file, "[Interface]\nPrivateKey = %s\nListenPort = %u\n", wg_key_text(private_key, key),
            desired.listen_port);
    for (size_t i = 0; i < desired.peers_len; i++) {
        const struct wg_peer *peer = &desired.peers[i];
        const uint8_t *ip = peer->endpoint.address;
        fprintf(file, "[Peer]\nPublicKey = %s\nEndpoint = %u.%u.%u.%u:%u\nAllowedIPs = %s,%s\n",
                wg_key_text(&peer->pubkey, key), ip[0], ip[1], ip[2], ip[3], peer->endpoint.port,
                wg_prefix_text(&peer->prefixes[0], v4), wg_prefix_text(&peer->prefixes[1], v6));
    }
    fclose(file);
}

static struct reconciler *open_reconciler(void)
{
    struct am_err err = {0};
    struct reconciler *r = reconciler_new(WG_BACKEND_KERNEL, IFNAME, &err);
    if (!r)
        die("%s", err.text);
    return r;
}

/* One pass, which plans at least `least` and at most `most` edits. */
static void apply(struct reconciler *r, size_t least, size_t most)
{
    struct am_err err = {0};
    struct reconcile_result result;
    if (reconciler_apply(r, &desired, 0, &result, &err) < 0)
        die("%s", err.text);
    if (result.failed > 0)
        die("%zu edits failed: %s", result.failed, result.failure.text);
    if (result.planned < least || result.planned > most)
        die("%zu edits instead of %zu to %zu", result.planned, least, most);
}

static void measure_setconf(struct samples *samples)
{
    run("ip link add " IFNAME " type wireguard");
    const double since_ms = clock_ms();
    run("wg setconf " IFNAME " " CONFIG_FILE);
    note(samples, since_ms);
    run("ip link del " IFNAME);
}

static void measure_first(struct reconciler *r, struct samples *samples)
{
    const double since_ms = clock_ms();
    apply(r, desired.peers_len, desired.peers_len + 16);
    note(samples, since_ms);
}

static void measure_unchanged(struct reconciler *r, struct samples *tool, struct samples *ours)
{
    for (int i = 0; i < DUMPS_PER_ROUND; i++) {
        double since_ms = clock_ms();
        run("wg show " IFNAME " dump >/dev/null");
        note(tool, since_ms);
        since_ms = clock_ms();
        apply(r, 0, 0);
        note(ours, since_ms);
    }
}

/* A socket that sees every netlink message of the system. */
static int open_counter(void)
{
    const int size = COUNTER_BUFFER_SIZE;
    run("modprobe nlmon && ip link add nlmon0 type nlmon && ip link set nlmon0 up");
    const struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                        .sll_protocol = htons(ETH_P_ALL),
                                        .sll_ifindex = (int)if_nametoindex("nlmon0")};
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        die("nlmon0: %s", strerror(errno));
    return fd;
}

/* How many requests were made since the last call. */
static size_t count_requests(int counter)
{
    static _Alignas(8) uint8_t buffer[65536];
    size_t count = 0;
    for (;;) {
        const ssize_t len = recv(counter, buffer, sizeof(buffer), 0);
        if (len < 0)
            return count;
        unsigned left = (unsigned)len;
        for (const struct nlmsghdr *at = (const struct nlmsghdr *)buffer; NLMSG_OK(at, left);
             at = NLMSG_NEXT(at, left))
            count += (at->nlmsg_flags & NLM_F_REQUEST) != 0;
    }
}

static size_t messages_of(struct reconciler *r, int counter, const struct wg_peer *before,
                          const struct wg_peer *after)
{
    const struct wg_peer_change change = {.before = before, .after = after};
    struct reconcile_result result;
    struct am_err err = {0};
    count_requests(counter);
    if (reconciler_apply_peers(r, &desired.public_key, &change, 1, &result, &err) < 0 || result.failed > 0 ||
        result.applied == 0)
        die("one change: %s%s", err.text, result.failure.text);
    return count_requests(counter);
}

/* The most messages that any kind of change of one peer takes; the device is as before afterwards. */
static size_t count_one_change(struct reconciler *r, int counter)
{
    struct wg_peer *first = &peers[0], moved = *first, rekeyed = *first;
    moved.endpoint.port++;
    memset(rekeyed.pubkey.b, 0x77, sizeof(rekeyed.pubkey.b));
    const struct wg_peer *steps[] = {first, &moved, first, &rekeyed, NULL, first};
    size_t most = 0;
    for (size_t i = 1; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const size_t messages = messages_of(r, counter, steps[i - 1], steps[i]);
        if (messages == 0)
            die("the counter sees nothing");
        most = messages > most ? messages : most;
    }
    apply(r, 0, 0);
    return most;
}

int main(int argc, char **argv)
{
    struct samples setconf = {0}, first = {0}, dump = {0}, unchanged = {0};
    const long peers_len = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    const long rounds = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (peers_len < 1 || peers_len > WG_PEERS_MAX || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: %s PEERS ROUNDS\n", argv[0]);
        return 2;
    }
    struct secret *key = secret_init() < 0 ? NULL : secret_new();
    if (!key)
        die("no secret memory");
    make_desired(key, (size_t)peers_len);
    write_config();
    struct reconciler *r = open_reconciler();
    size_t messages = 0;
    const int counter = open_counter();
    for (long i = 0; i < rounds; i++) {
        measure_setconf(&setconf);
        measure_first(r, &first);
        measure_unchanged(r, &dump, &unchanged);
        messages = count_one_change(r, counter);
        run("ip link del " IFNAME);
    }
    printf("reconcile_peers %ld\n", peers_len);
    printf("reconcile_setconf_ms %.0f\nreconcile_first_ms %.0f\n", median(&setconf), median(&first));
    printf("reconcile_dump_ms %.1f\nreconcile_unchanged_ms %.1f\n", median(&dump), median(&unchanged));
    printf("reconcile_first_vs_setconf %.3f\n", median(&first) / median(&setconf));
    printf("reconcile_unchanged_vs_dump %.3f\n", median(&unchanged) / median(&dump));
    printf("reconcile_one_change_messages %zu\n", messages);
    reconciler_free(r);
    secret_free(key);
    free(peers);
    close(counter);
    return 0;
}
