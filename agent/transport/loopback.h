/* The loopback address under which WireGuard knows a peer: a pure function of its registry index.
 *
 * WireGuard's endpoint of a peer is always this address with TRANSPORT_LOOPBACK_PORT, whichever stream
 * carries the peer's datagrams, so the device never roams. With i = index + 1 the address is 127.(64 + (i >>
 * 16)).(i >> 8 & 255).(i & 255): index 0 is 127.64.0.1. Addresses are in host byte order.
 */
#ifndef AGENT_TRANSPORT_LOOPBACK_H
#define AGENT_TRANSPORT_LOOPBACK_H

#include <stdbool.h>
#include <stdint.h>

/* Indexes below this have an address: the second byte has room for 64..127. */
#define LOOPBACK_INDEXES ((1u << 22) - 1)

/* The address of `index`; 0 when the index has none. */
uint32_t loopback_address_of_index(uint32_t index);

/* The inverse. False when `address` belongs to no index. */
bool loopback_index_of_address(uint32_t address, uint32_t *index);

/* Which of `workers` serves the peer: peers take turns. A function of the address' last 16 bits, as the
 * kernel's part of the choice wants it (bridge.c). */
unsigned loopback_worker_of_index(uint32_t index, unsigned workers);

#endif
