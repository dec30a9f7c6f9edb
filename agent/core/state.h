/* What the machines of the core share. Internal to agent/core.
 *
 * Every machine is level-triggered: events change state, then the pumps look at the whole state of their
 * machine and ask for what is missing. What is asked for is a bit until the shell takes it, for the node and
 * for each row, so nothing queues up and nothing can overflow.
 */
#ifndef AGENT_CORE_STATE_H
#define AGENT_CORE_STATE_H

#include "agent/core/rng.h"
#include "agent/core/timers.h"
#include "agent/core/view.h"
#include "crypto/am_error.h"

/* Bits of core.pending and row.pending; handed out lowest first. */
enum node_ask {
    ASK_READ_IDENTITY = 1 << 0,
    ASK_READ_SELF = 1 << 1,
    ASK_REGISTER = 1 << 2,
    ASK_READ_STATE = 1 << 3,
    ASK_READ_CHANGES = 1 << 4,
    ASK_READ_PAGE = 1 << 5,
    ASK_APPLY_DEVICE = 1 << 6,
    ASK_APPLY_PEERS = 1 << 7,
    ASK_OBSERVE_DEVICE = 1 << 8,
    ASK_SEND_HEARTBEAT = 1 << 9,
    ASK_LOAD_CSK = 1 << 10,
    ASK_DERIVE_CSK = 1 << 11,
    ASK_COMMIT_CSK = 1 << 12,
    ASK_SEND_MESSAGE = 1 << 13,
    ASK_READ_INBOX = 1 << 14,
    ASK_READ_SENT = 1 << 15,
    ASK_SEND_ENVELOPE = 1 << 16,
    ASK_PUBLISH_WG_KEY = 1 << 17,
    TELL_CSK = 1 << 18,
    TELL_INBOX = 1 << 19,
    TELL_WITHHELD = 1 << 20,
    TELL_PHASE = 1 << 21,
    TELL_EXIT = 1 << 22
};

enum row_ask {
    ROW_REMOVE_STREAM = 1 << 0,
    ROW_SET_STREAM = 1 << 1,
    ROW_DIAL = 1 << 2,
    ROW_TELL_REFUSED = 1 << 3,
    ROW_TELL_JOINED = 1 << 4,
    ROW_TELL_KEY = 1 << 5,
    ROW_TELL_TRANSPORT = 1 << 6,
    ROW_TELL_UP = 1 << 7,
    ROW_TELL_DOWN = 1 << 8,
    ROW_TELL_REMOVED = 1 << 9,
    ROW_PULL_CSK = 1 << 10
};

/* Streams to one peer. */
struct link {
    bool up;
    bool dialing;
    bool dialed;       /* up: by our dial */
    bool ever_up;      /* since the peer is wanted */
    bool begun;        /* this node sends into the tunnel; see links_begin */
    uint32_t failures; /* in a row; a stream that held clears them */
    uint64_t since_ms; /* of the present state, up or not */
    char text[CORE_LINK_TEXT_MAX];
};

/* What a member's heartbeats say. */
struct beat {
    bool known; /* boot_nonce and sequence are of a heartbeat */
    bool up;
    bool ahead; /* up: its view has members that this node does not know */
    bool csk_held;
    uint64_t csk_generation;
    uint64_t boot_nonce;
    uint64_t sequence;
    uint64_t heard_ms;
};

/* Asking one peer for the CSK. */
struct pull {
    bool busy;
    uint32_t failures; /* in a row */
    uint64_t after_ms; /* not before */
};

/* Telling one member this node's endpoint. */
struct errand {
    struct bytes32 member_id; /* whom this is about; zero before it was looked at */
    uint32_t sent;            /* endpoints it was sent, ever */
    uint32_t fresh;           /* of them, those that a reorganisation may still undo */
    struct bytes32 last;      /* id of the last of them */
    bool is_current;          /* that is the present one */
    uint32_t attempts;        /* since the last one that is there for good */
    uint64_t after_ms;        /* not before */
};

/* One place of the registry. */
struct row {
    struct core_record record; /* `removed` also when a reorg took the member away */
    uint8_t mesh_ip6[16];
    bool is_self;
    bool wanted; /* a device peer with streams: live, not this node, not refused */
    bool up;
    enum core_refusal refusal;
    uint32_t older_index;
    uint32_t same_key_next; /* chain of live rows in one bucket */
    uint32_t same_address_next;
    uint32_t same_id_next;
    struct link link;
    struct beat beat;
    struct pull pull;
    struct errand errand;
    bool handshake_seen;
    int64_t handshake_ms; /* before the core's time began when negative */
    uint64_t rx_bytes;
    uint64_t tx_bytes;
    uint32_t pending;
    uint32_t pending_next;
};

/* The registry as this node knows it. Rows at and beyond `count` are of members that a reorg took away. */
struct members {
    struct row *rows;
    uint32_t count;
    uint32_t used;     /* rows ever filled */
    uint32_t capacity; /* of rows, and the number of buckets; a power of two */
    uint32_t *key_buckets;
    uint32_t *address_buckets;
    uint32_t *id_buckets;
    uint32_t live;
    uint32_t refused;
    uint32_t wanted;
    uint32_t up;
    uint32_t self; /* index or CORE_NO_INDEX */
    uint32_t pending_first;
    uint32_t pending_last;
};

struct links {
    struct timers dials; /* per row: when to dial next */
    uint32_t dialing;
    uint32_t up;
};

#define CORE_VIEW_WORDS (CORE_VIEW_MAX / 64)

/* Who hears whom. The live set is all counted members that this node or a view reports; every view is a part
 * of it, so two sums tell whether all of them are the whole of it. */
struct liveness {
    uint64_t counted[CORE_VIEW_WORDS]; /* by registry index: live members that can be heard, and this node */
    uint64_t *views;                   /* by row: the view of a member that is up, else zero */
    uint32_t *reports;                 /* by registry index: views of members that are up that report it */
    uint8_t own_view[CORE_VIEW_MAX / 8]; /* as the next heartbeat tells it */
    uint32_t capacity;                   /* of rows */
    struct timers expiry;
    uint32_t up;   /* members heard, this node included */
    uint32_t live; /* of the live set */
    uint64_t seen; /* sum of the sizes of the views of others that are up */
    uint32_t ahead;
    uint64_t boot_nonce;
    uint64_t sequence;
    uint64_t sent_ms;
    bool hurry;         /* what heartbeats tell has changed since the last one */
    bool listening;     /* the device is there: */
    uint64_t listen_ms; /* since */
};

enum csk_work { CSK_REST, CSK_LOADING, CSK_DERIVING };

/* The cluster shared key, as far as its hash goes. */
struct csk {
    enum csk_work work;
    struct core_csk held;      /* newest key known as committed; when is_held */
    struct core_csk candidate; /* derived or found, whether committed or not; when has_candidate */
    struct core_csk goal;      /* what the chain says; a zero commitment is an open generation */
    bool is_held;
    bool has_candidate;
    bool has_goal;
    bool cache_tried;   /* for the goal */
    bool cannot_derive; /* what we derive is not what was committed */
    uint32_t failures;  /* of deriving, in a row */
    uint64_t derive_ms; /* not before */
    uint64_t look_ms;   /* for a peer to pull from */
    uint64_t behind_ms; /* since when the goal is committed and not held */
    uint64_t settle_ms; /* until then, an open generation means a lagging RPC: we have the receipt */
    uint32_t pulls;
    char error[CORE_TEXT_MAX - 80]; /* leaves room for the generation in a sentence */
};

/* The most urgent first. */
enum outbox_item {
    OUTBOX_REGISTER,
    OUTBOX_COMMIT_CSK,
    OUTBOX_PUBLISH_WG_KEY,
    OUTBOX_SEND_MESSAGE,
    OUTBOX_SEND_ENVELOPE,
    OUTBOX_ITEMS
};

/* UserOperations to make. All share one nonce, so one is in flight. */
struct outbox {
    bool busy;
    enum outbox_item in_flight; /* when busy */
    struct {
        bool wanted;
        uint32_t failures; /* in a row */
        uint64_t due_ms;   /* not before */
    } items[OUTBOX_ITEMS];
};

/* The last rotation of the WireGuard key; its state follows from this, the outbox, the node and the device.
 */
struct rotation {
    uint32_t generation; /* that it leads to; 0: none was asked for */
    uint64_t settle_ms;  /* until then, our old key on chain means a lagging RPC: we have the receipt */
    bool burned;         /* this generation can not be published */
    char error[CORE_TEXT_MAX];
};

/* Registry indexes, each at most once. */
struct changes {
    uint32_t index[CORE_CHANGES_MAX];
    uint32_t len;
};

struct device {
    bool applying;
    bool applying_whole;
    bool observing;
    bool dirty;    /* the desired device changed, or the last pass did not finish */
    bool whole;    /* the next pass is to look at all of it, not at `changes` alone */
    bool exists;   /* the last pass could work on it, though some edits may have failed */
    bool in_place; /* the last pass did all, and the device was looked at since */
    bool rekeyed;  /* its private key is to change: a packet to every peer makes the new handshakes */
    uint32_t failures;
    uint32_t failed_edits;
    uint64_t apply_ms; /* not before */
    uint64_t refresh_ms;
    uint64_t observe_ms;
    uint64_t applied_ms;       /* when the last pass ended */
    struct changes changes;    /* peers that differ from those applied; more than fit set `whole` */
    struct changes being_made; /* by the APPLY_PEERS in flight */
    char error[CORE_TEXT_MAX];
};

enum boot {
    BOOT_IDLE,
    BOOT_IDENTITY,    /* READ_IDENTITY is due or in flight */
    BOOT_SELF,        /* READ_SELF */
    BOOT_REGISTERING, /* REGISTER */
    BOOT_DONE
};

struct node {
    enum boot boot;
    bool busy; /* the boot state's action is in flight */
    bool identity_known;
    bool registered;
    uint32_t failures;
    uint64_t boot_ms;   /* the action is not due before */
    uint64_t settle_ms; /* until then, a missing record means a lagging RPC, not a lost registration */
    struct core_identity identity;
    struct bytes32 wg_pubkey; /* in use: of our record */
    uint32_t wg_generation;
    uint32_t mesh_ip;
    uint8_t mesh_ip6[16];
    char error[CORE_TEXT_MAX];
    enum core_phase phase;
    bool first_converged;
};

#define JOURNAL_MAX 64

/* A change, and how things were before. */
struct undo {
    struct core_chain_state before;
    uint32_t index;            /* of the row that it changed, CORE_NO_INDEX: none */
    bool added;                /* the row is new */
    struct core_record record; /* the row before, unless it is new */
};

/* The newest changes that were taken in one by one: change n, counted from the start, is at n % JOURNAL_MAX.
 */
struct journal {
    struct undo changes[JOURNAL_MAX];
    uint32_t end;
    uint32_t len; /* how many before `end` are known */
};

enum intake { INTAKE_IDLE, INTAKE_STATE, INTAKE_CHANGES, INTAKE_PAGES };

/* How the registry gets into the member table. */
struct registry {
    enum intake intake;
    bool synced;                   /* `known` was taken in whole */
    bool clean;                    /* the member table is `known`, not a mixture with a read that broke off */
    struct core_chain_state known; /* valid when synced */
    struct core_chain_state target; /* being read, or the last one seen */
    uint32_t next;                  /* row to read next */
    uint64_t whole_reads;           /* of all pages, begun */
    uint64_t rollbacks;             /* to before a reorganisation */
    uint32_t failures;
    uint64_t poll_ms;
    bool caught_up;      /* the indexer is: its pushes wake the polling */
    bool woken;          /* since the last nodeState was asked for */
    bool prompted;       /* that nodeState was asked for because of a push */
    uint64_t eager_ms;   /* until then a push may be ahead of our RPC: poll often */
    uint64_t suspect_ms; /* by then the indexer must have told of a change we found, CORE_NEVER: none */
    uint64_t owed_ms;    /* until then it is asked for that in later sessions too, 0: nothing is owed */
    uint64_t stale_ms;   /* since when answers are older than `known`, CORE_NEVER when they are not */
    char error[CORE_TEXT_MAX];
};

#define INBOX_MARKS_MAX 64

/* How far the inbox is known. */
struct inbox {
    struct core_inbox aim; /* where the chain is, when has_aim */
    bool has_aim;
    struct core_inbox verified; /* when is_verified */
    bool is_verified;
    struct core_inbox marks[INBOX_MARKS_MAX]; /* earlier places, oldest first, to read from again */
    uint32_t marks_len;
    uint64_t spacing; /* blocks between two marks at least */
    bool reading;
    bool rewound;             /* the next read begins at `from`, a mark, because one went wrong */
    struct core_inbox from;   /* where the read in flight began, or the next one begins */
    struct core_inbox run;    /* where the logs taken in so far lead */
    struct core_inbox target; /* of the read in flight */
    uint32_t failures;
    uint64_t retry_ms; /* not before */
    char error[CORE_TEXT_MAX];
};

/* Telling every member this node's endpoint. */
struct announce {
    bool known;       /* what was sent has been read */
    bool reading;     /* it is being read */
    bool provisional; /* the read is of the blocks that may be reorganised, not of those before */
    uint64_t to;      /* it ends here */
    uint64_t settled; /* block up to which it is known for good */
    uint64_t check;   /* block as of which the rest is read again, CORE_NEVER: there is none */
    uint32_t failures;
    uint64_t retry_ms;   /* not before */
    uint64_t since_ms;   /* when this was wanted first */
    uint32_t target;     /* whose turn it is, or CORE_NO_INDEX: */
    uint64_t wake_ms;    /* then nobody's comes before */
    struct bytes32 head; /* and the registry was that */
};

struct core {
    struct core_config config;
    struct rng rng;
    uint64_t now_ms;
    bool stopped;
    uint32_t pending;
    struct members members;
    struct links links;
    struct device device;
    struct node node;
    struct registry registry;
    struct journal journal;
    struct liveness liveness;
    struct csk csk;
    struct outbox outbox;
    struct inbox inbox;
    struct announce announce;
    struct rotation rotation;
    int exit_code;
    bool exit_removed;
    char exit_text[CORE_TEXT_MAX];
    char phase_text[CORE_TEXT_MAX];
};

/* Stops the node for good: repeating can not help. */
void core_exit(struct core *core, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Copies a text from outside, cut to `size`; NULL reads as "". */
void core_copy_text(char *out, size_t size, const char *text);

#define CORE_COPY_TEXT(out, text) core_copy_text((out), sizeof(out), (text))

#endif
