/* The socket of the heartbeats: UDP 51820 on the mesh address. */
#ifndef AGENT_PEER_BEACON_H
#define AGENT_PEER_BEACON_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"

#define BEACON_PORT 51820

struct event_base;
struct beacon;

/* A datagram of at most HEARTBEAT_SIZE_MAX bytes came from this address (host order), port BEACON_PORT. */
typedef void (*beacon_datagram_fn)(void *user, uint32_t source_ip, const uint8_t *data, size_t len);

/* Returns NULL with `err` set. */
struct beacon *beacon_new(struct event_base *base, uint32_t mesh_ip, beacon_datagram_fn datagram, void *user,
                          struct am_err *err);
void beacon_free(struct beacon *beacon);

/* Sends one datagram to each address (host order). What the kernel does not take at once is not sent. Returns
 * how many it took. */
size_t beacon_send(struct beacon *beacon, const uint8_t *data, size_t len, const uint32_t *ips,
                   size_t ips_len);

#endif
