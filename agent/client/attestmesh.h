/* libattestmesh-client: what an application asks the AttestMesh agent on its node, over the agent's socket.
 *
 * Everything is asked by sending a request, which gives an id, and taking answers, which carry the ids of
 * their requests. Nothing waits except attestmesh_open and attestmesh_wait; no thread is started, no signal
 * raised.
 *
 *     struct attestmesh *mesh;
 *     const struct attestmesh_answer *answer;
 *     if (attestmesh_open(NULL, &mesh) == 0 && attestmesh_get_status(mesh, NULL) == 0 &&
 *         attestmesh_wait(mesh, 5000, &answer) == 1 && answer->kind == ATTESTMESH_STATUS)
 *         puts(answer->status.phase_name);
 *     attestmesh_close(mesh);
 *
 * In a loop: poll attestmesh_fd for attestmesh_poll_events, then take answers with attestmesh_next until
 * there is none. Connections are independent of each other; one connection is for one thread at a time.
 *
 * Functions that return an int return a negative errno on failure. After a failure of attestmesh_next or
 * attestmesh_wait other than -EINTR the connection is of no more use: close it, and open another one. What a
 * connection was subscribed to ends with it.
 *
 * Structures are made by the library only; later versions may append fields, values and kinds of answers.
 * What an answer points to lasts until the next call of attestmesh_next, attestmesh_wait or attestmesh_close.
 *
 * The meaning of each field is that of the field of the same name in agent.proto, which says more. */
#ifndef ATTESTMESH_H
#define ATTESTMESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATTESTMESH_SOCKET_DEFAULT "/run/attestmesh/agent.sock"
#define ATTESTMESH_PAGE_MAX 64            /* peers in one answer */
#define ATTESTMESH_PAYLOAD_MAX 8143       /* bytes of a message */
#define ATTESTMESH_IDEMPOTENCY_KEY_MAX 64 /* bytes */

struct attestmesh;

/* ---- Answers ---- */

enum attestmesh_kind {
    ATTESTMESH_UNKNOWN, /* of a newer agent; to be passed over */
    ATTESTMESH_ERROR,
    ATTESTMESH_STATUS,
    ATTESTMESH_SELF,
    ATTESTMESH_PEERS,
    ATTESTMESH_PEER_EVENT,
    ATTESTMESH_KEY,
    ATTESTMESH_KEY_EVENT,
    ATTESTMESH_DONE, /* of attestmesh_cancel */
    ATTESTMESH_MESSAGE_SENT,
    ATTESTMESH_MESSAGE_EVENT,
};

enum attestmesh_error_code {
    ATTESTMESH_ERROR_UNSPECIFIED,
    ATTESTMESH_ERROR_INVALID_ARGUMENT,
    ATTESTMESH_ERROR_UNAVAILABLE, /* not now; later perhaps */
    ATTESTMESH_ERROR_NOT_FOUND,
    ATTESTMESH_ERROR_PERMISSION_DENIED,
    ATTESTMESH_ERROR_RESOURCE_EXHAUSTED,
    ATTESTMESH_ERROR_FAILED_PRECONDITION, /* something else must happen first */
    ATTESTMESH_ERROR_INTERNAL,
};

/* The agent refuses the request. With id 0 it refuses the connection, and ends it. */
struct attestmesh_error {
    enum attestmesh_error_code code;
    const char *text; /* one sentence for a person */
};

enum attestmesh_phase {
    ATTESTMESH_PHASE_UNSPECIFIED,
    ATTESTMESH_PHASE_BOOTING,
    ATTESTMESH_PHASE_REGISTERING,
    ATTESTMESH_PHASE_SUBSCRIBING,
    ATTESTMESH_PHASE_WAITING_PEERS,
    ATTESTMESH_PHASE_WG_CONFIGURING,
    ATTESTMESH_PHASE_PULLING_CSK,
    ATTESTMESH_PHASE_HEARTBEATING,
    ATTESTMESH_PHASE_HEALTHY,
};

struct attestmesh_status {
    enum attestmesh_phase phase;
    const char *phase_name; /* "healthy", "pulling-csk", ... */
    const char *reason;     /* what the phase waits for; empty when healthy */
    bool first_converged;
    bool converged;
    bool csk_acquired;
    uint64_t csk_generation; /* when csk_acquired */
    uint32_t members;
    uint32_t live_members;
    uint32_t heard_members;
    uint32_t up_peers;
    uint32_t streams;
    uint64_t block;
    uint64_t registry_version;
    uint64_t uptime_s;
    const char *chain_error; /* these are empty when there is none */
    const char *device_error;
    const char *csk_error;
    const char *agent_version;
};

struct attestmesh_self {
    uint8_t member_id[32];
    uint8_t cluster[20];
    uint8_t member_contract[20];
    bool registered; /* what follows is set only then */
    uint32_t index;
    const char *mesh_ipv4;
    const char *mesh_ipv6;
    uint8_t wg_pubkey[32];
    uint8_t x_pubkey[32];
    uint8_t ed25519_pubkey[32];
    uint32_t wg_generation;
};

enum attestmesh_transport { ATTESTMESH_TRANSPORT_NONE, ATTESTMESH_TRANSPORT_GATEWAY };

struct attestmesh_peer {
    uint32_t index;
    uint8_t member_id[32];
    uint8_t member_contract[20];
    uint8_t attestor_id[32];
    const char *mesh_ipv4;
    const char *mesh_ipv6;
    uint8_t wg_pubkey[32];
    uint8_t x_pubkey[32];
    uint8_t ed25519_pubkey[32];
    uint64_t registered_at; /* Unix time, seconds */
    bool up;
    bool removed; /* only in a REMOVED event */
    enum attestmesh_transport transport;
    int64_t handshake_age_s; /* -1: no handshake so far */
    uint64_t rx_bytes;
    uint64_t tx_bytes;
    const char *problem; /* empty when there is none */
};

struct attestmesh_peers {
    size_t len; /* at most ATTESTMESH_PAGE_MAX */
    const struct attestmesh_peer *const *peers;
    uint32_t next_index; /* first index of the next page; 0: this is the last */
};

enum attestmesh_peer_event_kind {
    ATTESTMESH_PEER_UNSPECIFIED,
    ATTESTMESH_PEER_PRESENT, /* part of the state at the time of the subscription */
    ATTESTMESH_PEER_SYNCED,  /* that state is complete; changes follow */
    ATTESTMESH_PEER_JOINED,
    ATTESTMESH_PEER_UP,
    ATTESTMESH_PEER_DOWN,
    ATTESTMESH_PEER_KEY_ROTATED,
    ATTESTMESH_PEER_TRANSPORT_CHANGED,
    ATTESTMESH_PEER_REMOVED,
    ATTESTMESH_PEER_LOST, /* answers were taken too slowly: `lost` events are missing here */
};

struct attestmesh_peer_event {
    enum attestmesh_peer_event_kind kind;
    const char *kind_name; /* "joined", "key rotated", ... */
    uint64_t unix_ms;
    const struct attestmesh_peer *peer; /* as it is since the event; NULL for SYNCED and LOST */
    uint64_t lost;
};

struct attestmesh_key {
    uint64_t generation;
    uint8_t key[32]; /* wiped when the answer ends; a copy is the caller's to wipe */
};

struct attestmesh_key_event {
    uint64_t generation; /* can be had with attestmesh_get_key now */
    uint64_t unix_ms;
};

struct attestmesh_message_sent {
    uint8_t envelope_id[32]; /* what the recipient knows the message by, beside this node's member id */
    bool repeated;           /* the chain had a message with this key already */
    uint8_t tx_hash[32];     /* unless it is repeated */
};

/* A place in the chain, in the order of block, then log index. */
struct attestmesh_cursor {
    uint64_t block;
    uint32_t log_index;
};

enum attestmesh_message_event_kind {
    ATTESTMESH_MESSAGE_UNSPECIFIED,
    ATTESTMESH_MESSAGE,
    ATTESTMESH_MESSAGE_CAUGHT_UP,   /* what follows is new; without the other fields */
    ATTESTMESH_MESSAGE_ROLLED_BACK, /* the chain was reorganised: what comes after the cursor comes again */
};

struct attestmesh_message_event {
    enum attestmesh_message_event_kind kind;
    struct attestmesh_cursor cursor; /* of this message; keep it once the message is dealt with */
    uint8_t sender[32];              /* member id */
    uint8_t envelope_id[32];
    const uint8_t *payload;
    size_t payload_len; /* at most ATTESTMESH_PAYLOAD_MAX */
};

struct attestmesh_answer {
    uint64_t id; /* of the request that this answers */
    enum attestmesh_kind kind;
    union {
        struct attestmesh_error error;
        struct attestmesh_status status;
        struct attestmesh_self self;
        struct attestmesh_peers peers;
        struct attestmesh_peer_event peer_event;
        struct attestmesh_key key;
        struct attestmesh_key_event key_event;
        struct attestmesh_message_sent message_sent;
        struct attestmesh_message_event message_event;
    };
};

/* ---- Connection ---- */

/* Connects to the agent; `path` NULL means AGENT_SOCKET from the environment, else ATTESTMESH_SOCKET_DEFAULT.
 * Waits only while the agent has other connections to accept. Returns 0, -ENOENT or -ECONNREFUSED when no
 * agent listens there, -EACCES, -ENAMETOOLONG, -ENOMEM, or another errno of connect(2). */
int attestmesh_open(const char *path, struct attestmesh **out);

/* Ends the connection and wipes what it received; NULL is allowed. */
void attestmesh_close(struct attestmesh *mesh);

/* The descriptor to poll, for nothing else, and what for: POLLIN, with POLLOUT while a request waits to be
 * sent. */
int attestmesh_fd(const struct attestmesh *mesh);
short attestmesh_poll_events(const struct attestmesh *mesh);

/* Takes the next answer. Returns 1; 0 when none is here yet; -EPIPE when the agent has ended the connection,
 * -EPROTO when it does not speak this protocol, or another errno. */
int attestmesh_next(struct attestmesh *mesh, const struct attestmesh_answer **out);

/* The same, but waits at most `timeout_ms` (below 0: for ever) for an answer; 0 then means that none came.
 * -EINTR when a signal did. */
int attestmesh_wait(struct attestmesh *mesh, int timeout_ms, const struct attestmesh_answer **out);

/* ---- Requests ----
 *
 * Each returns 0 and the request's id, never 0, in `id` (which may be NULL); -ENOBUFS when the agent has not
 * read earlier requests, -EINVAL, or another errno of send(2). A request that fails has not been sent. An
 * ERROR can answer any of them, under its id. */

/* STATUS, at any time. */
int attestmesh_get_status(struct attestmesh *mesh, uint64_t *id);

/* SELF; ERROR UNAVAILABLE until the node knows who it is. */
int attestmesh_get_self(struct attestmesh *mesh, uint64_t *id);

/* PEERS: the other members with an index of at least `first_index`, at most `limit` of them (0: as many as
 * fit). */
int attestmesh_list_peers(struct attestmesh *mesh, uint32_t first_index, uint32_t limit, uint64_t *id);

/* PEER_EVENTs under this id until it is cancelled: PRESENT for every live peer, SYNCED, then what happens.
 * One such subscription per connection. */
int attestmesh_subscribe_peer_events(struct attestmesh *mesh, uint64_t *id);

/* KEY: the cluster shared key, of the newest generation or of `generation`; ERROR UNAVAILABLE until the node
 * is healthy, NOT_FOUND when it does not hold that generation. */
int attestmesh_get_key(struct attestmesh *mesh, uint64_t *id);
int attestmesh_get_key_of(struct attestmesh *mesh, uint64_t generation, uint64_t *id);

/* KEY_EVENTs under this id until it is cancelled: for the newest key, if one is held, then for each new one.
 * One such subscription per connection. */
int attestmesh_subscribe_key_events(struct attestmesh *mesh, uint64_t *id);

/* MESSAGE_SENT once the message to this member is in a block, which takes seconds and somebody's money; ERROR
 * NOT_FOUND, UNAVAILABLE, RESOURCE_EXHAUSTED or PERMISSION_DENIED. With the same `key` to the same recipient
 * it is delivered once, however often it is sent; with `key_len` 0 it has a random one. -EINVAL when payload
 * or key are too long. */
int attestmesh_send_message(struct attestmesh *mesh, const uint8_t recipient[32], const void *payload,
                            size_t payload_len, const void *key, size_t key_len, uint64_t *id);

/* MESSAGE_EVENTs under this id until it is cancelled: every message to this node after `after` (NULL: all
 * there ever were), CAUGHT_UP, then new ones. Delivery is at least once. One such subscription per
 * connection. */
int attestmesh_subscribe_messages(struct attestmesh *mesh, const struct attestmesh_cursor *after,
                                  uint64_t *id);

/* DONE, after which nothing comes under the id of the subscription. */
int attestmesh_cancel(struct attestmesh *mesh, uint64_t subscription, uint64_t *id);

#ifdef __cplusplus
}
#endif

#endif
