/* The application socket (PROTOCOL section 10): a unix socket for programs on this node, on the control
 * thread's loop.
 *
 * Bounded throughout: API_CLIENTS_MAX connections, API_FRAME_MAX bytes read ahead per connection, and
 * API_CLIENT_QUEUE_MAX bytes waiting for a slow reader. A client that does not read its answers is not read
 * from; of a subscription, events that find the queue full are dropped, and the client is told how many.
 */
#ifndef AGENT_API_SERVER_H
#define AGENT_API_SERVER_H

#include <stdint.h>

#include "agent/api/api.h"
#include "crypto/am_error.h"
#include "crypto/bytes.h"

#define API_CLIENTS_MAX 64
#define API_CLIENT_QUEUE_MAX 262144u

struct event_base;
struct api_server;

/* Listens on `path`, mode 0660, owned by `group` (a name or a number; NULL: the process's own). The path's
 * last folder is made when it is missing (0755); a socket file that nobody listens on any more is replaced.
 * Only root, this user and members of the group are let in. `source` is copied; its user pointer outlives the
 * server. Returns 0, -EADDRINUSE when another agent listens there, AM_ECONFIG for an unknown group or a path
 * that is no socket, or an errno. */
int api_server_new(struct event_base *base, const char *path, const char *group,
                   const struct api_source *source, struct api_server **out, struct am_err *err);

/* Ends all connections and removes the socket file; NULL is allowed. */
void api_server_free(struct api_server *server);

/* Tells subscribers what happened to the peer at `index`. The peer's state is asked from the source, so call
 * this when the source shows the new state. PRESENT, SYNCED and LOST are the server's own. */
void api_server_peer_event(struct api_server *server, uint32_t index, api_PeerEvent_Kind kind);

/* Tells subscribers that the node holds a new cluster shared key; its generation is asked from the source. */
void api_server_key_event(struct api_server *server);

/* Answers a request that was accepted. Nothing happens when its connection has ended. */
void api_server_message_sent(struct api_server *server, const struct api_ticket *ticket,
                             const struct bytes32 *envelope_id, const struct bytes32 *tx_hash);
void api_server_fail(struct api_server *server, const struct api_ticket *ticket, api_Error_Code code,
                     const char *text);

/* Tells a subscriber of a message, of CAUGHT_UP or of ROLLED_BACK. False when too much waits for its client:
 * the event is not taken, and resume_messages of the source comes later. */
bool api_server_message_event(struct api_server *server, const struct api_ticket *ticket,
                              const api_MessageEvent *event);

struct api_server_counters {
    uint32_t clients;     /* now */
    uint64_t accepted;    /* since the start */
    uint64_t refused;     /* not allowed, or too many */
    uint64_t malformed;   /* connections ended because of what they sent */
    uint64_t events_lost; /* for all slow readers */
};

void api_server_counters(const struct api_server *server, struct api_server_counters *out);

#endif
