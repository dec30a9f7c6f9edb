/* Sockets on the node's mesh address, which the device may not have yet or may lose for a while. */
#ifndef AGENT_PEER_MESH_SOCKET_H
#define AGENT_PEER_MESH_SOCKET_H

#include <netinet/in.h>
#include <stdint.h>

#include "crypto/am_error.h"

/* `ip` in host order. */
struct sockaddr_in mesh_socket_address(uint32_t ip, uint16_t port);

/* A non-blocking socket of `type` (SOCK_DGRAM, SOCK_STREAM) bound to ip:port, 0 for any port. Returns the
 * descriptor, or an errno with a sentence. */
int mesh_socket_bind(int type, uint32_t ip, uint16_t port, struct am_err *err);

#endif
