#include "test/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/box.h"
#include "crypto/keccak.h"

#define WORLD_FIRST_IP 0x0a0d0001u

bool world_quiet(const struct world *world)
{
    return world->now_ms >= world->faults.quiet_ms;
}

bool world_chance(struct world *world, uint32_t percent)
{
    return !world_quiet(world) && rng_between(&world->rng, 0, 99) < percent;
}

uint64_t world_latency(struct world *world)
{
    return rng_between(&world->rng, 5, 200);
}

uint64_t world_block(const struct world *world)
{
    return world->now_ms / 1000;
}

/* What the clock of a node shows; its core knows no other. */
uint64_t world_clock(const struct world *world, uint32_t n)
{
    const struct sim_node *node = &world->nodes[n];

    return (uint64_t)((int64_t)world->now_ms + node->clock_ms +
                      (int64_t)world->now_ms * node->clock_ppm / 1000000);
}

static const char *world_name(uint32_t node, char out[16])
{
    snprintf(out, 16, node == SIM_NOBODY ? "world" : "node %u", node);
    return out;
}

void world_fail(struct world *world, uint32_t node, const char *format, ...)
{
    char text[384];
    char name[16];
    va_list args;

    if (world->failure[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(world->failure, sizeof(world->failure), "at %.3f s, %s: %s", (double)world->now_ms / 1000,
             world_name(node, name), text);
}

void world_say(const struct world *world, uint32_t node, const char *format, ...)
{
    char name[16];
    va_list args;

    if (!world->traced)
        return;
    printf("%9.3f  %-8s ", (double)world->now_ms / 1000, world_name(node, name));
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void world_later(struct world *world, uint64_t delay_ms, enum happening_kind kind, uint32_t node)
{
    struct happening happening = {.at_ms = world->now_ms + delay_ms, .kind = kind, .node = node};

    if (node != SIM_NOBODY)
        happening.life = world->nodes[node].life;
    queue_push(&world->queue, &happening);
}

static void world_happen(struct world *world, const struct happening *happening)
{
    bool alive = happening->node != SIM_NOBODY && world->nodes[happening->node].core &&
                 world->nodes[happening->node].life == happening->life;

    switch (happening->kind) {
    case HAPPEN_TICK:
        if (alive)
            shell_tick(world, happening->node);
        return;
    case HAPPEN_START: shell_start(world, happening->node); return;
    case HAPPEN_ANSWER:
        if (alive)
            shell_answer(world, happening);
        return;
    case HAPPEN_LAND: bundler_land(world, happening); return;
    case HAPPEN_HEARTBEAT: mesh_deliver(world, happening); return;
    case HAPPEN_ATTACH:
        if (alive)
            net_attach(world, happening);
        else
            net_close(world, happening->stream, false);
        return;
    case HAPPEN_DETACH:
        if (alive)
            net_detach(world, happening);
        return;
    case HAPPEN_CLOSE: net_close(world, happening->stream, false); return;
    case HAPPEN_WIREGUARD:
        device_handshakes(world);
        world_later(world, SIM_WIREGUARD_MS, HAPPEN_WIREGUARD, SIM_NOBODY);
        return;
    case HAPPEN_GATEWAY: net_gateway_down(world, world->now_ms + 500); return;
    case HAPPEN_FAULT: faults_strike(world); return;
    }
}

/* A process that is stopped finds what came for it when it goes on; what a kernel does, goes on. */
static bool world_postpone(struct world *world, const struct happening *happening)
{
    const enum happening_kind kind = happening->kind;
    struct happening later = *happening;

    if (happening->node == SIM_NOBODY || world->nodes[happening->node].frozen_ms <= world->now_ms ||
        happening->life != world->nodes[happening->node].life ||
        !(kind == HAPPEN_TICK || kind == HAPPEN_ANSWER || kind == HAPPEN_ATTACH || kind == HAPPEN_DETACH))
        return false;
    later.at_ms = world->nodes[happening->node].frozen_ms;
    if (kind == HAPPEN_TICK)
        world->nodes[happening->node].tick_ms = later.at_ms;
    queue_push(&world->queue, &later);
    return true;
}

static void world_trace(struct world *world, const struct happening *happening)
{
    const uint64_t words[] = {world->trace, happening->at_ms, (uint64_t)happening->kind, happening->node,
                              happening->stream};
    struct rng mix = {.state = 0};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        mix.state = rng_next(&mix) ^ words[i];
    world->trace = rng_next(&mix);
    world->events++;
}

struct bytes32 world_bytes(const char *what, uint64_t seed, uint32_t number)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "%s/%llu/%u", what, (unsigned long long)seed, number);

    return keccak256(text, (size_t)len);
}

/* A secret of a node or, of what all share, a generation: it begins with the mark. */
struct secret world_secret(const struct world *world, const char *what, uint32_t number)
{
    struct bytes32 bytes = world_bytes(what, world->seed, number);
    struct secret secret;

    memcpy(secret.b, bytes.b, sizeof(secret.b));
    memcpy(secret.b, "\x5e\xc7\xe7\x5e\xde\xad\xfa\xce", SIM_MARK_LEN);
    return secret;
}

/* The keys and the contract of node or ghost `number`. */
struct core_identity world_identity(uint64_t seed, uint32_t number)
{
    struct core_identity identity = {
        .member_id = world_bytes("member", seed, number),
        .x_pubkey = world_bytes("x", seed, number),
        .wg_pubkey = world_bytes("wg", seed, number),
        .ed25519_pubkey = world_bytes("ed", seed, number),
    };
    struct bytes32 contract = world_bytes("contract", seed, number);

    memcpy(identity.member_contract.b, contract.b, sizeof(identity.member_contract.b));
    memset(identity.cluster.b, 0xcc, sizeof(identity.cluster.b));
    return identity;
}

uint32_t world_node_at(const struct world *world, uint32_t mesh_ip)
{
    uint32_t n = mesh_ip - WORLD_FIRST_IP;

    return n < world->nodes_len ? n : SIM_NOBODY;
}

static void *world_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (!memory)
        abort();
    return memory;
}

static void world_add_node(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];

    node->identity = world_identity(world->seed, n);
    node->identity_secret = world_secret(world, "identity", n);
    if (box_pubkey_of_secret(&node->identity_secret, &node->identity.x_pubkey) != 0)
        abort();
    node->mesh_ip = WORLD_FIRST_IP + n;
    node->clock_ms = (int64_t)rng_between(&world->rng, 0, 1000000);
    node->clock_ppm = (int64_t)rng_between(&world->rng, 0, 400) - 200;
    node->device = world_alloc(world->rows_max, sizeof(*node->device));
    node->peers = world_alloc(world->rows_max, sizeof(*node->peers));
    node->heard_ms = world_alloc(world->nodes_len, sizeof(*node->heard_ms));
    node->index_of = world_alloc(world->nodes_len, sizeof(*node->index_of));
    memset(node->index_of, 0xff, world->nodes_len * sizeof(*node->index_of));
    world_later(world, rng_between(&world->rng, 0, 10000), HAPPEN_START, n);
}

static void world_populate(struct world *world)
{
    const uint32_t n = world->nodes_len;

    world->rows_max = n + SIM_GHOSTS_MAX;
    world->nodes = world_alloc(n, sizeof(*world->nodes));
    world->partitions = world_alloc((size_t)n * n, sizeof(*world->partitions));
    for (uint32_t i = 0; i < n; i++)
        world_add_node(world, i);
}

/* Whether the node is what it should be for good: healthy, or ended because it was removed. */
static bool world_is_well(const struct sim_node *node)
{
    return node->removed ? !node->core : node->core && node->settled;
}

void world_recount(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    const bool well = world_is_well(node);

    world->well += well - (uint32_t)node->well;
    node->well = well;
}

static void world_judge_node(struct world *world, uint32_t n)
{
    const struct sim_node *node = &world->nodes[n];
    struct core_status status;

    if (!node->core) {
        world_fail(world, n, "is down although all faults are over");
        return;
    }
    if (node->removed) {
        world_fail(world, n, "still runs although it was removed");
        return;
    }
    core_status(node->core, &status);
    world_fail(
        world, n,
        "is %s and not healed %.1f s after the last fault: hears %u of %u, generation %llu of %llu: %s",
        core_phase_name(status.phase), (double)(world->now_ms - world->faults.quiet_ms) / 1000,
        status.heard_members, status.live_members, (unsigned long long)status.csk_generation,
        (unsigned long long)status.csk_chain_generation, status.reason);
}

/* From SIM_HEAL_MS after the last fault on, every node is well; `healed_ms` is since when. */
static void world_judge(struct world *world)
{
    if (world->well == world->nodes_len)
        return;
    world->healed_ms = world->now_ms;
    for (uint32_t n = 0; n < world->nodes_len && world->now_ms >= world->faults.quiet_ms + SIM_HEAL_MS; n++)
        if (!world->nodes[n].well)
            world_judge_node(world, n);
}

void world_run(struct world *world)
{
    struct happening happening;

    world->rng.state = world->seed;
    world->now_ms = 1000;
    world_populate(world);
    faults_plan(world);
    world_later(world, SIM_WIREGUARD_MS, HAPPEN_WIREGUARD, SIM_NOBODY);
    while (world->failure[0] == '\0' && world->now_ms < world->faults.quiet_ms + SIM_HEAL_MS + SIM_CALM_MS &&
           queue_pop(&world->queue, &happening)) {
        world->now_ms = happening.at_ms;
        world_trace(world, &happening);
        if (!world_postpone(world, &happening))
            world_happen(world, &happening);
        world_judge(world);
    }
    check_end(world);
}

static void world_free_node(struct sim_node *node)
{
    core_free(node->core);
    free(node->device);
    free(node->peers);
    free(node->heard_ms);
    free(node->index_of);
}

void world_free(struct world *world)
{
    for (uint32_t i = 0; i < world->nodes_len; i++)
        world_free_node(&world->nodes[i]);
    for (struct happening happening; queue_pop(&world->queue, &happening);)
        free(happening.beat);
    free(world->nodes);
    free(world->partitions);
    free(world->streams);
    free(world->mails);
    free(world->places);
    free(world->queue.heap);
    chain_free(&world->chain);
}
