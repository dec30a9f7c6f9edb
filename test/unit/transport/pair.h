/* Two nodes' transports in one process, in a network namespace of their own.
 *
 * Both have the same ingress port, on addresses of their own, and /etc/hosts names them as the gateway would:
 * the name does the routing, production code is as in the field. What is WireGuard in the field is a UDP
 * socket here.
 */
#ifndef UNIT_TRANSPORT_PAIR_H
#define UNIT_TRANSPORT_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/transport/transport.h"

#define PAIR_MESSAGE_SIZE 64 /* of the transport data messages that pair_send makes */

#define PAIR_HOSTS_SIZE 640

struct node {
    uint32_t index;
    struct transport_config config;
    struct transport_peer self; /* as the others know it */
    struct transport *transport;
    int wireguard;

    /* What was reported. */
    unsigned ups;
    unsigned downs;
    unsigned dial_failures;
    uint64_t refusals;
    bool is_up;
    enum transport_direction direction;
    char reason[AM_ERR_TEXT_MAX]; /* of the last failure of any kind */
};

struct pair {
    struct event_base *base;
    struct node low; /* has the lower member id */
    struct node high;
};

/* Starts both; they do not know each other yet. Skips the test where namespaces are forbidden. */
void pair_start(struct pair *pair);
void pair_stop(struct pair *pair);

/* Makes each known to the other. */
void pair_introduce(struct pair *pair);

/* Runs the loop until `*done` is true, for 40 s at most; fails the test after that. */
#define PAIR_UNTIL(pair, condition)                                                                          \
    do {                                                                                                     \
        for (unsigned round = 0; !(condition); round++) {                                                    \
            cr_assert_lt(round, 4000u, "never: %s (low: %s; high: %s)", #condition, (pair)->low.reason,      \
                         (pair)->high.reason);                                                               \
            pair_run((pair), 10);                                                                            \
        }                                                                                                    \
    } while (0)
void pair_run(struct pair *pair, unsigned ms);

/* Introduces, dials from low, waits until both are up. */
void pair_connect(struct pair *pair);

/* Lets `from`'s WireGuard send a plausible message, marked with `number`, to `to`. */
void pair_send(const struct node *from, const struct node *to, uint32_t number);

/* Takes one message that `to`'s WireGuard has received; false when there is none. It must have come from
 * `from`. */
bool pair_receive(const struct node *to, const struct node *from, uint32_t *number);

/* The same, waiting for it. */
uint32_t pair_await(struct pair *pair, const struct node *to, const struct node *from);

/* Rewrites /etc/hosts of the namespace. */
void pair_write_hosts(const char *content);

/* What it says from the start. */
void pair_describe_hosts(const struct pair *pair, char *out, size_t size);

struct transport_counters node_counters(const struct node *node, const struct node *peer);

#endif
