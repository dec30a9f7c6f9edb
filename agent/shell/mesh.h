/* What members say to each other on their mesh addresses: heartbeats and the cluster shared key (PROTOCOL
 * sections 7 and 9). The sockets open with the first heartbeat, and again when the mesh address changes. */
#ifndef AGENT_SHELL_MESH_H
#define AGENT_SHELL_MESH_H

#include "agent/core/core.h"
#include "agent/shell/onchain.h"
#include "agent/shell/vault.h"

struct event_base;
struct mesh;

/* CORE_EVENT_HEARTBEAT as they come, and one event per mesh_pull; from the loop. */
typedef void (*mesh_answer_fn)(void *user, const struct core_event *event);

/* All pointers outlive the result. Returns NULL when memory is short. */
struct mesh *mesh_new(struct event_base *base, const struct core *core, const struct onchain *onchain,
                      struct vault *vault, mesh_answer_fn answer, void *user);
void mesh_free(struct mesh *mesh);

/* Who this node is. */
void mesh_set_identity(struct mesh *mesh, const struct core_identity *identity);

void mesh_send_heartbeat(struct mesh *mesh);

/* CSK_PULLED, with the key in the vault, or CSK_FAILED for CORE_CSK_PULL. */
void mesh_pull(struct mesh *mesh, const struct core_csk *csk);

struct mesh_counters {
    uint64_t heartbeats_sent;
    uint64_t heartbeats_received; /* valid ones */
    uint64_t heartbeats_refused;  /* of strangers, malformed, or wrongly signed */
    uint64_t keys_served;
    uint64_t pulls_failed;
    uint64_t keys_false; /* of the failed pulls: what came was not the committed key */
};

void mesh_counters(const struct mesh *mesh, struct mesh_counters *out);

#endif
