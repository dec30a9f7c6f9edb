/* A whole mesh in one process: real cores, and a made-up chain, gateway, devices and clock, all from one
 * seed.
 *
 * Everything that takes time is an event in one queue. The same seed gives the same run, to the byte.
 */
#ifndef TEST_SIM_WORLD_H
#define TEST_SIM_WORLD_H

#include "agent/core/core.h"
#include "agent/core/rng.h"
#include "test/sim/chain.h"

#define SIM_HEAL_MS 60000 /* after the last fault, everything is healthy within this */
#define SIM_CALM_MS 30000 /* and stays so for this long */
#define SIM_GHOSTS_MAX 16
#define SIM_WIREGUARD_MS 1000
#define SIM_REKEY_MS 120000

enum happening_kind {
    HAPPEN_TICK,      /* a core's deadline */
    HAPPEN_START,     /* a node starts, or starts again */
    HAPPEN_ANSWER,    /* what an action asked for is done: `action` */
    HAPPEN_LAND,      /* a registration reaches a block */
    HAPPEN_COMMIT,    /* a commitment to a CSK reaches a block: `action` */
    HAPPEN_ROTATE,    /* so does a WireGuard key: `action` */
    HAPPEN_HEARTBEAT, /* arrives wherever its sender has a tunnel: `beat` */
    HAPPEN_ATTACH,    /* a stream is up at one end */
    HAPPEN_DETACH,    /* one end notices that a stream is gone */
    HAPPEN_CLOSE,     /* a replaced stream has drained */
    HAPPEN_WIREGUARD, /* handshakes that can happen do */
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
    uint64_t idle_ms; /* since when there is none */
};

#define SIM_NOBODY UINT32_MAX

struct sim_device_peer {
    uint32_t index; /* of the member it was made for */
    struct bytes32 wg_pubkey;
    uint32_t mesh_ip;
    bool handshaked;
    uint64_t handshake_ms;
};

struct sim_node {
    struct core *core; /* NULL while the node is down */
    uint32_t life;
    uint64_t tick_ms;
    uint64_t tick_storm;
    uint64_t allowed_ms; /* until then its registration is refused */
    bool registering;
    bool has_receipt; /* of its registration, in this life */
    bool reading;
    bool on_device;
    struct core_identity identity;
    uint32_t mesh_ip;
    struct sim_peer *peers;         /* by registry index; lost with the process */
    struct sim_device_peer *device; /* survives the process */
    uint32_t device_len;
    bool drifted;         /* somebody changed its device since the last whole pass */
    uint64_t tampered_ms; /* when somebody last changed its device */
    enum core_phase phase;
    bool settled; /* healthy, converged, and with the key that it knows to be the present one */
    bool committing;
    bool publishing;
    struct bytes32 device_key; /* public, of its device; survives the process */
    uint32_t pulls;            /* in flight */
    bool has_cache;            /* survives the process */
    struct core_csk cache;
    uint64_t ended_ms;   /* when the last process ended */
    uint64_t *heard_ms;  /* by node: when its last heartbeat arrived */
    bool converged_once; /* in this life */
};

struct sim_stream {
    uint32_t ends[2]; /* nodes; the first dialed */
    bool open;
};

/* How bad the weather is until `quiet_ms`. Percentages are per request. */
struct faults {
    uint64_t quiet_ms;
    uint32_t rpc_fail_pct;
    uint32_t rpc_lag_blocks;
    uint32_t register_lost_pct;
    uint32_t dial_fail_pct;
    uint32_t device_fail_pct;
    uint32_t beat_lost_pct;
    uint32_t pull_fail_pct;
    uint64_t gap_ms; /* mean time between the larger events: kills, partitions, restarts, reorgs */
};

struct world {
    uint64_t seed;
    uint32_t nodes_len;
    bool verbose;
    uint64_t now_ms;
    struct rng rng;
    struct queue queue;
    struct chain chain;
    struct faults faults;
    struct sim_node *nodes;
    uint32_t rows_max;          /* registry indexes a run can use */
    struct sim_stream *streams; /* stream n is at n - 1 */
    uint32_t streams_len;
    uint32_t streams_capacity;
    uint64_t *partitions; /* by pair of nodes: dials fail until then */
    uint64_t gateway_down_ms;
    uint32_t ghosts;    /* members that were registered without a node */
    bool ghost_is_live; /* the last of them */
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
void world_later(struct world *world, uint64_t delay_ms, enum happening_kind kind, uint32_t node);

/* shell.c: what agent/ does around a core, made up */
void shell_start(struct world *world, uint32_t node);
void shell_stop(struct world *world, uint32_t node);
void shell_step(struct world *world, uint32_t node, const struct core_event *event);
void shell_tick(struct world *world, uint32_t node);
void shell_answer(struct world *world, const struct happening *happening);
void shell_land(struct world *world, const struct happening *happening);
void shell_wireguard(struct world *world);

/* mesh.c: heartbeats and the CSK */
struct bytes32 mesh_commitment(const struct world *world, uint32_t node, uint64_t generation);
void mesh_send(struct world *world, uint32_t node);
void mesh_deliver(struct world *world, const struct happening *happening);
void mesh_commit(struct world *world, uint32_t node, const struct core_action *action);
void mesh_land(struct world *world, const struct happening *happening);
void mesh_answer(struct world *world, const struct happening *happening);
void mesh_keep(struct world *world, uint32_t node, const struct core_csk *csk);
void shell_ask(struct world *world, uint32_t node, const struct core_action *action, uint64_t delay_ms);
bool shell_tunnel(const struct world *world, uint32_t a, uint32_t b);

/* rotate.c: rotation of WireGuard keys */
uint32_t rotate_generation(const struct world *world, uint32_t node, const struct bytes32 *key);
void rotate_publish(struct world *world, uint32_t node, const struct core_action *action);
void rotate_land(struct world *world, const struct happening *happening);
void rotate_answer(struct world *world, const struct happening *happening);
void rotate_device(struct sim_node *node);

/* net.c: gateway and streams */
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
void check_node(struct world *world, uint32_t node);

#endif
