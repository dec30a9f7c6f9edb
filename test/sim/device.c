/* The WireGuard device of a node: what the core wants on it, what others do to it, handshakes. */
#include <stdlib.h>

#include "test/sim/world.h"

static void device_put(struct sim_node *node, uint32_t index, const struct core_desired_peer *peer)
{
    struct sim_device_peer *place = &node->device[index];

    if (place->present && bytes32_equal(&place->wg_pubkey, &peer->wg_pubkey)) {
        place->mesh_ip = peer->mesh_ip; /* a peer that stays keeps its handshake */
        return;
    }
    node->device_len += !place->present;
    node->device_changes++;
    *place =
        (struct sim_device_peer){.present = true, .mesh_ip = peer->mesh_ip, .wg_pubkey = peer->wg_pubkey};
}

static void device_drop(struct sim_node *node, uint32_t index)
{
    if (!node->device[index].present)
        return;
    node->device_len--;
    node->device_changes++;
    node->device[index] = (struct sim_device_peer){0};
}

static void device_apply_one(struct sim_node *node, uint32_t index)
{
    struct core_desired_peer peer;

    if (core_desired_peer_at(node->core, index, &peer))
        device_put(node, index, &peer);
    else
        device_drop(node, index);
}

static void device_apply(struct world *world, uint32_t n, bool whole)
{
    struct sim_node *node = &world->nodes[n];
    uint32_t index;

    if (whole)
        for (index = 0; index < world->rows_max; index++)
            device_apply_one(node, index);
    else /* only what the core says has changed: what it forgets to say stays wrong */
        for (uint32_t cursor = 0; core_next_changed_peer(node->core, &cursor, &index);)
            if (world->broken != BREAK_LOST_EDIT)
                device_apply_one(node, index);
    if (whole) {
        node->drifted = false;
        rotate_device(world, n);
    }
    check_applied(world, n, whole);
}

static void device_answer_apply(struct world *world, uint32_t n, bool whole)
{
    struct core_event event = {.type = CORE_EVENT_DEVICE_APPLIED};

    if (world_chance(world, world->faults.device_fail_pct)) {
        event.type = CORE_EVENT_DEVICE_FAILED;
        event.failure = (struct core_failure){.text = "netlink: no buffer space", .retryable = true};
    } else if (world_chance(world, world->faults.device_fail_pct)) {
        event.applied = (struct core_apply_result){.failed_edits = 1, .text = "set peer: no memory"};
    } else {
        device_apply(world, n, whole);
    }
    shell_step(world, n, &event);
}

static void device_answer_observe(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    struct core_observed_peer *peers = calloc(world->rows_max, sizeof(*peers));
    struct core_event event = {.type = CORE_EVENT_DEVICE_OBSERVED,
                               .observed = {.peers = peers, .drifted = node->drifted}};

    if (!peers)
        abort();
    for (uint32_t i = 0; i < world->rows_max; i++) {
        const struct sim_device_peer *peer = &node->device[i];
        if (peer->present)
            peers[event.observed.peers_len++] = (struct core_observed_peer){
                .wg_pubkey = peer->wg_pubkey,
                .handshake_age_s =
                    peer->handshaked ? (world->now_ms - peer->handshake_ms) / 1000 : CORE_NEVER};
    }
    if (world_chance(world, world->faults.device_fail_pct)) {
        event.type = CORE_EVENT_DEVICE_FAILED;
        event.failure = (struct core_failure){.text = "netlink: dump interrupted", .retryable = true};
    }
    shell_step(world, n, &event);
    free(peers);
}

void device_answer(struct world *world, const struct happening *happening)
{
    const enum core_action_type type = happening->action.type;

    world->nodes[happening->node].on_device = false;
    if (type == CORE_DO_OBSERVE_DEVICE)
        device_answer_observe(world, happening->node);
    else
        device_answer_apply(world, happening->node, type == CORE_DO_APPLY_DEVICE);
}

/* Somebody else runs `wg set ... remove`. */
void device_tamper(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    uint32_t index = (uint32_t)rng_between(&world->rng, 0, world->rows_max - 1);

    if (node->device_len == 0)
        return;
    while (!node->device[index].present)
        index = (index + 1) % world->rows_max;
    device_drop(node, index);
    node->drifted = true;
}

/* The machine starts again: nothing of the device is left. */
void device_vanish(struct world *world, uint32_t n)
{
    for (uint32_t i = 0; i < world->rows_max; i++)
        device_drop(&world->nodes[n], i);
    world->nodes[n].device_key = (struct bytes32){0};
}

/* A node's device peer for another node; NULL when there is none or it has another key. */
static struct sim_device_peer *device_peer(const struct world *world, uint32_t n, uint32_t other)
{
    const struct sim_node *node = &world->nodes[n];
    uint32_t index = node->index_of[other];

    if (index == CORE_NO_INDEX || !node->device[index].present ||
        !bytes32_equal(&node->device[index].wg_pubkey, &world->nodes[other].device_key))
        return NULL;
    return &node->device[index];
}

/* Whether packets pass between two nodes: both devices have the other, a handshake and a path. */
bool device_tunnel(const struct world *world, uint32_t a, uint32_t b)
{
    if (!net_carries(world, a, b))
        return false;
    const struct sim_device_peer *at_a = device_peer(world, a, b);
    const struct sim_device_peer *at_b = device_peer(world, b, a);
    return at_a && at_b && at_a->handshaked && at_b->handshaked;
}

/* When the last handshake of a device with a peer is old. */
static uint64_t device_rekey_ms(const struct sim_device_peer *peer)
{
    return peer->handshaked ? peer->handshake_ms + SIM_REKEY_MS : 0;
}

/* Two devices that know each other and have a path make a handshake when the last is old. */
static void device_handshake(struct world *world, struct sim_stream *stream)
{
    const uint32_t a = stream->ends[0], b = stream->ends[1];

    if (!net_carries(world, a, b))
        return;
    struct sim_device_peer *at_a = device_peer(world, a, b);
    struct sim_device_peer *at_b = device_peer(world, b, a);
    if (!at_a || !at_b)
        return;
    if (device_rekey_ms(at_a) <= world->now_ms || device_rekey_ms(at_b) <= world->now_ms) {
        at_a->handshaked = at_b->handshaked = true;
        at_a->handshake_ms = at_b->handshake_ms = world->now_ms;
    }
    stream->rekey_ms =
        device_rekey_ms(at_a) < device_rekey_ms(at_b) ? device_rekey_ms(at_a) : device_rekey_ms(at_b);
    stream->changes = world->nodes[a].device_changes + world->nodes[b].device_changes;
}

void device_handshakes(struct world *world)
{
    for (uint32_t i = 0; i < world->streams_len; i++) {
        struct sim_stream *stream = &world->streams[i];
        if (stream->open && (stream->rekey_ms <= world->now_ms ||
                             stream->changes != world->nodes[stream->ends[0]].device_changes +
                                                    world->nodes[stream->ends[1]].device_changes))
            device_handshake(world, stream);
    }
}
