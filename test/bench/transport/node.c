/* Transports without an agent: the ends of the tunnels that bench_load sends through.
 *
 *   bench_node hub SPOKES
 *
 *   bench_node spokes FIRST SPOKES
 *
 *   bench_node hosts SPOKES
 *
 * The hub is one transport with SPOKES peers, which it dials: member 0, serving WireGuard's port 51821.
 * Spokes are as many transports, each with the hub as its only peer, all serving port 51822. "hosts" prints
 * what the name resolver must know. Prints `up N` when the number of peers with a stream has not changed for
 * a tenth of a second. Ends with its standard input.
 */
#include <err.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/transport/transport.h"
#include "crypto/sign.h"

#define DOMAIN "gw.attestmesh.test"
#define HUB_WIREGUARD_PORT 51821
#define SPOKE_WIREGUARD_PORT 51822
#define REDIAL_MS 250
#define SPOKES_MAX 4000
#define ADDRESS_SIZE 24

static struct event_base *base;
static struct event *report;
static struct event *redials[SPOKES_MAX + 1]; /* of the hub, by peer */
static struct transport *hub;
static unsigned up_count;

static struct transport_peer member_at(uint32_t number, struct secret *seed)
{
    struct transport_peer member = {.index = number};
    be32_write(member.member_id.b, number + 1);
    be32_write(member.member_contract.b, number + 1);
    memset(seed->b, 1, SECRET_SIZE);
    be32_write(seed->b, number + 1);
    sign_pubkey_of_seed(seed, &member.ed25519_pubkey);
    return member;
}

static void ingress_address(uint32_t number, char out[ADDRESS_SIZE])
{
    snprintf(out, ADDRESS_SIZE, "127.0.%u.%u", 1 + number / 250, 1 + number % 250);
}

static void report_soon(void)
{
    const struct timeval delay = {.tv_usec = 100000};
    event_add(report, &delay);
}

static void on_report(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what, (void)user;
    printf("up %u\n", up_count);
    fflush(stdout);
}

static void on_redial(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    struct event **slot = user;
    (void)transport_dial(hub, (uint32_t)(slot - redials));
}

static void redial(uint32_t index)
{
    const struct timeval delay = {.tv_usec = REDIAL_MS * 1000};
    if (redials[index])
        event_add(redials[index], &delay);
}

static void on_stream_up(void *user, uint32_t index, enum transport_direction direction)
{
    (void)user, (void)index, (void)direction;
    up_count++;
    report_soon();
}

static void on_stream_down(void *user, uint32_t index, const char *reason)
{
    (void)user, (void)reason;
    up_count--;
    report_soon();
    redial(index);
}

static void on_dial_failed(void *user, uint32_t index, const char *reason)
{
    (void)user, (void)reason;
    redial(index);
}

static void on_ingress_refused(void *user, uint64_t count, const char *reason)
{
    (void)user;
    fprintf(stderr, "refused %llu: %s\n", (unsigned long long)count, reason);
}

static struct transport *start(uint32_t number)
{
    static const struct transport_callbacks callbacks = {on_stream_up, on_stream_down, on_dial_failed,
                                                         on_ingress_refused};
    struct am_err why = {0};
    char address[ADDRESS_SIZE];
    ingress_address(number, address);
    struct secret *seed = secret_new(); /* lives as long as the process */
    if (!seed)
        errx(1, "no secret memory");
    const struct transport_config config = {
        .cluster = {{0xcc}},
        .member_id = member_at(number, seed).member_id,
        .seed = seed,
        .gateway_domain = DOMAIN,
        .gateway_port = TRANSPORT_INGRESS_PORT,
        .ingress_address = address,
        .ingress_port = TRANSPORT_INGRESS_PORT,
        .wireguard_port = number ? SPOKE_WIREGUARD_PORT : HUB_WIREGUARD_PORT,
        .loopback_port = (uint16_t)(TRANSPORT_LOOPBACK_PORT + number),
        .workers = number ? 1 : 0, /* a spoke has one peer */
    };
    struct transport *transport = transport_new(base, &config, &callbacks, NULL, &why);
    if (!transport)
        errx(1, "%s", why.text);
    return transport;
}

static void introduce(struct transport *transport, uint32_t number)
{
    struct secret *seed = secret_new();
    const struct transport_peer member = member_at(number, seed);
    secret_free(seed);
    if (transport_set_peer(transport, &member))
        errx(1, "peer %u", number);
}

static void run_hub(uint32_t spokes)
{
    hub = start(0);
    for (uint32_t i = 1; i <= spokes; i++) {
        redials[i] = evtimer_new(base, on_redial, &redials[i]);
        introduce(hub, i);
        (void)transport_dial(hub, i);
    }
}

static void print_hosts(uint32_t spokes)
{
    for (uint32_t i = 0; i <= spokes; i++) {
        struct secret *seed = secret_new();
        const struct transport_peer member = member_at(i, seed);
        secret_free(seed);
        char address[ADDRESS_SIZE];
        char host[TRANSPORT_HOST_SIZE];
        ingress_address(i, address);
        if (transport_host_name(&member.member_contract, TRANSPORT_INGRESS_PORT, DOMAIN, host))
            errx(1, "host name of %u", i);
        printf("%s %s\n", address, host);
    }
}

static void on_stdin(evutil_socket_t fd, short what, void *user)
{
    (void)what, (void)user;
    char bytes[64];
    if (read(fd, bytes, sizeof(bytes)) <= 0)
        event_base_loopbreak(base);
}

int main(int argc, char **argv)
{
    const char *role = argc > 2 ? argv[1] : "";
    const uint32_t spokes = argc > 2 ? (uint32_t)atoi(argv[argc - 1]) : 0;
    if (secret_init() || spokes < 1 || spokes > SPOKES_MAX)
        errx(2, "see the top of the source for usage");
    if (strcmp(role, "hosts") == 0) {
        print_hosts(spokes);
        return 0;
    }
    base = event_base_new();
    report = evtimer_new(base, on_report, NULL);
    struct event *input = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, NULL);
    event_add(input, NULL);
    if (strcmp(role, "hub") == 0) {
        run_hub(spokes);
    } else {
        const uint32_t first = (uint32_t)atoi(argv[2]);
        for (uint32_t i = first; i < first + spokes; i++)
            introduce(start(i), 0);
    }
    event_base_dispatch(base);
    return 0;
}
