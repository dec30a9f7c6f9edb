/* A whole mesh in one process: real cores, and a made-up chain, gateway, devices and clocks, all from one
 * seed.
 *
 * Everything that takes time is an event in one queue. The same seed gives the same run, to the byte.
 */
#ifndef TEST_SIM_WORLD_H
#define TEST_SIM_WORLD_H

#include "agent/core/rng.h"
#include "agent/core/view.h"
#include "crypto/secret.h"
#include "test/sim/chain.h"

#define SIM_HEAL_MS 60000 /* after the last fault, everything is healthy within this */
#define SIM_CALM_MS 30000 /* and stays so for this long */
#define SIM_GHOSTS_MAX 16
#define SIM_WIREGUARD_MS 1000
#define SIM_REKEY_MS 120000
#define SIM_MARK_LEN 8 /* bytes at the start of every secret, for the eye that looks for leaks */

enum happening_kind {
    HAPPEN_TICK,      /* a core's deadline */
    HAPPEN_START,     /* a node starts, or starts again */
    HAPPEN_ANSWER,    /* what an action asked for is done: `action` */
    HAPPEN_LAND,      /* a UserOperation, by `stream` its number, is put into a block */
    HAPPEN_HEARTBEAT, /* arrives wherever its sender has a tunnel: `beat` */
    HAPPEN_ATTACH,    /* a stream is up at one end */
    HAPPEN_DETACH,    /* one end notices that a stream is gone */
    HAPPEN_CLOSE,     /* a replaced stream has drained */
    HAPPEN_WIREGUARD, /* handshakes that can happen do */
    HAPPEN_GATEWAY,   /* the gateway restarts once more */
    HAPPEN_FAULT
};

struct happening {
    uint64_t at_ms;
    uint64_t order; /* ties are kept in the order of scheduling */
    enum happening_kind kind;
    uint32_t node;
    uint32_t life; /* of the node; what an earlier life asked for is lost */
    uint32_t stream;
    uint64_t block;
    struct core_action action;
    struct sim_beat *beat; /* owned */
};

/* A heartbeat on its way. */
struct sim_beat {
    struct core_heartbeat heartbeat;
    uint32_t life;
    uint8_t view[];
};

struct queue {
    struct happening *heap;
    size_t len;
    size_t capacity;
    uint64_t scheduled;
};

/* A node's end of its streams to one peer, by registry index: what the transport knows. */
struct sim_peer {
    bool set;
    bool dialing;
    bool dialed;      /* the stream is by our dial */
    uint32_t node;    /* SIM_NOBODY: a member without a node */
    uint32_t stream;  /* 0 for none */
    uint64_t idle_ms; /* since when there is none, by the node's clock */
};

#define SIM_NOBODY UINT32_MAX

/* A place of the device, by the registry index of the member it was made for. */
struct sim_device_peer {
    bool present;
    bool handshaked;
    uint32_t mesh_ip;
    struct bytes32 wg_pubkey;
    uint64_t handshake_ms;
};

/* What the peers of a core follow from: they can be others when it moved. */
struct sim_basis {
    uint64_t block;
    uint64_t version;
    uint64_t whole_reads;
    uint64_t rollbacks;
    uint64_t next;
    uint32_t rows;
    uint32_t wanted;
};

/* An envelope in a block. */
struct sim_mail {
    uint64_t block;
    bool is_endpoint; /* or else a message of an application */
    struct bytes32 from;
    struct bytes32 to;
    struct bytes32 id;
    struct core_inbox place; /* of the recipient's inbox, with this one in it; its block is of no account */
};

/* An inbox as it once was, on some fork. */
struct sim_place {
    struct bytes32 to;
    struct core_inbox place;
};

#define SIM_LETTERS_MAX 8
#define SIM_ENVELOPE_MEMBERS_MAX 12 /* larger meshes send none: each node would be at it for minutes */

/* The UserOperation of an account that the bundler has: one, since all share a nonce. */
struct sim_op {
    bool live;
    bool orphan; /* whoever sent it has ended or given up */
    uint32_t number;
    uint64_t nonce;
    struct core_action action;
    struct sim_mail mail; /* of those that send one */
};

enum sim_disk { DISK_EMPTY, DISK_KEEPS, DISK_CORRUPT };

struct sim_node {
    struct core *core; /* NULL while the node is down */
    uint32_t life;
    uint64_t tick_ms;
    uint64_t tick_storm;
    uint64_t frozen_ms;  /* the process is stopped until then */
    int64_t clock_ms;    /* what its clock is ahead of the world's */
    int64_t clock_ppm;   /* and how much faster it goes */
    uint64_t allowed_ms; /* until then its operations are not paid for */
    bool removed;        /* from the registry: it has to end */
    bool well;           /* what it should be for good, as world_recount saw it */
    bool operating;      /* an operation is under way */
    bool has_receipt;    /* of its registration, in this life */
    bool reading;
    bool on_device;
    struct core_identity identity;
    struct secret identity_secret; /* of the X25519 key */
    uint32_t mesh_ip;
    struct sim_peer *peers;         /* by registry index; lost with the process */
    uint32_t peers_set;             /* how many of them the transport knows */
    uint32_t *index_of;             /* by node: of its set peer, or CORE_NO_INDEX */
    struct sim_device_peer *device; /* by registry index; survives the process */
    uint32_t device_len;
    uint64_t device_changes;   /* of what handshakes depend on */
    bool drifted;              /* somebody changed its device since the last whole pass */
    bool unapplied;            /* its peers may have changed since its device was compared with all of them */
    struct bytes32 device_key; /* public, of its device; survives the process */
    bool settled;              /* healthy, converged, and with the key that it knows to be the present one */
    uint32_t pulls;            /* in flight */
    uint64_t reads_second;     /* of the last request to its RPC, and how many */
    uint32_t reads;            /* there were in that second */
    uint32_t unchecked;        /* steps since its peers were gone through, */
    struct sim_basis basis;    /* and what they followed from */
    struct sim_op op;          /* at the bundler; survives the process */
    uint64_t nonce;            /* of its account */
    uint32_t letters[SIM_LETTERS_MAX]; /* to nodes, not sent yet; lost with the process */
    uint32_t letters_len;
    uint32_t letters_sent;   /* over all lives */
    struct secret found;     /* the key it derived, read or was given last, in this life */
    struct secret held;      /* the key it gives to others */
    struct secret kept;      /* what its disk keeps; when disk is DISK_KEEPS */
    struct core_csk kept_as; /* the generation and the hash it was kept under */
    enum sim_disk disk;
    uint64_t disk_full_ms; /* until then nothing can be written */
    uint64_t *heard_ms;    /* by node: when its last heartbeat arrived */
    bool converged_once;   /* in this life */
};

struct sim_stream {
    uint32_t ends[2]; /* nodes; the first dialed */
    bool open;
    uint64_t rekey_ms; /* both ends have a handshake until then, */
    uint64_t changes;  /* unless their devices have changed: the sum of both device_changes */
};

/* How bad the weather is until `quiet_ms`. Percentages are per request. */
struct faults {
    uint64_t quiet_ms;
    uint32_t rpc_fail_pct;
    uint32_t rpc_lie_pct;
    uint32_t rpc_lag_blocks;
    uint32_t rpc_per_s; /* requests of one node; more are refused */
    uint32_t guest_fail_pct;
    uint32_t guest_slow_pct;
    uint32_t deny_pct;
    uint32_t stuck_pct;
    uint32_t receipt_lost_pct;
    uint32_t dial_fail_pct;
    uint32_t dials_per_s; /* through the gateway */
    uint32_t device_fail_pct;
    uint32_t beat_lost_pct;
    uint32_t beat_late_pct;
    uint32_t pull_fail_pct;
    uint64_t gap_ms; /* mean time between the larger events: kills, partitions, restarts, reorgs */
};

/* Ways to break the world or a shell, each of which one of the checks has to notice (breaks.c). */
enum sim_break {
    BREAK_NOTHING,
    BREAK_INVENTED_KEY,
    BREAK_LOST_EDIT,
    BREAK_HIDDEN_REMOVAL,
    BREAK_FORGED_VIEWS,
    BREAK_CACHE_LIES,
    BREAK_KEY_IN_CLEAR,
    BREAK_KEY_IN_LOG,
    BREAK_GIVEN_UP,
    BREAK_READ_TWICE,
    BREAK_GATEWAY_GONE,
    BREAK_STALE_RPC,
    BREAK_LATE_CLOCK,
    BREAK_SMALL_CAPS,
    BREAK_LOST_MAIL,
    BREAK_FORGED_SENT,
    BREAK_FORGED_MAIL,
    BREAK_SMALL_INBOX,
    BREAK_LOST_ANSWER,
    BREAK_LARGE_MESH,
    BREAK_KEPT_PEER,
    BREAK_DEEP_REORG,
    BREAKS
};

struct world {
    uint64_t seed;
    uint32_t nodes_len;
    bool traced;
    enum sim_break broken;
    uint64_t now_ms;
    struct rng rng;
    struct queue queue;
    struct chain chain;
    struct faults faults;
    struct sim_node *nodes;
    uint32_t rows_max;          /* registry indexes a run can use */
    struct sim_stream *streams; /* stream n is at n - 1 */
    uint32_t streams_len;
    size_t streams_capacity;
    uint64_t *partitions; /* by pair of nodes: dials fail until then */
    uint64_t gateway_down_ms;
    uint64_t dials_second;
    uint32_t dials; /* in that second */
    uint64_t guest_down_ms;
    uint64_t rpc_down_ms;
    uint32_t ops;
    struct sim_mail *mails; /* in the order of the chain */
    uint32_t mails_len;
    size_t mails_capacity;
    struct sim_place *places; /* all inboxes, at all times */
    uint32_t places_len;
    size_t places_capacity;
    uint32_t well;         /* nodes that are */
    uint32_t removed;      /* nodes that were removed */
    uint32_t ghosts;       /* members that were registered without a node */
    bool ghost_is_live;    /* the last of them */
    uint64_t reordered_ms; /* when a reorganisation last changed the order of the registry */
    uint64_t events;
    uint64_t trace;     /* hash of all that happened */
    uint64_t healed_ms; /* when all became healthy for good */
    char failure[512];
};

/* queue.c */
void queue_push(struct queue *queue, const struct happening *happening);
bool queue_pop(struct queue *queue, struct happening *out);

/* world.c */
struct core_identity world_identity(uint64_t seed, uint32_t number);
struct bytes32 world_bytes(const char *what, uint64_t seed, uint32_t number);
void world_run(struct world *world);
void world_free(struct world *world);
void world_fail(struct world *world, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void world_say(const struct world *world, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool world_quiet(const struct world *world);

bool world_chance(struct world *world, uint32_t percent);
uint64_t world_latency(struct world *world);
uint64_t world_block(const struct world *world);
uint64_t world_clock(const struct world *world, uint32_t node);
void world_later(struct world *world, uint64_t delay_ms, enum happening_kind kind, uint32_t node);
struct secret world_secret(const struct world *world, const char *what, uint32_t number);

/* Counts the node among those that are well, or not: to be called when `core`, `settled` or `removed` change.
 */
void world_recount(struct world *world, uint32_t node);

/* The node with this mesh address, SIM_NOBODY when it is a ghost's or nobody's. */
uint32_t world_node_at(const struct world *world, uint32_t mesh_ip);

/* shell.c: what agent/ does around a core, made up */
void shell_start(struct world *world, uint32_t node);
void shell_stop(struct world *world, uint32_t node);
void shell_step(struct world *world, uint32_t node, const struct core_event *event);
void shell_tick(struct world *world, uint32_t node);
void shell_answer(struct world *world, const struct happening *happening);
void shell_ask(struct world *world, uint32_t node, const struct core_action *action, uint64_t delay_ms);

/* rpc.c: the guest agent and the chain as their answers tell them */
uint64_t rpc_block(struct world *world, const struct core_action *action);
uint64_t rpc_guest_latency(struct world *world);
bool rpc_guest_fails(struct world *world);
void rpc_answer(struct world *world, const struct happening *happening);

/* bundler.c: UserOperations, from the sponsor to the block */
void bundler_submit(struct world *world, uint32_t node, const struct core_action *action);
void bundler_land(struct world *world, const struct happening *happening);
void bundler_answer(struct world *world, const struct happening *happening);

/* device.c: the WireGuard device of a node */
void device_answer(struct world *world, const struct happening *happening);
void device_tamper(struct world *world, uint32_t node);
void device_vanish(struct world *world, uint32_t node);
bool device_tunnel(const struct world *world, uint32_t a, uint32_t b);
void device_handshakes(struct world *world);

/* keys.c: where a cluster shared key comes from */
void keys_answer(struct world *world, const struct happening *happening);
void keys_keep(struct world *world, uint32_t node, const struct core_csk *csk);

/* mail.c: envelopes and messages */
struct bytes32 mail_endpoint_id(void *user, const struct bytes32 *recipient, uint64_t issued_ms);
bool mail_of_action(struct world *world, uint32_t node, const struct core_action *action,
                    struct sim_mail *out);
void mail_land(struct world *world, uint32_t node, const struct sim_mail *mail);
bool mail_is_settled(const struct world *world, const struct sim_mail *mail);
void mail_reorganise(struct world *world, uint64_t block, uint64_t again);
void mail_state_at(const struct world *world, uint32_t node, struct core_chain_state *state);
void mail_lie_about_state(struct world *world, uint32_t node, struct core_chain_state *state);
void mail_read_inbox(struct world *world, uint32_t node, uint64_t from, uint64_t to);
void mail_read_sent(struct world *world, uint32_t node, uint64_t from, uint64_t to);
void mail_write(struct world *world, uint32_t node, uint32_t to);
void mail_settled(struct world *world, uint32_t node);

/* The core says that it knows its inbox up to another place: it has to be one. */
void mail_moved(struct world *world, uint32_t node);
void mail_check(struct world *world);

/* mesh.c: heartbeats */
void mesh_send(struct world *world, uint32_t node);
void mesh_deliver(struct world *world, const struct happening *happening);

/* rotate.c: WireGuard keys of the later generations */
struct bytes32 rotate_key(const struct world *world, uint32_t node, uint32_t generation);
uint32_t rotate_generation(const struct world *world, uint32_t node, const struct bytes32 *key);
/* Whether it is a key of the member that registered with `first`. */
bool rotate_is_one(const struct bytes32 *key, const struct bytes32 *first);
void rotate_device(struct world *world, uint32_t node);

/* net.c: gateway and streams */
void net_set_peer(struct world *world, uint32_t node, uint32_t index);
void net_dial(struct world *world, uint32_t node, uint32_t index);
void net_attach(struct world *world, const struct happening *happening);
void net_detach(struct world *world, const struct happening *happening);
void net_close(struct world *world, uint32_t stream, bool noticed_late);
void net_forget_peer(struct world *world, uint32_t node, uint32_t index);
void net_partition(struct world *world, uint32_t a, uint32_t b, uint64_t until_ms);
void net_gateway_down(struct world *world, uint64_t until_ms);
bool net_carries(const struct world *world, uint32_t a, uint32_t b);

/* faults.c */
void faults_plan(struct world *world);
void faults_strike(struct world *world);

/* check.c: invariants; each failure ends the run */
void check_action(struct world *world, uint32_t node, const struct core_action *action);
void check_node(struct world *world, uint32_t node, uint32_t actions);
void check_applied(struct world *world, uint32_t node, bool whole);
void check_outgoing(struct world *world, uint32_t node, const char *what, const void *bytes, size_t len);
void check_end(struct world *world);

/* breaks.c: runs worlds with each break until its check notices it. Returns how many were not noticed. */
unsigned breaks_prove(void);

#endif
