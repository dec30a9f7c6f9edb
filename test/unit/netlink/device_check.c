/* Drives a real WireGuard device through the reconciler, with `wg` and `ip` as witnesses and as vandals.
 *
 *   device_check kernel|userspace
 *
 * Runs in network and mount namespaces of its own. Exit code 0: all checks passed; 1: one failed; 77:
 * skipped, with the reason on standard output. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/box.h"
#include "netlink/reconcile.h"

#define IFNAME "attestmesh0"
#define SKIPPED 77
#define PEERS_MANY 1000
#define LARGE_MTU 8000
#define WITNESS_MAX (512 * 1024)

static enum wg_backend_kind kind;
static struct wg_device_desired desired;
static struct wg_peer peers[PEERS_MANY];
static struct reconciler *reconciler;
static int failures;

static void check(bool ok, const char *what)
{
    printf("%s - %s\n", ok ? "ok" : "FAILED", what);
    failures += !ok;
}

__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    return system(command);
}

/* What a command prints, in a static buffer. */
static const char *output_of(const char *command)
{
    static char text[WITNESS_MAX];
    FILE *pipe = popen(command, "r");
    if (!pipe)
        return "";
    const size_t len = fread(text, 1, sizeof(text) - 1, pipe);
    text[len] = '\0';
    pclose(pipe);
    return text;
}

static void make_peer(struct wg_peer *peer, uint32_t index)
{
    uint8_t v6[16] = {0xfd, 1, 2, 3, 4, 5};
    *peer = (struct wg_peer){.keepalive_s = 25, .prefixes_len = 2};
    be32_write(peer->pubkey.b, index + 1);
    memset(peer->pubkey.b + 4, 0x5a, sizeof(peer->pubkey.b) - 4);
    peer->endpoint = wg_endpoint_v4(0x7f400000 + index + 1, 51901);
    peer->prefixes[0] = wg_prefix_v4(0x0a0d0100 + index, 32);
    be32_write(v6 + 12, index + 1);
    peer->prefixes[1] = wg_prefix_v6(v6, 128);
}

static void make_desired(struct secret *key, size_t peers_len)
{
    const uint8_t own[16] = {0xfd, 1, 2, 3, 4, 5, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9};
    const uint8_t mesh[16] = {0xfd, 1, 2, 3, 4, 5};
    for (uint32_t i = 0; i < PEERS_MANY; i++)
        make_peer(&peers[i], i);
    memset(key->b, 0x42, sizeof(key->b));
    desired = (struct wg_device_desired){
        .private_key = key,
        .listen_port = 51821,
        .mtu = LARGE_MTU,
        .addresses = {wg_prefix_v4(0x0a0d0001, 32), wg_prefix_v6(own, 128)},
        .addresses_len = 2,
        .routes = {{wg_prefix_v4(0x0a0d0000, 16), 1420}, {wg_prefix_v6(mesh, 48), 1420}},
        .routes_len = 2,
        .peers = peers,
        .peers_len = peers_len};
    if (box_pubkey_of_secret(key, &desired.public_key) < 0)
        abort();
}

static struct reconcile_result apply_once(void)
{
    struct reconcile_result result;
    struct am_err err = {0};
    const int rc = reconciler_apply(reconciler, &desired, 0, &result, &err);
    if (rc < 0)
        printf("# apply: %s\n", err.text);
    if (result.failed)
        printf("# %zu of %zu edits failed, first: %s\n", result.failed, result.planned, result.failure.text);
    result.failed += rc < 0;
    return result;
}

/* One pass repairs, the next finds nothing to do. */
static void check_repair(const char *what)
{
    char name[160];
    const struct reconcile_result first = apply_once();
    const struct reconcile_result second = apply_once();
    snprintf(name, sizeof(name), "%s: %zu edits, then none", what, first.planned);
    check(first.planned > 0 && first.failed == 0 && second.planned == 0 && second.failed == 0, name);
}

static bool line_names_peer(const char *dump, const struct wg_peer *peer)
{
    char key[WG_KEY_TEXT_SIZE], start[256], v4[WG_PREFIX_TEXT_SIZE], v6[WG_PREFIX_TEXT_SIZE], one[512],
        two[512];
    const uint8_t *ip = peer->endpoint.address;
    snprintf(start, sizeof(start), "\n%s\t(none)\t%u.%u.%u.%u:%u\t", wg_key_text(&peer->pubkey, key), ip[0],
             ip[1], ip[2], ip[3], peer->endpoint.port);
    wg_prefix_text(&peer->prefixes[0], v4);
    wg_prefix_text(&peer->prefixes[1], v6);
    /* The two allowed IPs come in either order. */
    snprintf(one, sizeof(one), "%s%s,%s\t", start, v4, v6);
    snprintf(two, sizeof(two), "%s%s,%s\t", start, v6, v4);
    const char *line = strstr(dump, one);
    if (!line)
        line = strstr(dump, two);
    const char *end = line ? strchr(line + 1, '\n') : NULL;
    return end && end - line > 3 && memcmp(end - 3, "\t25", 3) == 0;
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/* The stock tool sees exactly what is desired. */
static void check_witness(const char *what)
{
    char name[160], key[WG_KEY_TEXT_SIZE], device[128];
    const char *dump = output_of("wg show " IFNAME " dump");
    snprintf(device, sizeof(device), "\t%s\t51821\toff\n", wg_key_text(&desired.public_key, key));
    bool agrees = strstr(dump, device) && count_lines(dump) == desired.peers_len + 1;
    for (size_t i = 0; agrees && i < desired.peers_len; i++)
        agrees = line_names_peer(dump, &desired.peers[i]);
    const char *links = output_of("ip -o address show dev " IFNAME "; ip -o link show " IFNAME
                                  "; ip route show dev " IFNAME "; ip -6 route show dev " IFNAME);
    agrees = agrees && strstr(links, "10.13.0.1/32") && strstr(links, "fd01:203:405:0:909:909:909:909/128") &&
             strstr(links, "mtu 8000") && strstr(links, "10.13.0.0/16") &&
             strstr(links, "fd01:203:405::/48") && strstr(links, ",UP");
    snprintf(name, sizeof(name), "%s: wg and ip agree", what);
    check(agrees, name);
    if (!agrees)
        printf("# %.2000s", links);
}

static void test_tampering(void)
{
    char key[WG_KEY_TEXT_SIZE], last[WG_KEY_TEXT_SIZE];
    wg_key_text(&peers[0].pubkey, key);
    wg_key_text(&peers[1].pubkey, last);

    run("wg set " IFNAME " peer %s remove", key);
    check_repair("peer removed by hand");
    run("wg set " IFNAME " peer $(wg genkey) allowed-ips 10.13.9.9/32");
    check_repair("foreign peer");
    run("wg set " IFNAME " peer %s endpoint 127.9.9.9:9", key);
    check_repair("endpoint changed by hand");
    run("wg set " IFNAME " peer %s allowed-ips 10.13.1.0/32,10.1.0.0/32,10.1.0.1/32,10.1.0.2/32,10.1.0.3/32",
        key);
    check_repair("too many allowed IPs");
    run("wg set " IFNAME " peer %s allowed-ips 10.13.1.0/32,10.13.1.1/32", key);
    check_repair("allowed IP taken from another peer");
    run("wg genpsk | wg set " IFNAME " peer %s preshared-key /dev/stdin persistent-keepalive off", last);
    check_repair("preshared key and keepalive");
    run("wg genkey | wg set " IFNAME " private-key /dev/stdin listen-port 4242 fwmark 7");
    check_repair("private key, port and mark");
    check_witness("after tampering with WireGuard");

    run("ip address add 10.9.9.9/24 dev " IFNAME "; ip address del 10.13.0.1/32 dev " IFNAME
        "; ip link set " IFNAME " mtu 1300; ip route add 10.77.0.0/16 dev " IFNAME);
    check_repair("addresses, mtu and a foreign route");
    run("ip link set " IFNAME " down");
    check_repair("link down");
    check_witness("after tampering with the link");
}

static bool told_within_a_second(void)
{
    struct pollfd entry = {.fd = reconciler_watch_fd(reconciler), .events = POLLIN};
    for (int i = 0; i < 100; i++) {
        if (poll(&entry, 1, 10) > 0 && reconciler_watch_read(reconciler))
            return true;
    }
    return false;
}

static void read_all_news(void)
{
    struct pollfd entry = {.fd = reconciler_watch_fd(reconciler), .events = POLLIN};
    while (poll(&entry, 1, 50) > 0)
        reconciler_watch_read(reconciler);
}

static void check_told(const char *command)
{
    char name[160];
    read_all_news();
    run("%s", command);
    snprintf(name, sizeof(name), "told: %s", command);
    check(told_within_a_second(), name);
    snprintf(name, sizeof(name), "%s", command);
    check_repair(name);
}

static void check_not_told(const char *command)
{
    char name[160];
    read_all_news();
    run("%s", command);
    snprintf(name, sizeof(name), "not told: %s", command);
    check(!told_within_a_second(), name);
}

/* Nobody reads while more happens than the socket holds. */
static void test_overrun(void)
{
    const int fd = reconciler_watch_fd(reconciler);
    const int small = 2048, large = 1024 * 1024;
    read_all_news();
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &small, sizeof(small));
    run("for i in 1 2 3 4 5 6 7 8 9; do ip link set lo mtu 6000$i; done");
    check(told_within_a_second(), "lost notifications are told as news");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large));
    check(apply_once().planned == 0, "and the pass they lead to finds nothing to do");
}

static void test_notifications(void)
{
    check_told("ip address del 10.13.0.1/32 dev " IFNAME);
    check_told("ip address add 10.9.9.9/24 dev " IFNAME);
    check_told("ip route del 10.13.0.0/16 dev " IFNAME);
    check_told("ip -6 route del fd01:203:405::/48 dev " IFNAME);
    check_told("ip route add 10.77.0.0/16 dev " IFNAME);
    check_told("ip link set " IFNAME " mtu 1300");
    check_told("ip link set " IFNAME " down");
    check_not_told("ip link add other0 type veth peer name other1; ip link set other0 up");
    check_not_told("ip address add 10.50.0.1/24 dev other0; ip route add 10.51.0.0/16 dev other0");
    check_not_told("ip link del other0");
    test_overrun();
    read_all_news();
    run("ip route del 10.13.0.0/16 dev " IFNAME "; wg set " IFNAME " fwmark 9; ip link set " IFNAME
        " mtu 1300; ip address add 10.9.9.9/24 dev " IFNAME);
    apply_once();
    while (told_within_a_second())
        check(apply_once().planned == 0, "what follows a pass finds nothing to do");
    check(!told_within_a_second(), "and passes come to an end");
}

/* Peers that came, changed and went, one by one, look as after a whole pass. */
static void test_single_changes(void)
{
    struct reconcile_result result;
    struct wg_peer extra, moved = peers[1];
    make_peer(&extra, 7);
    moved.endpoint.port++;
    struct wg_peer_change changes[] = {
        {.after = &extra}, {.before = &peers[0]}, {.before = &peers[1], .after = &moved}};
    const int rc = reconciler_apply_peers(reconciler, &desired.public_key, changes, 3, &result, NULL);
    check(rc == 0 && result.planned == 3 && result.applied == 3, "three changed peers are three edits");
    struct wg_peer now[] = {moved, peers[2], extra};
    const struct wg_device_desired before = desired;
    desired.peers = now;
    check_witness("after single changes");
    check(apply_once().planned == 0, "a whole pass finds nothing to do after them");
    desired = before;
    check_repair("back to the former peers");
    reconciler_apply_peers(reconciler, &desired.public_key,
                           &(struct wg_peer_change){.before = &peers[1], .after = &peers[1]}, 1, &result,
                           NULL);
    check(result.planned == 0, "a peer that did not change is no edit");
}

/* A route of its own for one peer, through its life. */
static void test_peer_routes(void)
{
    struct reconcile_result result;
    struct wg_peer plain = peers[1], streamed = peers[1];
    streamed.route_mtu = LARGE_MTU;
    const struct wg_peer_change up = {.before = &plain, .after = &streamed};
    reconciler_apply_peers(reconciler, &desired.public_key, &up, 1, &result, NULL);
    check(result.planned == 2 && result.failed == 0, "two routes for a peer with a stream");
    peers[1].route_mtu = LARGE_MTU;
    check(apply_once().planned == 0, "a whole pass finds them in place");
    const char *routes = output_of("ip route show dev " IFNAME "; ip -6 route show dev " IFNAME);
    check(strstr(routes, "10.13.1.1 proto static scope link mtu 8000") &&
              strstr(routes, "fd01:203:405::2 proto static metric 1024 mtu 8000") &&
              strstr(routes, "10.13.0.0/16 proto static scope link mtu 1420"),
          "ip shows them, and 1420 for the rest");
    run("ip route change 10.13.1.1 dev " IFNAME " mtu 3000");
    check_repair("MTU of a route changed by hand");
    run("ip link set " IFNAME " mtu 1420");
    check_repair("MTU of the link, and with it of its IPv6 routes, changed by hand");
    run("ip link set " IFNAME " mtu 9000");
    check_repair("MTU of the link raised by hand");
    check_witness("after changes of MTU");
    peers[1].route_mtu = 0;
    check_repair("routes of a peer go");
    check(!strstr(output_of("ip route show dev " IFNAME), "10.13.1.1 "), "and are gone");
}

/* Somebody changes peers all the time while the device is read: a dump is whole, or says that it was not. */
static void test_interrupted_dumps(void)
{
    struct wg_device_observed observed = {0};
    struct am_err err = {0};
    size_t whole = 0, interrupted = 0, wrong = 0;
    const pid_t vandal = fork();
    if (vandal == 0) {
        execl("/bin/sh", "sh", "-c",
              "while :; do wg set " IFNAME
              " peer QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE= allowed-ips ''; "
              "wg set " IFNAME " peer QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE= remove; done",
              (char *)NULL);
        _exit(1);
    }
    for (int i = 0; i < 100; i++) {
        const int rc = reconciler_observe(reconciler, &observed, &err);
        const bool complete =
            observed.peers_len == desired.peers_len || observed.peers_len == desired.peers_len + 1;
        whole += rc == 0 && complete;
        interrupted += rc == -EINTR;
        wrong += rc == 0 ? !complete : rc != -EINTR;
    }
    kill(vandal, SIGKILL);
    waitpid(vandal, NULL, 0);
    check(whole > 0 && wrong == 0, "a device that changes while it is read is read whole or not at all");
    printf("# %zu whole, %zu interrupted more often than it is tried%s%s\n", whole, interrupted,
           err.text[0] ? ": " : "", err.text);
    wg_device_clear(&observed);
    apply_once();
}

/* A kernel that adds a sentence to its refusal is quoted. */
static void test_refusal_text(void)
{
    struct reconcile_result result;
    const struct wg_device_desired before = desired;
    desired.mtu = INT32_MAX;
    reconciler_apply(reconciler, &desired, 0, &result, NULL);
    check(result.failed > 0 && strstr(result.failure.text, "set mtu 2147483647: ") &&
              strstr(result.failure.text, "mtu greater than device maximum"),
          "the kernel's own sentence is in the error");
    printf("# %s\n", result.failure.text);
    desired = before;
    apply_once();
}

/* A deleted userspace device takes a moment to end, so that several passes may be needed. */
static void test_deletion(void)
{
    struct reconcile_result result = {.failed = 1};
    read_all_news();
    run("ip link del " IFNAME);
    check(told_within_a_second(), "told: deleted device");
    for (int i = 0; i < 10 && (result.failed > 0 || result.planned == 0); i++) {
        result = apply_once();
        usleep(100000);
    }
    check(result.failed == 0 && result.planned > 0, "deleted device is made again");
    check(apply_once().planned == 0, "and needs nothing more");
    check_witness("after deletion");
}

static void test_adoption(void)
{
    struct am_err err = {0};
    reconciler_free(reconciler);
    reconciler = reconciler_new(WG_BACKEND_AUTO, IFNAME, &err);
    check(reconciler && reconciler_backend(reconciler) == kind,
          "a new reconciler finds the backend by itself");
    if (!reconciler) {
        printf("# %s\n", err.text);
        exit(1);
    }
    check(apply_once().planned == 0, "and adopts the device without an edit");
}

static void test_partial_failure(void)
{
    struct reconcile_result result;
    run("ip route del 10.13.0.0/16; ip link add other0 type veth peer name other1; ip link set other0 up; "
        "ip route add 10.13.0.0/16 dev other0; wg set " IFNAME " fwmark 9");
    const int rc = reconciler_apply(reconciler, &desired, 5000, &result, NULL);
    check(rc == 0 && result.planned == 2 && result.applied == 1 && result.failed == 1,
          "a failed edit does not stop the rest");
    check(strstr(result.failure.text, "add route 10.13.0.0/16: File exists"), "and is named");
    printf("# %s\n", result.failure.text);
    check(result.retry_at_ms == 6000, "and asks to be tried again after 1 s");
    reconciler_apply(reconciler, &desired, 6000, &result, NULL);
    check(result.planned == 1 && result.retry_at_ms == 8000, "then after 2 s");
    run("ip link del other0");
    check_repair("cause of the failure gone");
}

static void test_many_peers(void)
{
    struct wg_device_observed observed = {0};
    desired.peers_len = PEERS_MANY;
    check_repair("1000 peers");
    check_witness("1000 peers");
    check(reconciler_observe(reconciler, &observed, NULL) == 0 && observed.peers_len == PEERS_MANY,
          "1000 peers are observed");
    check(wg_device_find_peer(&observed, &peers[567].pubkey) != NULL, "and found by key");
    wg_device_clear(&observed);
    test_interrupted_dumps();
    desired.peers_len = 3;
    check_repair("997 peers leave");
    check_witness("997 peers leave");
}

static void test_many_prefixes(void)
{
    /* More allowed IPs than one datagram carries: the dump splits the peer. */
    FILE *script = fopen("/run/prefixes", "w");
    if (!script)
        abort();
    fprintf(script, "[Peer]\nPublicKey = %s\n", wg_key_text(&peers[1].pubkey, (char[WG_KEY_TEXT_SIZE]){0}));
    for (int i = 0; i < 4000; i++)
        fprintf(script, "AllowedIPs = 10.200.%d.%d/32\n", i / 250, i % 250);
    fclose(script);
    run("wg addconf " IFNAME " /run/prefixes");
    check_repair("4000 allowed IPs at one peer");
    check_witness("4000 allowed IPs at one peer");
}

static void test_daemon_is_alone(void)
{
    const char *pid = output_of("pidof wireguard-go");
    char path[64], leaked[160];
    snprintf(path, sizeof(path), "/proc/%ld", strtol(pid, NULL, 10));
    check(getsid((pid_t)strtol(pid, NULL, 10)) != getsid(0), "wireguard-go has a session of its own");
    snprintf(leaked, sizeof(leaked), "grep -aqs DEVICE_CHECK_SECRET %s/environ", path);
    check(system(leaked) != 0, "wireguard-go inherits no environment");
    snprintf(leaked, sizeof(leaked), "ls -l %s/fd | grep -q device_check_open_file", path);
    check(system(leaked) != 0, "wireguard-go inherits no open file");
}

/* As in a container whose host has no IPv6: it is off for every link, and first can, then can not be switched
 * on. */
static void test_host_without_ipv6(void)
{
    struct reconcile_result result = {0};
    run("echo 1 >/proc/sys/net/ipv6/conf/" IFNAME "/disable_ipv6");
    check_repair("IPv6 switched off by hand");
    check_witness("IPv6 switched off by hand");
    run("echo 1 >/proc/sys/net/ipv6/conf/" IFNAME "/disable_ipv6; mount --bind /proc/sys /proc/sys; "
        "mount -o remount,bind,ro /proc/sys");
    for (int i = 0; i < 2; i++)
        result = apply_once();
    check(result.without_ipv6 && result.failed == 0 && result.planned == 0,
          "a host without IPv6 is told, not fought");
    run("umount /proc/sys");
    check_repair("IPv6 allowed again");
    check_witness("IPv6 allowed again");
}

static void test_removal(void)
{
    struct wg_device_observed observed = {.exists = true};
    check(reconciler_remove(reconciler, NULL) == 0, "removal");
    check(reconciler_observe(reconciler, &observed, NULL) == 0 && !observed.exists,
          "nothing is observed then");
    check(reconciler_remove(reconciler, NULL) == 0, "removal of nothing");
    wg_device_clear(&observed);
}

static void test_foreign_link(void)
{
    struct reconcile_result result;
    struct am_err err = {0};
    run("ip link add " IFNAME " type veth peer name other1");
    const int rc = reconciler_apply(reconciler, &desired, 0, &result, &err);
    check(rc == AM_ECONFIG && strstr(err.text, "kind 'veth'"), "a foreign link under our name is refused");
    printf("# %s\n", err.text);
    check(reconciler_remove(reconciler, NULL) < 0 && run("ip link show " IFNAME " >/dev/null") == 0,
          "and left alone");
}

/* Returns in a child; the parent ends with the child's exit code. */
static void go_on_in_child(void)
{
    const pid_t child = fork();
    if (child != 0) {
        int status;
        _exit(child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status) ? 1 : WEXITSTATUS(status));
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Goes on in namespaces which end, with whatever is left behind in them, together with this program. The
 * first process of a process namespace only waits: it gets no signals from inside, which the leak checker
 * would need. */
static void enter_namespaces(void)
{
    if (unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) < 0) {
        printf("skipped: namespaces are forbidden here (%s)\n", strerror(errno));
        exit(SKIPPED);
    }
    go_on_in_child();
    go_on_in_child();
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0) {
        perror("mount");
        exit(1);
    }
    run("ip link set lo up");
}

static void open_reconciler(void)
{
    struct am_err err = {0};
    reconciler = reconciler_new(kind, IFNAME, &err);
    if (reconciler)
        return;
    printf("skipped: %s\n", err.text);
    exit(err.code == AM_ECONFIG ? SKIPPED : 1);
}

int main(int argc, char **argv)
{
    if (argc != 2 || !wg_backend_parse(argv[1], &kind) || kind == WG_BACKEND_AUTO) {
        fprintf(stderr, "usage: %s kernel|userspace\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (secret_init() < 0)
        return 1;
    enter_namespaces();
    setenv("DEVICE_CHECK_SECRET", "1", 1);
    FILE *open_file = fopen("/run/device_check_open_file", "w");
    open_reconciler();
    struct secret *key = secret_new();
    if (!key || !open_file)
        return 1;
    make_desired(key, 3);
    check_repair("first pass");
    check_witness("first pass");
    test_tampering();
    test_notifications();
    test_refusal_text();
    test_single_changes();
    test_peer_routes();
    test_deletion();
    if (kind == WG_BACKEND_USERSPACE)
        test_daemon_is_alone();
    test_partial_failure();
    test_many_peers();
    test_many_prefixes();
    test_host_without_ipv6();
    test_adoption();
    test_removal();
    test_foreign_link();
    reconciler_free(reconciler);
    secret_free(key);
    fclose(open_file);
    printf("device_check %s: %d failed\n", argv[1], failures);
    return failures ? 1 : 0;
}
