/* Bad weather: small faults per request, and larger events now and then, until `quiet_ms`. */
#include "test/sim/world.h"

#define FAULTS_MS 150000      /* of bad weather at the longest, or */
#define FAULTS_LARGE_MS 45000 /* with more nodes than */
#define FAULTS_LARGE 200      /* these: heartbeats are by the square of them */
#define GHOST_NUMBER 100000   /* of the first ghost, for its keys */
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
    const uint64_t longest_ms = world->nodes_len > FAULTS_LARGE ? FAULTS_LARGE_MS : FAULTS_MS;

    world->faults = (struct faults){
        .quiet_ms = world->now_ms + rng_between(rng, 30000, longest_ms),
        .rpc_fail_pct = faults_percent(world, 30),
        .rpc_lie_pct = faults_percent(world, 20),
        .rpc_lag_blocks = faults_percent(world, 5),
        .rpc_per_s = (uint32_t)rng_between(rng, 1, 20),
        .guest_fail_pct = faults_percent(world, 50),
        .guest_slow_pct = faults_percent(world, 30),
        .deny_pct = faults_percent(world, 50),
        .stuck_pct = faults_percent(world, 30),
        .receipt_lost_pct = faults_percent(world, 50),
        .dial_fail_pct = faults_percent(world, 50),
        .dials_per_s = (uint32_t)rng_between(rng, 2, 20 * world->nodes_len),
        .device_fail_pct = faults_percent(world, 20),
        .beat_lost_pct = faults_percent(world, 30),
        .beat_late_pct = faults_percent(world, 30),
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

/* The machine of a node starts again: device and clock begin anew, the disk stays. */
static void faults_reboot(struct world *world)
{
    uint32_t n = faults_some_node(world);
    struct sim_node *node = &world->nodes[n];

    if (!node->core)
        return;
    world_say(world, n, "reboots");
    shell_stop(world, n);
    device_vanish(world, n);
    node->clock_ms = -(int64_t)(world->now_ms - rng_between(&world->rng, 0, 900));
    world_later(world, faults_until(world, 20000) - world->now_ms, HAPPEN_START, n);
}

/* The process of a node stops for a while, as when its machine is moved. */
static void faults_freeze(struct world *world)
{
    uint32_t n = faults_some_node(world);

    if (!world->nodes[n].core)
        return;
    world_say(world, n, "freezes");
    world->nodes[n].frozen_ms = faults_until(world, 30000);
}

/* The clocks of a machine jump ahead, as after a pause that they count. */
static void faults_clock(struct world *world)
{
    uint32_t n = faults_some_node(world);

    world_say(world, n, "finds that time has passed");
    world->nodes[n].clock_ms += (int64_t)rng_between(&world->rng, 0, 100000);
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

/* The gateway starts again and again. */
static void faults_gateway_storm(struct world *world)
{
    world_say(world, SIM_NOBODY, "the gateway starts again and again");
    for (uint64_t i = rng_between(&world->rng, 2, 6); i > 0; i--)
        world_later(world, faults_until(world, 15000) - world->now_ms, HAPPEN_GATEWAY, SIM_NOBODY);
}

static void faults_rpc(struct world *world)
{
    world_say(world, SIM_NOBODY, "the RPC goes down");
    world->rpc_down_ms = faults_until(world, 60000);
}

static void faults_guest(struct world *world)
{
    world_say(world, SIM_NOBODY, "the guest agents go down");
    world->guest_down_ms = faults_until(world, 60000);
}

static void faults_reorganise(struct world *world)
{
    uint64_t block = world_block(world);
    uint64_t depth = rng_between(&world->rng, 1, 8);

    world_say(world, SIM_NOBODY, "reorg of %llu blocks", (unsigned long long)depth);
    mail_reorganise(world, block > depth ? block - depth : 0, block);
    if (chain_reorganise(&world->chain, block > depth ? block - depth : 0, block))
        world->reordered_ms = world->now_ms;
}

static void faults_tamper(struct world *world)
{
    device_tamper(world, faults_some_node(world));
}

/* The state folder is deleted, or what is in it is not what was written, or nothing can be written. */
static void faults_disk(struct world *world)
{
    struct sim_node *node = &world->nodes[faults_some_node(world)];
    const uint64_t draw = rng_between(&world->rng, 0, 2);

    if (draw == 0)
        node->disk = DISK_EMPTY;
    else if (draw == 1 && node->disk == DISK_KEEPS)
        node->disk = DISK_CORRUPT;
    else
        node->disk_full_ms = faults_until(world, 60000);
}

/* The owner removes a node, one in four at most: it must end, and nobody may miss it. */
static void faults_remove(struct world *world)
{
    uint32_t n = faults_some_node(world);
    struct sim_node *node = &world->nodes[n];
    struct core_record record;

    if (4 * (world->removed + 1) > world->nodes_len || node->removed ||
        !chain_find(&world->chain, UINT64_MAX, &node->identity.member_contract, &record))
        return;
    world_say(world, n, "is removed in block %llu", (unsigned long long)world_block(world));
    chain_remove(&world->chain, world_block(world), &node->identity.member_id);
    node->removed = true;
    world->removed++;
    world_recount(world, n);
}

static void faults_write(struct world *world)
{
    const uint32_t n = faults_some_node(world);

    mail_write(world, n, faults_some_node(world));
}

/* A member whose node never runs joins, and is removed some time later. */
static void faults_ghost(struct world *world)
{
    uint64_t block = world_block(world);
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

static void faults_end(struct world *world)
{
    if (world->ghost_is_live)
        faults_ghost(world);
    if (world->broken == BREAK_GATEWAY_GONE)
        net_gateway_down(world, CORE_NEVER);
    world_say(world, SIM_NOBODY, "faults are over");
}

/* The operator asks for another WireGuard key. */
static void faults_rotate(struct world *world)
{
    uint32_t n = faults_some_node(world);

    if (!world->nodes[n].core || world->nodes[n].removed)
        return;
    world_say(world, n, "is asked for another WireGuard key");
    shell_step(world, n, &(struct core_event){.type = CORE_EVENT_ROTATE_WG_KEY});
}

void faults_strike(struct world *world)
{
    static void (*const strikes[])(struct world *) = {
        faults_restart,     faults_restart,       faults_reboot, faults_freeze,     faults_clock,
        faults_partition,   faults_partition,     faults_rpc,    faults_guest,      faults_disk,
        faults_gateway,     faults_gateway_storm, faults_ghost,  faults_reorganise, faults_tamper,
        faults_kill_stream, faults_kill_stream,   faults_remove, faults_write,      faults_write,
        faults_rotate,
    };

    if (world_quiet(world)) {
        faults_end(world);
        return;
    }
    strikes[rng_between(&world->rng, 0, sizeof(strikes) / sizeof(strikes[0]) - 1)](world);
    faults_schedule(world);
}
