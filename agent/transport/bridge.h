/* The UDP socket on lo between WireGuard and the peers' streams.
 *
 * One socket serves all peers: a peer is the loopback address (loopback.h) that WireGuard sends to, and the
 * address from which WireGuard receives. Only datagrams from the local WireGuard port are taken.
 * Where a node has several workers, each has such a socket on the same port, and the kernel chooses by the
 * address. Both ways go in batches: several datagrams per system call, and several per message where the
 * kernel coalesces (UDP_GRO) or segments (UDP_SEGMENT).
 */
#ifndef AGENT_TRANSPORT_BRIDGE_H
#define AGENT_TRANSPORT_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"

struct event_base;
struct bridge;

struct bridge_events {
    /* WireGuard sent `data` to the peer with this index; it waited in a backlog for `waited_ms`. Valid during
     * the call. */
    void (*datagram)(void *user, uint32_t index, const uint8_t *data, size_t len, uint64_t waited_ms);

    /* The moment to write what was gathered: everything, or, while `more` is at hand, what makes full
     * records. */
    void (*batch_end)(void *user, bool more);

    /* `count` datagrams of the peer were handed to WireGuard, or dropped when `error` is negative. */
    void (*handed)(void *user, uint32_t index, uint64_t count, uint64_t bytes, int error);
};

struct bridge_place {
    uint16_t port; /* of lo */
    uint16_t wireguard_port;
    unsigned number;  /* of the worker: it gets what loopback_worker_of_index gives it */
    unsigned workers; /* they open their sockets in order */
};

/* Opens the socket. NULL with `err` set when that can not be done. */
struct bridge *bridge_new(struct event_base *base, const struct bridge_place *place,
                          const struct bridge_events *events, void *user, struct am_err *err);
void bridge_free(struct bridge *bridge);

/* Queues a datagram to WireGuard as from the peer with this index. It leaves with the next bridge_flush, or
 * before; `handed` tells. Nothing waits. */
void bridge_send(struct bridge *bridge, uint32_t index, const uint8_t *data, size_t len);
void bridge_flush(struct bridge *bridge);

#endif
