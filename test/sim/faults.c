/* Bad weather: small faults per request, and larger events now and then, until `quiet_ms`. */
#include "test/sim/world.h"

#define GHOST_NUMBER 100000 /* of the first ghost, for its keys */
#define GHOST_IP 0x0a0d8001u

/* A share of requests that fail; none at all in every third run. */
static uint32_t faults_percent(struct world *world, uint32_t most)
{
    return rng_between(&world->rng, 0, 2) == 0 ? 0 : (uint32_t)rng_between(&world->rng, 1, most);
}

static void faults_schedule(struct world *world)
{
    uint64_t delay = rng_between(&world->rng, 1, 2 * world->faults.gap_ms);
    uint64_t left = world->faults.quiet_ms - world->now_ms;

    world_later(world, delay < left ? delay : left, HAPPEN_FAULT, SIM_NOBODY);
}

void faults_plan(struct world *world)
{
    struct rng *rng = &world->rng;

    world->faults = (struct faults){
        .quiet_ms = world->now_ms + rng_between(rng, 30000, 150000),
        .rpc_fail_pct = faults_percent(world, 30),
        .rpc_lag_blocks = faults_percent(world, 5),
        .register_lost_pct = faults_percent(world, 50),
        .dial_fail_pct = faults_percent(world, 50),
        .device_fail_pct = faults_percent(world, 20),
        .beat_lost_pct = faults_percent(world, 30),
        .pull_fail_pct = faults_percent(world, 60),
        .gap_ms = rng_between(rng, 1000, 15000),
    };
    for (uint32_t i = 0; i < world->nodes_len; i++)
        if (rng_between(rng, 0, 2) == 0)
            world->nodes[i].allowed_ms = rng_between(rng, 0, world->faults.quiet_ms);
    faults_schedule(world);
}

static uint32_t faults_some_node(struct world *world)
{
    return (uint32_t)rng_between(&world->rng, 0, world->nodes_len - 1);
}

/* Until when an event lasts: never longer than the bad weather. */
static uint64_t faults_until(struct world *world, uint64_t longest_ms)
{
    uint64_t until = world->now_ms + rng_between(&world->rng, 0, longest_ms);

    return until < world->faults.quiet_ms ? until : world->faults.quiet_ms;
}

static void faults_restart(struct world *world)
{
    uint32_t n = faults_some_node(world);

    if (!world->nodes[n].core)
        return;
    shell_stop(world, n);
    world_later(world, faults_until(world, 20000) - world->now_ms, HAPPEN_START, n);
}

static void faults_kill_stream(struct world *world)
{
    if (world->streams_len != 0)
        net_close(world, (uint32_t)rng_between(&world->rng, 1, world->streams_len), false);
}

static void faults_partition(struct world *world)
{
    uint32_t a = faults_some_node(world);
    uint32_t b = faults_some_node(world);

    if (a == b)
        return;
    world_say(world, a, "loses node %u", b);
    net_partition(world, a, b, faults_until(world, 40000));
}

static void faults_gateway(struct world *world)
{
    world_say(world, SIM_NOBODY, "the gateway goes down");
    net_gateway_down(world, faults_until(world, 60000));
}

static void faults_reorganise(struct world *world)
{
    uint64_t block = world->now_ms / 1000;
    uint64_t depth = rng_between(&world->rng, 1, 8);

    world_say(world, SIM_NOBODY, "reorg of %llu blocks", (unsigned long long)depth);
    chain_reorganise(&world->chain, block > depth ? block - depth : 0, block);
}

/* Somebody else runs `wg set` on the device. */
static void faults_tamper(struct world *world)
{
    struct sim_node *node = &world->nodes[faults_some_node(world)];

    if (node->device_len == 0)
        return;
    node->device[rng_between(&world->rng, 0, node->device_len - 1)] = node->device[node->device_len - 1];
    node->device_len--;
    node->drifted = true;
    node->tampered_ms = world->now_ms;
}

/* The state folder is deleted. */
static void faults_disk(struct world *world)
{
    world->nodes[faults_some_node(world)].has_cache = false;
}

/* The operator asks for another WireGuard key. */
static void faults_rotate(struct world *world)
{
    uint32_t n = faults_some_node(world);

    if (!world->nodes[n].core)
        return;
    world_say(world, n, "is asked for another WireGuard key");
    shell_step(world, n, &(struct core_event){.type = CORE_EVENT_ROTATE_WG_KEY});
}

/* A member whose node never runs joins, and is removed some time later. */
static void faults_ghost(struct world *world)
{
    uint64_t block = world->now_ms / 1000;
    struct core_identity ghost =
        world_identity(world->seed, GHOST_NUMBER + world->ghosts - (world->ghost_is_live ? 1 : 0));

    if (world->ghost_is_live) {
        world_say(world, SIM_NOBODY, "ghost %u is removed", world->ghosts);
        chain_remove(&world->chain, block, &ghost.member_id);
        world->ghost_is_live = false;
        return;
    }
    if (world->ghosts == SIM_GHOSTS_MAX)
        return;
    struct core_record record = {.member_id = ghost.member_id,
                                 .member_contract = ghost.member_contract,
                                 .mesh_ip = GHOST_IP + world->ghosts,
                                 .registered_at = block,
                                 .x_pubkey = ghost.x_pubkey,
                                 .wg_pubkey = ghost.wg_pubkey,
                                 .ed25519_pubkey = ghost.ed25519_pubkey};
    world_say(world, SIM_NOBODY, "ghost %u joins", world->ghosts + 1);
    chain_register(&world->chain, block, &record);
    world->ghosts++;
    world->ghost_is_live = true;
}

void faults_strike(struct world *world)
{
    static void (*const strikes[])(struct world *) = {
        faults_restart,    faults_kill_stream, faults_kill_stream, faults_partition, faults_gateway,
        faults_reorganise, faults_tamper,      faults_ghost,       faults_disk,      faults_rotate,
    };

    if (world_quiet(world)) {
        if (world->ghost_is_live)
            faults_ghost(world);
        world_say(world, SIM_NOBODY, "faults are over");
        return;
    }
    strikes[rng_between(&world->rng, 0, sizeof(strikes) / sizeof(strikes[0]) - 1)](world);
    faults_schedule(world);
}
