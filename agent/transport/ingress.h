/* The TCP port where the gateway delivers other members' connections.
 *
 * Anybody can connect, so what is not yet authenticated is bounded: INGRESS_PENDING_MAX connections, and
 * INGRESS_PENDING_PER_SOURCE of one address. A newcomer beyond a bound pushes out the oldest, which has had
 * the longest time to prove itself: an honest handshake takes round trips, an idle attacker stays for
 * seconds. Everything that comes through the gateway comes from its address, so the bound per source is most
 * of the total: it only keeps somebody who reaches the port directly from pushing out all that the gateway
 * brings. A connection gets its stream with its first byte, and not before the pacer allows.
 */
#ifndef AGENT_TRANSPORT_INGRESS_H
#define AGENT_TRANSPORT_INGRESS_H

#include "agent/transport/stream.h"

#define INGRESS_PENDING_MAX 256
#define INGRESS_PENDING_PER_SOURCE 192

struct ingress;

struct ingress_events {
    /* As in struct stream_events. */
    bool (*identify)(void *user, const struct bytes32 *member_id, struct transport_peer *out);

    /* The stream of the member that `identify` named is verified; it becomes the callee's. */
    void (*admit)(void *user, struct stream *stream);

    /* A connection ended before it was admitted. */
    void (*refuse)(void *user, const char *reason);
};

/* Listens on `address` (numeric; NULL: every IPv4 address) and `port`. NULL with `err` set when that can not
 * be done. */
struct ingress *ingress_new(struct stream_host *host, const char *address, uint16_t port,
                            const struct ingress_events *events, void *user, struct am_err *err);

/* Closes the port and every connection that is not admitted. NULL is allowed. */
void ingress_free(struct ingress *ingress);

#endif
