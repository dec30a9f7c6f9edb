/* Mesh addresses (PROTOCOL 2.1). */
#ifndef AGENT_CORE_ADDRESS_H
#define AGENT_CORE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/bytes.h"

/* The cluster's /48, host bits zero. */
void mesh_network6(const struct address *cluster, uint8_t out[16]);

/* The member's /128 inside it. */
void mesh_ipv6(const struct address *cluster, const struct bytes32 *member_id, uint8_t out[16]);

/* Whether `ip` is a host of network/prefix: not its first address, nor its last. Prefix 8..29. */
bool mesh_network_has_host(uint32_t network, uint8_t prefix, uint32_t ip);

#endif
