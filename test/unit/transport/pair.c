#include "pair.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/transport/loopback.h"
#include "crypto/sign.h"

#define DOMAIN "gw.attestmesh.test"
#define INGRESS_PORT 51900

static void on_stream_up(void *user, uint32_t index, enum transport_direction direction)
{
    (void)index;
    struct node *node = user;
    node->ups++;
    node->is_up = true;
    node->direction = direction;
}

static void on_stream_down(void *user, uint32_t index, const char *reason)
{
    (void)index;
    struct node *node = user;
    node->downs++;
    node->is_up = false;
    snprintf(node->reason, sizeof(node->reason), "%s", reason);
}

static void on_dial_failed(void *user, uint32_t index, const char *reason)
{
    (void)index;
    struct node *node = user;
    node->dial_failures++;
    snprintf(node->reason, sizeof(node->reason), "%s", reason);
}

static void on_ingress_refused(void *user, uint64_t count, const char *reason)
{
    struct node *node = user;
    node->refusals += count;
    snprintf(node->reason, sizeof(node->reason), "%s", reason);
}

static void bring_lo_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

static void replace_file(const char *path, const char *content)
{
    char temporary[] = "/tmp/attestmesh-test-XXXXXX";
    const int fd = mkstemp(temporary);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
    cr_assert_eq(mount(temporary, path, NULL, MS_BIND, NULL), 0, "mount over %s", path);
    unlink(temporary);
}

void pair_describe_hosts(const struct pair *pair, char *out, size_t size)
{
    char low[TRANSPORT_HOST_SIZE];
    char high[TRANSPORT_HOST_SIZE];
    transport_host_name(&pair->low.self.member_contract, INGRESS_PORT, DOMAIN, low);
    transport_host_name(&pair->high.self.member_contract, INGRESS_PORT, DOMAIN, high);
    snprintf(out, size, "%s %s\n%s %s\n", pair->low.config.ingress_address, low,
             pair->high.config.ingress_address, high);
}

void pair_write_hosts(const char *content)
{
    FILE *file = fopen("/etc/hosts", "w");
    cr_assert(file);
    fputs(content, file);
    fclose(file);
}

static void enter_namespace(const struct pair *pair)
{
    char hosts[PAIR_HOSTS_SIZE];
    if (unshare(CLONE_NEWNET | CLONE_NEWNS))
        cr_skip_test("network and mount namespaces need root: %m");
    cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    bring_lo_up();
    pair_describe_hosts(pair, hosts, sizeof(hosts));
    replace_file("/etc/hosts", hosts);
    replace_file("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
}

static void node_init(struct node *node, uint32_t index, const char *ingress_address, uint16_t port_offset)
{
    struct secret *seed = secret_new();
    memset(seed->b, (int)index + 1, SECRET_SIZE);
    *node = (struct node){.index = index, .self = {.index = index}};
    memset(node->self.member_id.b, (int)index, sizeof(node->self.member_id.b));
    memset(node->self.member_contract.b, (int)index + 0x40, sizeof(node->self.member_contract.b));
    sign_pubkey_of_seed(seed, &node->self.ed25519_pubkey);
    node->config = (struct transport_config){
        .cluster = {{0xcc}},
        .member_id = node->self.member_id,
        .seed = seed,
        .gateway_domain = DOMAIN,
        .gateway_port = INGRESS_PORT,
        .ingress_address = ingress_address,
        .ingress_port = INGRESS_PORT,
        .wireguard_port = (uint16_t)(51821 + port_offset),
        .loopback_port = (uint16_t)(51901 + port_offset),
        .workers = 3, /* the third serves high, the second low, and the first has the ingress */
    };
}

static void node_start(struct node *node, struct event_base *base)
{
    static const struct transport_callbacks callbacks = {on_stream_up, on_stream_down, on_dial_failed,
                                                         on_ingress_refused};
    struct am_err err = {0};
    node->transport = transport_new(base, &node->config, &callbacks, node, &err);
    cr_assert(node->transport, "%s", err.text);
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(node->config.wireguard_port)};
    node->wireguard = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(node->wireguard, (const struct sockaddr *)&any, sizeof(any)), 0);
    const int size = 7 << 20;
    setsockopt(node->wireguard, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

static void node_stop(struct node *node)
{
    transport_free(node->transport);
    close(node->wireguard);
    secret_free((struct secret *)(uintptr_t)node->config.seed);
}

void pair_start(struct pair *pair)
{
    cr_assert_eq(secret_init(), 0);
    node_init(&pair->low, 3, "127.0.1.3", 0);
    node_init(&pair->high, 7, "127.0.1.7", 1);
    enter_namespace(pair);
    pair->base = event_base_new();
    node_start(&pair->low, pair->base);
    node_start(&pair->high, pair->base);
}

void pair_stop(struct pair *pair)
{
    node_stop(&pair->low);
    node_stop(&pair->high);
    event_base_free(pair->base);
}

void pair_introduce(struct pair *pair)
{
    cr_assert_eq(transport_set_peer(pair->low.transport, &pair->high.self), 0);
    cr_assert_eq(transport_set_peer(pair->high.transport, &pair->low.self), 0);
}

void pair_run(struct pair *pair, unsigned ms)
{
    const struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    event_base_loopexit(pair->base, &delay);
    event_base_dispatch(pair->base);
}

void pair_connect(struct pair *pair)
{
    pair_introduce(pair);
    cr_assert_eq(transport_dial(pair->low.transport, pair->high.index), 0);
    PAIR_UNTIL(pair, pair->low.is_up && pair->high.is_up);
}

void pair_send(const struct node *from, const struct node *to, uint32_t number)
{
    uint8_t message[PAIR_MESSAGE_SIZE] = {4};
    const struct sockaddr_in peer = {.sin_family = AF_INET,
                                     .sin_port = htons(from->config.loopback_port),
                                     .sin_addr.s_addr = htonl(loopback_address_of_index(to->index))};
    memcpy(message + 16, &number, sizeof(number));
    cr_assert_eq(
        sendto(from->wireguard, message, sizeof(message), 0, (const struct sockaddr *)&peer, sizeof(peer)),
        PAIR_MESSAGE_SIZE);
}

bool pair_receive(const struct node *to, const struct node *from, uint32_t *number)
{
    uint8_t message[PAIR_MESSAGE_SIZE + 1];
    struct sockaddr_in source;
    socklen_t size = sizeof(source);
    const ssize_t len =
        recvfrom(to->wireguard, message, sizeof(message), 0, (struct sockaddr *)&source, &size);
    if (len < 0)
        return false;
    cr_assert_eq(len, PAIR_MESSAGE_SIZE);
    cr_assert_eq(ntohl(source.sin_addr.s_addr), loopback_address_of_index(from->index));
    cr_assert_eq(ntohs(source.sin_port), to->config.loopback_port);
    memcpy(number, message + 16, sizeof(*number));
    return true;
}

uint32_t pair_await(struct pair *pair, const struct node *to, const struct node *from)
{
    uint32_t number;
    PAIR_UNTIL(pair, pair_receive(to, from, &number));
    return number;
}

struct transport_counters node_counters(const struct node *node, const struct node *peer)
{
    struct transport_counters counters;
    cr_assert_eq(transport_read_counters(node->transport, peer->index, &counters), 0);
    return counters;
}
