/* What the core knows, for the device, the application socket, health and metrics. Valid between steps. */
#ifndef AGENT_CORE_VIEW_H
#define AGENT_CORE_VIEW_H

#include "agent/core/core.h"

/* The device that should be. */
struct core_device {
    struct bytes32 wg_pubkey;
    uint32_t wg_generation;
    uint32_t mesh_ip;
    uint8_t mesh_ip6[16];
    uint32_t cidr_ip;
    uint8_t cidr_prefix;
    uint8_t cidr6[16]; /* the cluster's /48 */
};

struct core_desired_peer {
    uint32_t index;
    struct bytes32 wg_pubkey;
    uint32_t mesh_ip;
    uint8_t mesh_ip6[16];
    uint32_t loopback_ip; /* agent/transport/loopback.h */
    bool carried;         /* a stream is there, and the tunnel is begun */
    bool begun;    /* this node may begin handshakes: no longer does it leave the first one to the peer */
    bool streamed; /* a stream to it has worked: its datagrams need not fit a wire */
};

/* False until the own address and the mesh's network are known. */
bool core_device(const struct core *core, struct core_device *out);

/* Walks the peers the device should have, in registry order, starting with *cursor = 0. They derive from the
 * registry only: live, not refused, never this node. False at the end. */
bool core_next_desired_peer(const struct core *core, uint32_t *cursor, struct core_desired_peer *out);

/* One of these peers by its registry index; false when the device should not have it. */
bool core_desired_peer_at(const struct core *core, uint32_t index, struct core_desired_peer *out);

/* Walks the indexes that CORE_DO_APPLY_PEERS is about, starting with *cursor = 0: each either is a desired
 * peer now, with whatever key, or is none any more. At most CORE_CHANGES_MAX. */
bool core_next_changed_peer(const struct core *core, uint32_t *cursor, uint32_t *index);

/* How many core_next_desired_peer gives. */
uint32_t core_desired_peers(const struct core *core);

/* The heartbeat to send: what SEND_HEARTBEAT means. */
void core_heartbeat(const struct core *core, struct core_heartbeat *out);

/* The index of the live member with this mesh address that is a peer of this node; CORE_NO_INDEX when there
 * is none. Takes the same time for any number of members. */
uint32_t core_find_peer(const struct core *core, uint32_t mesh_ip);

/* A place in the inbox: all messages of blocks up to `block`, their number and their chained head. */
struct core_inbox {
    uint64_t block;
    uint64_t count;
    struct bytes32 head;
};

/* How far the inbox is known to be whole; false before it is known at all. It goes back when a reorganisation
 * takes messages away. */
bool core_inbox(const struct core *core, struct core_inbox *out);

/* A place from which reading all later logs leads to core_inbox: before `block` by CORE_PROVISIONAL_BLOCKS at
 * least. All zero is the beginning: since this node's registration. */
struct core_inbox core_inbox_before(const struct core *core, uint64_t block);

/* The next message; `block` is left alone. */
void core_inbox_extend(struct core_inbox *position, const struct core_inbox_message *message);

const char *core_phase_name(enum core_phase phase);
const char *core_peer_event_name(enum core_peer_event event);

/* How far the rotation of the WireGuard key is that was asked for last. */
enum core_rotation {
    CORE_ROTATION_NONE, /* none since the start */
    CORE_ROTATION_PUBLISHING,
    CORE_ROTATION_SWITCHING, /* the chain has it; peers and device change over */
    CORE_ROTATION_DONE,
    CORE_ROTATION_FAILED
};

struct core_status {
    enum core_phase phase;
    bool first_converged; /* converged at least once since the start: this latches */
    bool converged;       /* now (PROTOCOL section 7) */
    bool identity_known;  /* the identity below is set */
    bool registered;      /* our record is on chain; mesh_ip, mesh_ip6 and wg_generation are set */
    struct core_identity identity;
    uint32_t index;           /* own registry index, CORE_NO_INDEX until it was read */
    struct bytes32 wg_pubkey; /* in use */
    uint32_t wg_generation;
    uint32_t mesh_ip;
    uint8_t mesh_ip6[16];
    uint64_t block; /* of the newest registry state taken in whole, 0 before the first */
    uint64_t version;
    uint64_t whole_reads;  /* of the registry's pages, the first one included */
    uint64_t rollbacks;    /* reorganisations that undid changes of it */
    uint32_t members;      /* registry rows known, removed ones and this node included */
    uint32_t live_members; /* not removed, this node included */
    uint32_t refused_members;
    uint32_t peers; /* that the device should have */
    uint32_t up_peers;
    uint32_t heard_members;  /* with a valid heartbeat in the last 6 s, this node included */
    uint32_t streams;        /* peers with a working stream */
    bool csk_acquired;       /* a committed key is held, the present one unless that is very new */
    bool csk_held;           /* a committed key is held: */
    uint64_t csk_generation; /* its generation */
    struct bytes32 csk_commitment;
    uint64_t csk_chain_generation; /* what the chain is at; not committed yet when csk_chain_open */
    bool csk_chain_open;
    bool device_in_place;
    uint32_t failed_edits;            /* of the last pass over the device */
    uint64_t inbox_count;             /* messages ever sent to this node, as far as they were read */
    char inbox_error[CORE_TEXT_MAX];  /* why the inbox could not be read the last time; "" when it could */
    char reason[CORE_TEXT_MAX];       /* what the phase waits for, or why it fails; "" when healthy */
    char chain_error[CORE_TEXT_MAX];  /* why the last read failed; "" when it did not */
    char device_error[CORE_TEXT_MAX]; /* the same for the device */
    char csk_error[CORE_TEXT_MAX];    /* why the CSK could not be had the last time; "" once it is held */
    enum core_rotation rotation;
    uint32_t rotation_generation;       /* unless NONE: what it leads to */
    char rotation_error[CORE_TEXT_MAX]; /* FAILED: why; else "" */
};

void core_status(const struct core *core, struct core_status *out);

enum core_link_state {
    CORE_LINK_NONE,    /* this node, a removed or a refused member */
    CORE_LINK_WAITING, /* no stream; the next dial (ours or theirs) is awaited */
    CORE_LINK_DIALING,
    CORE_LINK_UP
};

enum core_refusal {
    CORE_REFUSAL_NONE,
    CORE_REFUSAL_NO_KEY,         /* its WireGuard key is zero */
    CORE_REFUSAL_SAME_KEY,       /* an older member has this WireGuard key */
    CORE_REFUSAL_SAME_ADDRESS,   /* an older member has this address */
    CORE_REFUSAL_OUTSIDE_NETWORK /* its address is not of the mesh's network */
};

struct core_member {
    uint32_t index;
    struct core_record record;
    uint8_t mesh_ip6[16];
    bool is_self;
    enum core_refusal refusal;
    uint32_t older_index;      /* with SAME_KEY and SAME_ADDRESS: the member that keeps it */
    bool up;                   /* a fresh handshake, and a stream that is there or was moments ago */
    bool heard;                /* a valid heartbeat in the last 6 s */
    uint64_t heartbeat_age_ms; /* CORE_NEVER when none was valid */
    bool hears_us;             /* heard: its view has this node */
    enum core_link_state link;
    bool link_dialed;                   /* UP: we dialed it */
    uint64_t link_since_ms;             /* UP, WAITING: since when */
    bool link_ours;                     /* we dial; else it does, unless it fails to for 15 s */
    uint64_t next_dial_ms;              /* when we dial next (again, or to renew), CORE_NEVER: not planned */
    uint32_t link_failures;             /* breaks and failed dials since the last stream that held */
    char link_text[CORE_LINK_TEXT_MAX]; /* the last failure, "" when there was none */
    uint64_t handshake_age_s;           /* CORE_NEVER when none was seen */
    uint64_t rx_bytes;
    uint64_t tx_bytes;
};

/* False when there is no such row. A row stays after its member's removal. */
bool core_member_at(const struct core *core, uint32_t index, struct core_member *out);

/* The registry index of a member, removed or not, by its id; CORE_NO_INDEX when there is none. */
uint32_t core_find_member(const struct core *core, const struct bytes32 *member_id);

const char *core_refusal_name(enum core_refusal refusal);
const char *core_link_state_name(enum core_link_state state);

#endif
