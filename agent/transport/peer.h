/* A member as the worker sees it: its streams, its dial, its counters.
 *
 * At most one stream sends (`current`). A newer one takes its place and the old one drains, so that renewal
 * loses nothing (make-before-break). When both sides dial at the same moment each could prefer the other's
 * stream and both would be dropped; of two streams opened within PEER_SIMULTANEOUS_MS in opposite directions
 * both sides therefore keep the one that the lower member id dialed.
 */
#ifndef AGENT_TRANSPORT_PEER_H
#define AGENT_TRANSPORT_PEER_H

#include <stdatomic.h>

#include "agent/transport/bridge.h"
#include "agent/transport/dial.h"
#include "agent/transport/mailbox.h"
#include "agent/transport/pacer.h"
#include "agent/transport/resolver.h"
#include "agent/transport/stream.h"

#define PEER_SIMULTANEOUS_MS 5000

TAILQ_HEAD(peer_list, peer);

/* What all peers of one worker share. */
struct peer_host {
    struct stream_host streams;
    struct bridge *bridge;
    struct resolver *resolver;
    struct mailbox *mailbox;
    char gateway_domain[TRANSPORT_HOST_SIZE]; /* empty: there is no gateway */
    uint16_t gateway_port;
    uint16_t ingress_port;
    struct pacer dial_pacer;
    struct peer_list dials_due; /* wait for the pacer */
    struct event *dial_turn;
};

/* Written by the worker only, read by the control thread: relaxed order is enough. */
struct peer_counters {
    _Atomic uint64_t sent;
    _Atomic uint64_t sent_bytes;
    _Atomic uint64_t received;
    _Atomic uint64_t received_bytes;
    _Atomic uint64_t dropped_late;
    _Atomic uint64_t dropped_full;
    _Atomic uint64_t dropped_down;
    _Atomic uint64_t dropped_malformed;
    _Atomic uint64_t streams;
    _Atomic uint32_t rtt_us;
};

/* Where a peer wants to be dialed; an empty host is the gateway's usual name and port. */
struct peer_endpoint {
    char host[TRANSPORT_HOST_SIZE];
    uint16_t port;
};

struct peer {
    struct transport_peer info;              /* constant */
    _Atomic(struct peer_endpoint *) offered; /* by the control thread, until the worker takes it; owned */
    struct mail mail;
    struct peer_counters counters;

    /* The rest is the worker's. */
    struct peer_host *host;
    struct stream *current;
    struct stream *draining;
    struct stream *dialing; /* handshake or preface of our dial; exclusive with `dial` */
    struct dial *dial;
    struct peer_endpoint *endpoint; /* for dials; NULL: as usual */
    struct tls_ticket ticket;       /* of the last stream that we dialed */
    bool dial_due;                  /* in dials_due; exclusive with `dial` and `dialing` */
    TAILQ_ENTRY(peer) due_link;
    unsigned dials;
    uint64_t current_since_ms;
    uint64_t rtt_read_ms;
};

/* On the control thread; NULL without memory. peer_free wants a peer without streams. */
struct peer *peer_new(const struct transport_peer *info);
void peer_free(struct peer *peer);

/* On the control thread: where the next dials go. Returns 0 or -ENOMEM. */
int peer_offer_endpoint(struct peer *peer, const struct peer_endpoint *endpoint);

/* Whether it is this member, with this key and contract. On either thread. */
bool peer_is(const struct peer *peer, const struct transport_peer *info);

/* Prepares what the peers share for dialing. Returns 0 or -ENOMEM; peer_host_clear is due in any case. */
int peer_host_init(struct peer_host *host);
void peer_host_clear(struct peer_host *host);

/* Starts a dial, when the pacer allows, unless one is under way. */
void peer_dial(struct peer *peer);

/* Closes the streams and the dial, reporting them. */
void peer_hangup(struct peer *peer, const char *reason);

/* A datagram from WireGuard for this peer, which waited for `waited_ms` behind others. */
void peer_send(struct peer *peer, const uint8_t *data, size_t len, uint64_t waited_ms);

/* Datagrams from this peer were handed to WireGuard, or could not be (`error` is negative). */
void peer_count_handed(struct peer *peer, uint64_t count, uint64_t bytes, int error);

/* Takes over a verified stream. */
void peer_adopt_stream(struct peer *peer, struct stream *stream);

/* On either thread. */
void peer_read_counters(const struct peer *peer, struct transport_counters *out);

#endif
