/* Carries WireGuard's datagrams between members in TLS streams through the gateway (PROTOCOL section 6).
 *
 *   WireGuard <-UDP on lo-> loopback socket <-> peer <-> stream <-TLS-> gateway <-TLS-> the other member
 *
 * WireGuard sees every peer at an address of its own (loopback.h) and never learns which stream carries it.
 * Worker threads own all sockets; this header is their only surface and belongs to the control thread, on
 * which all callbacks run too. Commands and reports are flags in a mailbox per peer, so nothing here blocks,
 * allocates per command, or can grow beyond the number of peers.
 *
 * The transport performs and reports. Who dials, when, and when again, is decided by the caller (agent/core).
 */
#ifndef AGENT_TRANSPORT_TRANSPORT_H
#define AGENT_TRANSPORT_TRANSPORT_H

#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secret.h"

struct event_base;
struct transport;

#define TRANSPORT_PEERS_MAX 16384     /* registry indexes at or above this are refused */
#define TRANSPORT_LOOPBACK_PORT 51901 /* where WireGuard sends to: UDP on lo */
#define TRANSPORT_INGRESS_PORT 51900  /* where the gateway connects to: TCP */
#define TRANSPORT_GATEWAY_PORT 443    /* where the gateway listens */
#define TRANSPORT_HOST_SIZE 254       /* room for a host name and its NUL */
#define TRANSPORT_WORKERS_MAX 4

/* The strings are copied. */
struct transport_config {
    struct address cluster;
    struct bytes32 member_id;   /* of this node */
    const struct secret *seed;  /* this node's Ed25519 seed; stays the caller's, must outlive the transport */
    const char *gateway_domain; /* "gw.example.net"; NULL: only peers with an endpoint are dialed */
    uint16_t gateway_port;      /* TRANSPORT_GATEWAY_PORT */
    const char *ingress_address; /* numeric address to listen on; NULL: every IPv4 address */
    uint16_t ingress_port;   /* TRANSPORT_INGRESS_PORT, the same on all members: it is in their host names */
    uint16_t wireguard_port; /* of the local device; only datagrams from this port are taken */
    uint16_t loopback_port;  /* TRANSPORT_LOOPBACK_PORT */
    unsigned workers; /* threads, TRANSPORT_WORKERS_MAX at most; 0: one for each CPU, as far as that goes */
};

struct transport_peer {
    uint32_t index; /* in the registry */
    struct bytes32 member_id;
    struct address member_contract; /* names the peer's host at the gateway */
    struct bytes32 ed25519_pubkey;
};

enum transport_direction { TRANSPORT_DIALED, TRANSPORT_ACCEPTED };

/* Reports, on the control thread. They tell states, not history: what changed twice before the control thread
 * looked is told once, as it is now. Texts are valid during the call. A removed peer is not reported any
 * more. Callbacks may call every function below except transport_free. */
struct transport_callbacks {
    /* The peer has a stream, authenticated both ways. Told again, without a stream_down between, when a newer
     * stream has replaced the one told before. */
    void (*stream_up)(void *user, uint32_t index, enum transport_direction direction);

    /* The peer has no stream any more. */
    void (*stream_down)(void *user, uint32_t index, const char *reason);

    /* The dial that transport_dial began ended without a stream of use. Says nothing about other streams of
     * the peer. A dial ends in exactly one of this or stream_up(TRANSPORT_DIALED), unless the peer is
     * removed, changed or hung up meanwhile. */
    void (*dial_failed)(void *user, uint32_t index, const char *reason);

    /* `count` connections to the ingress were refused since the last call, the last of them for `reason`. At
     * most once a second. */
    void (*ingress_refused)(void *user, uint64_t count, const char *reason);
};

/* Since the peer was set. Datagrams unless the name says otherwise. */
struct transport_counters {
    uint64_t sent;              /* handed to a stream */
    uint64_t sent_bytes;        /* payload */
    uint64_t received;          /* handed to WireGuard */
    uint64_t received_bytes;    /* payload */
    uint64_t dropped_late;      /* the stream's backlog was too old */
    uint64_t dropped_full;      /* a queue was full: the stream's, or WireGuard's socket */
    uint64_t dropped_down;      /* no stream */
    uint64_t dropped_malformed; /* not a message of WireGuard's, in either direction */
    uint64_t streams;           /* streams that came up; all but the first are reconnects or renewals */
    uint32_t rtt_us;            /* to the gateway, as TCP saw it in the last second of traffic; 0: never */
};

/* Opens the loopback socket and the ingress, starts the worker threads. Reports arrive through `base`, which
 * must outlive the transport. Returns NULL with `err` set when an address, a port or a setting can not be
 * used. */
struct transport *transport_new(struct event_base *base, const struct transport_config *config,
                                const struct transport_callbacks *callbacks, void *user, struct am_err *err);

/* Closes every stream, stops the threads. NULL is allowed. No callback follows. */
void transport_free(struct transport *transport);

/* Makes a member known: from now on it may connect and be dialed. A peer already known under this index keeps
 * its streams when nothing differs and loses them, and its counters, when anything does. Returns 0, -EINVAL
 * for an index out of range, -ENOMEM. */
int transport_set_peer(struct transport *transport, const struct transport_peer *info);

/* Where the next dials to a peer go; its streams stay. `host` NULL: where they go by themselves, the name
 * that follows from its contract, at the gateway's port. Returns 0, -ENOENT, -EINVAL for a host that is too
 * long, or -ENOMEM. */
int transport_set_endpoint(struct transport *transport, uint32_t index, const char *host, uint16_t port);

/* Forgets a member and closes its streams. An unknown index is ignored. */
void transport_remove_peer(struct transport *transport, uint32_t index);

/* Dials the peer through the gateway, whether or not it has a stream (renewal: the old one serves until the
 * new one is up, then drains for a moment). Ignored while a dial to the peer is under way. Returns 0 or
 * -ENOENT. */
int transport_dial(struct transport *transport, uint32_t index);

/* Ends the peer's streams and dial; those that had begun are reported as down and failed. Returns 0 or
 * -ENOENT. */
int transport_hangup(struct transport *transport, uint32_t index);

/* A snapshot; the fields are each exact, but not of one instant. Returns 0 or -ENOENT. */
int transport_read_counters(const struct transport *transport, uint32_t index,
                            struct transport_counters *out);

/* "<contract, 40 digits>-<port>s.<domain>", the host name of a member's ingress at the gateway. Returns 0, or
 * -EINVAL when it does not fit. */
int transport_host_name(const struct address *member_contract, uint16_t port, const char *domain,
                        char out[TRANSPORT_HOST_SIZE]);

#endif
