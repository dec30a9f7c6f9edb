/* Heartbeats between nodes that have a tunnel: lost, late, twice and out of order in bad weather. */
#include <stdlib.h>

#include "test/sim/world.h"

#define MESH_LATE_MS 5000

static void mesh_post(struct world *world, uint32_t n, const struct core_heartbeat *heartbeat,
                      uint64_t delay_ms)
{
    struct sim_beat *beat = malloc(sizeof(*beat) + heartbeat->view_len);

    if (!beat)
        abort();
    memcpy(beat->view, heartbeat->view, heartbeat->view_len);
    beat->heartbeat = *heartbeat;
    beat->heartbeat.view = beat->view;
    queue_push(&world->queue, &(struct happening){.at_ms = world->now_ms + delay_ms,
                                                  .kind = HAPPEN_HEARTBEAT,
                                                  .node = n,
                                                  .life = world->nodes[n].life,
                                                  .beat = beat});
}

void mesh_send(struct world *world, uint32_t n)
{
    struct core_heartbeat heartbeat;

    core_heartbeat(world->nodes[n].core, &heartbeat);
    check_outgoing(world, n, "a heartbeat", &heartbeat, sizeof(heartbeat));
    check_outgoing(world, n, "a view", heartbeat.view, heartbeat.view_len);
    bool late = world_chance(world, world->faults.beat_late_pct);
    mesh_post(world, n, &heartbeat,
              world_latency(world) + (late ? rng_between(&world->rng, 0, MESH_LATE_MS) : 0));
    if (world_chance(world, world->faults.beat_late_pct))
        mesh_post(world, n, &heartbeat, rng_between(&world->rng, 0, MESH_LATE_MS));
}

static void mesh_hear(struct world *world, uint32_t n, uint32_t sender, const struct sim_beat *beat)
{
    struct sim_node *node = &world->nodes[n];
    struct core_event event = {.type = CORE_EVENT_HEARTBEAT, .heartbeat = beat->heartbeat};

    event.heartbeat.index = node->index_of[sender];
    if (event.heartbeat.index == CORE_NO_INDEX)
        return;
    if (world->broken == BREAK_FORGED_VIEWS) {
        struct core_heartbeat own;
        core_heartbeat(node->core, &own);
        event.heartbeat.view = own.view;
        event.heartbeat.view_len = own.view_len;
        if (sender > n)
            return;
    }
    node->heard_ms[sender] = world->now_ms;
    shell_step(world, n, &event);
}

void mesh_deliver(struct world *world, const struct happening *happening)
{
    const uint32_t sender = happening->node;

    for (uint32_t i = 0; i < world->rows_max && world->failure[0] == '\0'; i++) {
        const struct sim_peer *peer = &world->nodes[sender].peers[i];
        const uint32_t n = peer->node;
        if (!peer->set || n == SIM_NOBODY || !world->nodes[n].core ||
            world->nodes[n].frozen_ms > world->now_ms || !device_tunnel(world, sender, n))
            continue;
        if (!world_chance(world, world->faults.beat_lost_pct))
            mesh_hear(world, n, sender, happening->beat);
    }
    free(happening->beat);
}
