#include "test/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/keccak.h"

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

    if (!world->verbose)
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
    case HAPPEN_START:
        shell_start(world, happening->node);
        return;
    case HAPPEN_ANSWER:
        if (alive)
            shell_answer(world, happening);
        return;
    case HAPPEN_LAND:
        shell_land(world, happening);
        return;
    case HAPPEN_COMMIT:
        mesh_land(world, happening);
        return;
    case HAPPEN_ROTATE:
        rotate_land(world, happening);
        return;
    case HAPPEN_HEARTBEAT:
        mesh_deliver(world, happening);
        return;
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
    case HAPPEN_CLOSE:
        net_close(world, happening->stream, false);
        return;
    case HAPPEN_WIREGUARD:
        shell_wireguard(world);
        world_later(world, SIM_WIREGUARD_MS, HAPPEN_WIREGUARD, SIM_NOBODY);
        return;
    case HAPPEN_FAULT:
        faults_strike(world);
        return;
    }
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

static void world_populate(struct world *world)
{
    uint32_t n = world->nodes_len;

    world->rows_max = n + SIM_GHOSTS_MAX;
    world->nodes = calloc(n, sizeof(*world->nodes));
    world->partitions = calloc((size_t)n * n, sizeof(*world->partitions));
    if (!world->nodes || !world->partitions)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        struct sim_node *node = &world->nodes[i];
        node->identity = world_identity(world->seed, i);
        node->mesh_ip = 0x0a0d0001u + i;
        node->device = calloc(world->rows_max, sizeof(*node->device));
        node->peers = calloc(world->rows_max, sizeof(*node->peers));
        node->heard_ms = calloc(n, sizeof(*node->heard_ms));
        if (!node->device || !node->peers || !node->heard_ms)
            abort();
        world_later(world, rng_between(&world->rng, 0, 10000), HAPPEN_START, i);
    }
}

/* From SIM_HEAL_MS after the last fault on, every node is healthy; `healed_ms` is since when. */
static void world_judge(struct world *world)
{
    struct core_status status;

    for (uint32_t i = 0; i < world->nodes_len; i++) {
        const struct sim_node *node = &world->nodes[i];
        if (node->core && node->settled)
            continue;
        world->healed_ms = world->now_ms;
        if (world->now_ms < world->faults.quiet_ms + SIM_HEAL_MS)
            return;
        if (!node->core) {
            world_fail(world, i, "is down although all faults are over");
            return;
        }
        core_status(node->core, &status);
        world_fail(world, i, "is %s %.1f s after the last fault: hears %u of %u, generation %llu of %llu: %s",
                   core_phase_name(status.phase), (double)(world->now_ms - world->faults.quiet_ms) / 1000,
                   status.heard_members, status.live_members, (unsigned long long)status.csk_generation,
                   (unsigned long long)status.csk_chain_generation, status.reason);
        return;
    }
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
        world_happen(world, &happening);
        world_judge(world);
    }
    if (world->chain.writes < world->nodes_len)
        world_fail(world, SIM_NOBODY, "only %llu registrations", (unsigned long long)world->chain.writes);
}

void world_free(struct world *world)
{
    for (uint32_t i = 0; i < world->nodes_len; i++) {
        core_free(world->nodes[i].core);
        free(world->nodes[i].device);
        free(world->nodes[i].peers);
        free(world->nodes[i].heard_ms);
    }
    for (struct happening happening; queue_pop(&world->queue, &happening);)
        free(happening.beat);
    free(world->nodes);
    free(world->partitions);
    free(world->streams);
    free(world->queue.heap);
    chain_free(&world->chain);
}
