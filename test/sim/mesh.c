/* What members say to each other through their tunnels, and where a CSK comes from. A key is stood for by its
 * hash: the hash of a node and a generation. */
#include <stdlib.h>

#include "test/sim/world.h"

struct bytes32 mesh_commitment(const struct world *world, uint32_t n, uint64_t generation)
{
    struct bytes32 key = world_bytes("csk", world->seed + 1000003 * generation, n);

    return key;
}

void mesh_send(struct world *world, uint32_t n)
{
    struct core_heartbeat heartbeat;

    core_heartbeat(world->nodes[n].core, &heartbeat);
    struct sim_beat *beat = malloc(sizeof(*beat) + heartbeat.view_len);
    if (!beat)
        abort();
    memcpy(beat->view, heartbeat.view, heartbeat.view_len);
    beat->heartbeat = heartbeat;
    beat->heartbeat.view = beat->view;
    queue_push(&world->queue, &(struct happening){.at_ms = world->now_ms + world_latency(world),
                                                  .kind = HAPPEN_HEARTBEAT,
                                                  .node = n,
                                                  .beat = beat});
}

static void mesh_hear(struct world *world, uint32_t n, uint32_t sender, const struct sim_beat *beat)
{
    struct sim_node *node = &world->nodes[n];
    struct core_event event = {.type = CORE_EVENT_HEARTBEAT, .heartbeat = beat->heartbeat};

    event.heartbeat.index = core_find_peer(node->core, world->nodes[sender].mesh_ip);
    if (event.heartbeat.index == CORE_NO_INDEX)
        return;
    node->heard_ms[sender] = world->now_ms;
    shell_step(world, n, &event);
}

void mesh_deliver(struct world *world, const struct happening *happening)
{
    uint32_t sender = happening->node;

    for (uint32_t n = 0; n < world->nodes_len; n++)
        if (n != sender && world->nodes[n].core && shell_tunnel(world, sender, n) &&
            !world_chance(world, world->faults.beat_lost_pct))
            mesh_hear(world, n, sender, happening->beat);
    free(happening->beat);
}

/* As with a registration. */
void mesh_commit(struct world *world, uint32_t n, const struct core_action *action)
{
    uint64_t delay = rng_between(&world->rng, 1000, 3000);

    if (!world_chance(world, world->faults.register_lost_pct))
        queue_push(&world->queue,
                   &(struct happening){
                       .at_ms = world->now_ms + delay, .kind = HAPPEN_COMMIT, .node = n, .action = *action});
    shell_ask(world, n, action, delay + world_latency(world));
}

void mesh_land(struct world *world, const struct happening *happening)
{
    const struct core_csk *csk = &happening->action.csk;

    if (chain_commit(&world->chain, world->now_ms / 1000, &world->nodes[happening->node].identity.member_id,
                     csk))
        world_say(world, happening->node, "commits to generation %llu", (unsigned long long)csk->generation);
}

static void mesh_failed(struct world *world, uint32_t n, enum core_csk_step what, uint32_t index,
                        const char *text)
{
    shell_step(world, n,
               &(struct core_event){.type = CORE_EVENT_CSK_FAILED,
                                    .csk_failure = {.what = what, .index = index, .text = text}});
}

static void mesh_loaded(struct world *world, uint32_t n, const struct core_csk *wanted)
{
    const struct core_csk *cache = &world->nodes[n].cache;

    if (world->nodes[n].has_cache && cache->generation == wanted->generation &&
        bytes32_equal(&cache->commitment, &wanted->commitment))
        shell_step(world, n, &(struct core_event){.type = CORE_EVENT_CSK_LOADED, .csk = *cache});
    else
        mesh_failed(world, n, CORE_CSK_LOAD, 0, "");
}

static void mesh_derived(struct world *world, uint32_t n, uint64_t generation)
{
    struct core_event event = {
        .type = CORE_EVENT_CSK_DERIVED,
        .csk = {.generation = generation, .commitment = mesh_commitment(world, n, generation)}};

    if (world_chance(world, world->faults.rpc_fail_pct))
        mesh_failed(world, n, CORE_CSK_DERIVE, 0, "guest agent: no answer");
    else
        shell_step(world, n, &event);
}

static void mesh_committed(struct world *world, uint32_t n, const struct core_csk *csk)
{
    struct core_chain_state state;

    world->nodes[n].committing = false;
    chain_state_at(&world->chain, UINT64_MAX, &state);
    if (state.csk_generation != csk->generation || !bytes32_equal(&state.csk_commitment, &csk->commitment) ||
        world_chance(world, world->faults.register_lost_pct))
        mesh_failed(world, n, CORE_CSK_COMMIT, 0, "sponsor: denied or no answer");
    else
        shell_step(world, n, &(struct core_event){.type = CORE_EVENT_CSK_COMMITTED});
}

/* Why node `other` does not give the key to node `n`; NULL when it does. */
static const char *mesh_pull_failure(struct world *world, uint32_t n, uint32_t other,
                                     const struct core_csk *wanted)
{
    struct core_status status;

    if (other == SIM_NOBODY || !world->nodes[other].core || !shell_tunnel(world, n, other))
        return "no connection within 1 s";
    core_status(world->nodes[other].core, &status);
    if (core_find_peer(world->nodes[other].core, world->nodes[n].mesh_ip) == CORE_NO_INDEX)
        return "it closes the connection";
    if (!status.csk_held || status.csk_generation != wanted->generation)
        return "it does not hold the key";
    if (!bytes32_equal(&status.csk_commitment, &wanted->commitment) ||
        world_chance(world, world->faults.pull_fail_pct))
        return "what it gave is not the committed key";
    return NULL;
}

static void mesh_pulled(struct world *world, uint32_t n, const struct core_csk *wanted)
{
    const struct sim_peer *peer = &world->nodes[n].peers[wanted->index];
    const char *failure = mesh_pull_failure(world, n, peer->set ? peer->node : SIM_NOBODY, wanted);

    world->nodes[n].pulls--;
    if (failure)
        mesh_failed(world, n, CORE_CSK_PULL, wanted->index, failure);
    else
        shell_step(world, n, &(struct core_event){.type = CORE_EVENT_CSK_PULLED, .csk = *wanted});
}

void mesh_answer(struct world *world, const struct happening *happening)
{
    const struct core_csk *csk = &happening->action.csk;

    if (happening->action.type == CORE_DO_LOAD_CSK)
        mesh_loaded(world, happening->node, csk);
    else if (happening->action.type == CORE_DO_DERIVE_CSK)
        mesh_derived(world, happening->node, csk->generation);
    else if (happening->action.type == CORE_DO_COMMIT_CSK)
        mesh_committed(world, happening->node, csk);
    else
        mesh_pulled(world, happening->node, csk);
}

void mesh_keep(struct world *world, uint32_t n, const struct core_csk *csk)
{
    world_say(world, n, "holds generation %llu", (unsigned long long)csk->generation);
    world->nodes[n].cache = *csk;
    world->nodes[n].has_cache = true;
}
