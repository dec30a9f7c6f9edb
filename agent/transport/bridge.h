/* The UDP socket on lo between WireGuard and the peers' streams.
 *
 * One socket serves all peers: a peer is the loopback address (loopback.h) that WireGuard sends to, and the
 * address from which WireGuard receives. Only datagrams from the local WireGuard port are taken.
 */
#ifndef AGENT_TRANSPORT_BRIDGE_H
#define AGENT_TRANSPORT_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"

struct event_base;
struct bridge;

struct bridge_events {
    /* WireGuard sent `data` to the peer with this index. Valid during the call. */
    void (*datagram)(void *user, uint32_t index, const uint8_t *data, size_t len);

    /* No more datagrams for now: the moment to write what was gathered. */
    void (*batch_end)(void *user);
};

/* Opens the socket on `port` of lo. NULL with `err` set when that can not be done. */
struct bridge *bridge_new(struct event_base *base, uint16_t port, uint16_t wireguard_port,
                          const struct bridge_events *events, void *user, struct am_err *err);
void bridge_free(struct bridge *bridge);

/* Hands a datagram to WireGuard as from the peer with this index. Returns 0 or a negative errno; it never
 * waits. */
int bridge_send(struct bridge *bridge, uint32_t index, const uint8_t *data, size_t len);

#endif
