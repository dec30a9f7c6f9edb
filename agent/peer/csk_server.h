/* Gives the cluster shared key to members that ask: TCP 50051 on the mesh address (PROTOCOL section 9).
 *
 * One request and one answer per connection, at most CSK_CONNECTIONS_MAX of them, each ended after 5 s. */
#ifndef AGENT_PEER_CSK_SERVER_H
#define AGENT_PEER_CSK_SERVER_H

#include <stdint.h>

#include "agent/peer/csk_wire.h"
#include "crypto/am_error.h"

#define CSK_CONNECTIONS_MAX 64

struct event_base;
struct csk_server;

struct csk_source {
    /* Whether this address (host order) is that of a live member. Others are not read from. */
    bool (*is_member)(void *user, uint32_t source_ip);

    /* Seals the key of a generation to the member with this address. False when it is not held. */
    bool (*seal)(void *user, uint32_t source_ip, uint64_t generation, uint8_t out[CSK_SEALED_SIZE]);

    void *user;
};

/* `source` is copied; its user outlives the server. Returns NULL with `err` set. */
struct csk_server *csk_server_new(struct event_base *base, uint32_t mesh_ip, const struct csk_source *source,
                                  struct am_err *err);
void csk_server_free(struct csk_server *server);

#endif
