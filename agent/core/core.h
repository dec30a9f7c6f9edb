/* The node's brain: pure state machines behind one entry (ARCHITECTURE, "The core is sans-I/O").
 *
 * The shell feeds events with the time, then performs every action the core hands out, then sleeps until the
 * core's deadline or the next event:
 *
 *     core_step(core, now_ms, &event);
 *     while (core_next_action(core, &action))
 *         perform(&action);
 *     arm_timer(core_deadline(core));            // when it passes: core_step with CORE_EVENT_TICK
 *
 * Actions are drained completely before the next core_step. Every CORE_DO_READ_*, CORE_DO_REGISTER,
 * CORE_DO_*_DEVICE, CORE_DO_*_CSK, CORE_DO_PUBLISH_WG_KEY and CORE_DO_DIAL is answered by exactly one event,
 * also when it fails; the core never has two of one kind in flight (dials and pulls: one per peer,
 * CORE_DIALS_MAX and CORE_PULLS_MAX in all), nor two of those that share the account's nonce:
 * CORE_DO_REGISTER, CORE_DO_COMMIT_CSK, CORE_DO_SEND_MESSAGE, CORE_DO_SEND_ENVELOPE and
 * CORE_DO_PUBLISH_WG_KEY. All retries, their backoff and their jitter live in here: the shell never repeats
 * anything on its own.
 *
 * What the core knows, the shell reads between steps: view.h.
 *
 * The core never sees a cluster shared key, only the hashes of those that the shell holds.
 *
 * No system call, no clock, no global state; randomness comes from the seed; memory is bounded by
 * CORE_MEMBERS_MAX rows of the member table. Times are milliseconds of one clock that does not step back
 * (CLOCK_BOOTTIME). Mesh addresses are uint32_t in host order, 10.13.0.1 being 0x0a0d0001.
 */
#ifndef AGENT_CORE_CORE_H
#define AGENT_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"

#define CORE_MEMBERS_MAX 16384 /* registry rows a node can hold */
#define CORE_NEWS_MAX 256      /* registry changes in one answer */
#define CORE_PAGE_MAX 50    /* rows per page: 9 words each, so an answer is at most 14,496 bytes before hex */
#define CORE_DIALS_MAX 64   /* dials in flight */
#define CORE_CHANGES_MAX 64 /* changed peers that are applied one by one; more make a whole pass */
#define CORE_TEXT_MAX 320
#define CORE_LINK_TEXT_MAX 96
#define CORE_PULLS_MAX 8   /* CSK pulls in flight */
#define CORE_VIEW_MAX 8576 /* registry indexes that the views of heartbeats reach (a datagram's room) */
#define CORE_PROVISIONAL_BLOCKS 32 /* the newest ones: a reorganisation may change them */
#define CORE_NEVER UINT64_MAX
#define CORE_NO_INDEX UINT32_MAX
#define CORE_HANDSHAKE_FRESH_S 180

struct core;

/* What the registry says about a member (MemberView, PROTOCOL 2.2). Its place in the registry is its index.
 */
struct core_record {
    struct bytes32 member_id;
    struct bytes32 attestor_id;
    struct address member_contract;
    uint32_t mesh_ip;
    uint64_t registered_at; /* unix seconds */
    struct bytes32 x_pubkey;
    struct bytes32 wg_pubkey;
    struct bytes32 ed25519_pubkey;
    bool removed;
};

/* ---- Events ---- */

enum core_event_type {
    CORE_EVENT_STARTED,         /* once, first */
    CORE_EVENT_TICK,            /* the deadline passed */
    CORE_EVENT_IDENTITY_READY,  /* READ_IDENTITY: keys derived, chain id checked, cluster found */
    CORE_EVENT_IDENTITY_FAILED, /* READ_IDENTITY */
    CORE_EVENT_SELF_RECORD,     /* READ_SELF */
    CORE_EVENT_REGISTER_DONE,   /* REGISTER: the receipt of success came */
    CORE_EVENT_REGISTER_FAILED, /* REGISTER */
    CORE_EVENT_CHAIN_STATE,     /* READ_STATE */
    CORE_EVENT_MEMBERS_PAGE,    /* READ_PAGE */
    CORE_EVENT_CHANGES,         /* READ_CHANGES */
    CORE_EVENT_READ_FAILED,     /* READ_SELF, READ_STATE, READ_CHANGES, READ_PAGE, READ_INBOX or
                                   READ_SENT */
    CORE_EVENT_DEVICE_APPLIED,  /* APPLY_DEVICE or APPLY_PEERS */
    CORE_EVENT_DEVICE_FAILED, /* APPLY_DEVICE, APPLY_PEERS or OBSERVE_DEVICE: nothing could be done at all */
    CORE_EVENT_DEVICE_OBSERVED,  /* OBSERVE_DEVICE */
    CORE_EVENT_DEVICE_DRIFTED,   /* the system told of a change of the device by another hand, or may have */
    CORE_EVENT_INDEXER,          /* what the indexer's subscription is, or tells */
    CORE_EVENT_STREAM_UP,        /* datagrams pass to and from this peer; answers DIAL when `dialed` */
    CORE_EVENT_STREAM_DOWN,      /* no stream to this peer is left */
    CORE_EVENT_DIAL_FAILED,      /* DIAL */
    CORE_EVENT_HEARTBEAT,        /* from a live member, its signature and source address checked */
    CORE_EVENT_CSK_LOADED,       /* LOAD_CSK: the cache has it */
    CORE_EVENT_CSK_DERIVED,      /* DERIVE_CSK */
    CORE_EVENT_CSK_COMMITTED,    /* COMMIT_CSK: the receipt of success came */
    CORE_EVENT_CSK_PULLED,       /* PULL_CSK: a peer gave the key that was asked for */
    CORE_EVENT_CSK_FAILED,       /* LOAD_CSK, DERIVE_CSK, COMMIT_CSK, PULL_CSK */
    CORE_EVENT_MESSAGE_QUEUED,   /* the application has one to send */
    CORE_EVENT_MESSAGE_SETTLED,  /* SEND_MESSAGE: it is sent, or given up */
    CORE_EVENT_MESSAGE_FAILED,   /* SEND_MESSAGE: to be tried again */
    CORE_EVENT_INBOX_MESSAGES,   /* READ_INBOX: some of the logs, in order; more may follow */
    CORE_EVENT_INBOX_READ,       /* READ_INBOX: that were all */
    CORE_EVENT_SENT_ENVELOPES,   /* READ_SENT: some of the logs, in order; more may follow */
    CORE_EVENT_SENT_READ,        /* READ_SENT: that were all */
    CORE_EVENT_ENVELOPE_SENT,    /* SEND_ENVELOPE: the chain has it, since now or before */
    CORE_EVENT_ENVELOPE_FAILED,  /* SEND_ENVELOPE */
    CORE_EVENT_ROTATE_WG_KEY,    /* the operator wants the next generation; see core_status */
    CORE_EVENT_WG_KEY_PUBLISHED, /* PUBLISH_WG_KEY: the receipt of success came */
    CORE_EVENT_WG_KEY_FAILED     /* PUBLISH_WG_KEY */
};

struct core_identity {
    struct address cluster;
    struct address member_contract;
    struct bytes32 member_id;
    struct bytes32 x_pubkey;
    struct bytes32 wg_pubkey; /* generation 0 */
    struct bytes32 ed25519_pubkey;
};

#define CORE_WG_FOREIGN UINT32_MAX

/* Our record as memberOf tells it. The core compares the keys; only the shell can derive other WireGuard
 * generations, so it says which one of ours the record carries. */
struct core_self {
    bool present;
    struct core_record record; /* when present */
    uint32_t wg_generation;    /* when present: of the record's WireGuard key, or CORE_WG_FOREIGN */
};

/* A failure, of a kind that names no more than this. `text` is one line for the operator, copied. */
struct core_failure {
    const char *text;
    bool retryable; /* false: repeating can not help: the node exits, or this WireGuard key is nobody's to
                       publish */
};

/* nodeState and the block it was read at. */
struct core_chain_state {
    uint64_t block;
    struct bytes32 block_hash;
    uint64_t version;
    struct bytes32 head;
    uint64_t members; /* registry length, removed ones included */
    uint64_t removed;
    uint32_t cidr_ip;
    uint8_t cidr_prefix; /* 8..29 */
    uint64_t csk_generation;
    struct bytes32 csk_commitment; /* zero while the generation is open */
    uint64_t inbox_count;
    struct bytes32 inbox_head;
};

/* The answer to READ_PAGE, read at that very block, not at another of its number. `records` live during
 * core_step only. */
struct core_page {
    uint32_t offset;
    uint64_t total;
    const struct core_record *records;
    size_t records_len;
};

enum core_change_type {
    CORE_CHANGE_REGISTERED,
    CORE_CHANGE_REMOVED,
    CORE_CHANGE_WG_KEY,
    CORE_CHANGE_ED25519_KEY,
    CORE_CHANGE_CSK_ROTATED,
    CORE_CHANGE_CSK_COMMITTED
};

/* An event of the cluster that made one version of its registry. */
struct core_change {
    enum core_change_type type;
    union {
        struct core_record registered; /* all but mesh_ip and registered_at, which the event does not have */
        struct bytes32 removed;        /* the member's id */
        struct {
            struct bytes32 member_id;
            struct bytes32 pubkey;
        } key; /* WG_KEY, ED25519_KEY */
        struct {
            uint64_t generation;
            struct bytes32 commitment; /* CSK_COMMITTED */
        } csk;
    };
};

/* The answer to READ_CHANGES. Everything lives during core_step only. */
struct core_changes {
    const struct core_change *items; /* the newest ones, at most CORE_NEWS_MAX, in the chain's order */
    size_t items_len;
    const struct core_record *records; /* the rows asked for */
    size_t records_len;
};

/* One pass of the reconciler over the device or some of its peers. Failed edits are tried again with the next
 * APPLY_DEVICE. */
struct core_apply_result {
    uint32_t failed_edits;
    const char *text; /* the first failure; ignored when failed_edits is 0 */
};

/* One peer as the device shows it; peers that are not the core's are ignored. */
struct core_observed_peer {
    struct bytes32 wg_pubkey;
    uint64_t handshake_age_s; /* CORE_NEVER when there was none */
    uint64_t rx_bytes;
    uint64_t tx_bytes;
};

struct core_observation {
    const struct core_observed_peer *peers; /* live during core_step only */
    size_t peers_len;
    bool drifted; /* the device is not what was applied last */
};

/* An indexer that is caught up lets polling become rare; a verified push wakes it. Neither is believed
 * further: what is true, the chain says. */
struct core_indexer {
    bool caught_up;
    bool wake; /* it pushed an event, or took some back */
};

struct core_stream {
    uint32_t index;
    bool dialed;      /* STREAM_UP: this is our dial's stream, not one we accepted */
    const char *text; /* STREAM_DOWN, DIAL_FAILED: why; copied */
};

/* What a heartbeat says (PROTOCOL section 7), sent or received. */
struct core_heartbeat {
    uint32_t index; /* of the sender */
    uint64_t boot_nonce;
    uint64_t sequence;
    uint64_t version;    /* of the registry, as the sender knows it */
    const uint8_t *view; /* bit i & 7 of byte i >> 3 is the registry index i; live during core_step only, or
                            until the next one */
    size_t view_len;     /* at most CORE_VIEW_MAX / 8 */
    bool csk_held;
    uint64_t csk_generation; /* of the newest committed key held */
};

/* A key that the shell holds now. */
struct core_csk {
    uint64_t generation;
    struct bytes32 commitment; /* keccak of the key */
    uint32_t index;            /* CSK_PULLED: who gave it */
};

enum core_csk_step { CORE_CSK_LOAD, CORE_CSK_DERIVE, CORE_CSK_COMMIT, CORE_CSK_PULL };

struct core_csk_failure {
    enum core_csk_step what;
    uint32_t index;   /* PULL: of the peer */
    const char *text; /* copied; "" for a cache that simply has no such key */
};

/* The queue of messages is the shell's; the core only decides when the oldest one's turn is. */
struct core_messages {
    bool waiting; /* the queue is not empty now */
};

/* A MessageSent log to this node, as far as its inbox's head goes. */
struct core_inbox_message {
    struct bytes32 sender;
    struct bytes32 envelope_id;
    struct bytes32 ciphertext_hash; /* keccak */
};

struct core_inbox_batch {
    const struct core_inbox_message *items; /* live during core_step only */
    size_t len;
};

/* An endpoint that this node has sent. */
struct core_sent {
    struct bytes32 recipient; /* member id */
    struct bytes32 envelope_id;
};

struct core_sent_batch {
    const struct core_sent *items; /* live during core_step only */
    size_t len;
};

enum core_read {
    CORE_READ_SELF,
    CORE_READ_STATE,
    CORE_READ_CHANGES,
    CORE_READ_PAGE,
    CORE_READ_INBOX,
    CORE_READ_SENT
};

struct core_read_failure {
    enum core_read what;
    const char *text;
};

struct core_event {
    enum core_event_type type;
    union {
        struct core_identity identity; /* IDENTITY_READY */
        struct core_failure failure;   /* IDENTITY_FAILED, REGISTER_FAILED, DEVICE_FAILED, WG_KEY_FAILED */
        struct core_self self;         /* SELF_RECORD */
        struct core_chain_state chain; /* CHAIN_STATE */
        struct core_page page;         /* MEMBERS_PAGE */
        struct core_changes changes;   /* CHANGES */
        struct core_read_failure read_failure; /* READ_FAILED */
        struct core_apply_result applied;      /* DEVICE_APPLIED */
        struct core_observation observed;      /* DEVICE_OBSERVED */
        struct core_indexer indexer;           /* INDEXER */
        struct core_stream stream;             /* STREAM_UP, STREAM_DOWN, DIAL_FAILED */
        struct core_heartbeat heartbeat;       /* HEARTBEAT */
        struct core_csk csk;                   /* CSK_LOADED, CSK_DERIVED, CSK_PULLED */
        struct core_csk_failure csk_failure;   /* CSK_FAILED */
        struct core_messages messages;         /* MESSAGE_SETTLED, MESSAGE_FAILED */
        struct core_inbox_batch inbox;         /* INBOX_MESSAGES */
        struct core_sent_batch sent;           /* SENT_ENVELOPES */
    };
};

/* ---- Actions ---- */

enum core_action_type {
    CORE_DO_READ_IDENTITY,      /* guest agent, chain id, cluster of the member contract */
    CORE_DO_READ_SELF,          /* memberOf(own contract) */
    CORE_DO_REGISTER,           /* build the proof, sponsor, sign, submit, await the receipt */
    CORE_DO_READ_STATE,         /* nodeState and the block it belongs to */
    CORE_DO_READ_CHANGES,       /* the events of page.from..page.block, and membersPage at that block */
    CORE_DO_READ_PAGE,          /* membersPage at `page.block` */
    CORE_DO_APPLY_DEVICE,       /* make the device what core_device and core_next_desired_peer say now */
    CORE_DO_APPLY_PEERS,        /* the same for those peers only which core_next_changed_peer names */
    CORE_DO_OBSERVE_DEVICE,     /* one dump */
    CORE_DO_SET_STREAM_PEER,    /* let the transport know (or update) this member; see core_member_at */
    CORE_DO_REMOVE_STREAM_PEER, /* forget it, close its streams at once; no event comes for its dial or
                                   streams */
    CORE_DO_DIAL,               /* also while a stream is up: make before break */
    CORE_DO_SEND_HEARTBEAT,     /* core_heartbeat to every desired peer that has a stream */
    CORE_DO_LOAD_CSK,           /* `csk`: look for it in the cache */
    CORE_DO_DERIVE_CSK,         /* `csk.generation`: ask the guest agent */
    CORE_DO_COMMIT_CSK,         /* `csk`: setCskCommitment, await the receipt */
    CORE_DO_PULL_CSK,           /* `csk` from the peer `csk.index` */
    CORE_DO_SEND_MESSAGE,       /* the oldest message of the queue: submit, await the receipt */
    CORE_DO_READ_INBOX,         /* MessageSent logs to this node of the blocks blocks.from..blocks.to */
    CORE_DO_READ_SENT,          /* endpoints sent by this node in those blocks */
    CORE_DO_SEND_ENVELOPE,  /* this node's endpoint to the member `envelope.index`: submit, await the receipt
                             */
    CORE_DO_PUBLISH_WG_KEY, /* publishWgKey with our key of `wg_generation`, await the receipt */
    CORE_TELL_PEER,         /* for subscribers: what happened to a peer */
    CORE_TELL_REFUSED,      /* for the log: this member gets no device peer; core_member_at names the cause */
    CORE_TELL_CSK,          /* `csk` is on chain and held: serve it, cache it, tell the application */
    CORE_TELL_INBOX,        /* core_inbox moved */
    CORE_TELL_WITHHELD,     /* the chain changed and an indexer that was caught up said nothing */
    CORE_TELL_PHASE,        /* for log and health: the phase changed */
    CORE_TELL_EXIT          /* leave with a non-zero code; the core takes no more events */
};

enum core_peer_event {
    CORE_PEER_JOINED,
    CORE_PEER_UP,
    CORE_PEER_DOWN,
    CORE_PEER_KEY_ROTATED,
    CORE_PEER_TRANSPORT_CHANGED,
    CORE_PEER_REMOVED
};

/* The phases in use of PROTOCOL section 11. */
enum core_phase {
    CORE_PHASE_BOOTING,
    CORE_PHASE_REGISTERING,
    CORE_PHASE_WAITING_PEERS,
    CORE_PHASE_WG_CONFIGURING,
    CORE_PHASE_PULLING_CSK,
    CORE_PHASE_HEARTBEATING,
    CORE_PHASE_HEALTHY
};

struct core_action {
    enum core_action_type type;
    union {
        struct {
            uint64_t from;  /* READ_CHANGES */
            uint64_t block; /* that of the last CHAIN_STATE */
            struct bytes32 block_hash;
            uint32_t offset;
            uint32_t limit; /* READ_CHANGES: may be 0 */
        } page;             /* READ_CHANGES, READ_PAGE */
        struct {
            uint64_t from; /* 0: since this node's registration */
            uint64_t to;
        } blocks;  /* READ_INBOX, READ_SENT */
        bool anew; /* READ_STATE: of the newest block, though nothing else may have changed */
        struct {
            uint32_t index;
            uint64_t issued_ms;
        } envelope;             /* SEND_ENVELOPE */
        uint32_t index;         /* SET_STREAM_PEER, REMOVE_STREAM_PEER, DIAL, TELL_REFUSED */
        uint32_t wg_generation; /* PUBLISH_WG_KEY */
        struct {
            uint32_t index;
            enum core_peer_event event;
        } peer;              /* TELL_PEER */
        struct core_csk csk; /* LOAD_CSK, DERIVE_CSK, COMMIT_CSK, PULL_CSK, TELL_CSK */
        struct {
            enum core_phase phase;
            const char *text; /* valid until the next core_step */
        } phase;              /* TELL_PHASE */
        struct {
            int code;
            const char *text; /* valid until the next core_step */
            bool removed;     /* from the cluster: the device is to carry nothing any more */
        } exit;               /* TELL_EXIT: code is of crypto/am_error.h */
    };
};

/* ---- The engine ---- */

struct core_config {
    uint64_t seed; /* of backoff and jitter; different on every node and start */
    bool can_dial; /* a gateway domain is configured; without it the node only accepts streams */
    uint32_t
        envelope_members_max; /* clusters of up to so many live members tell each other their endpoints */
    /* The id of the envelope that tells `recipient` this node's endpoint: it follows from these alone, and
     * from the endpoint. NULL: the node has no endpoint to tell. */
    struct bytes32 (*envelope_id)(void *user, const struct bytes32 *recipient, uint64_t issued_ms);
    void *user;
};

/* Returns NULL when memory is short. */
struct core *core_new(const struct core_config *config);
void core_free(struct core *core);

/* Takes one event in. A time before the last one counts as the last one. Events that answer nothing in flight
 * (late, or of an unknown index) are ignored. */
void core_step(struct core *core, uint64_t now_ms, const struct core_event *event);

/* Hands out the next action; false when there is none. Never more than eleven per member and twenty for
 * the node between two steps. */
bool core_next_action(struct core *core, struct core_action *action);

/* When CORE_EVENT_TICK is due, CORE_NEVER for never; a time in the past means at once. */
uint64_t core_deadline(const struct core *core);

#endif
