/* From an operation that a core wants to the block that has it: a sponsor that denies, a bundler that is
 * stuck or offers an operation twice, receipts that are lost. As in evm/, a node keeps a record of its
 * operation: what it finds there after a restart or a failure it goes on with, and only one operation has the
 * nonce. */
#include <stdlib.h>

#include "test/sim/world.h"

#define BUNDLER_STUCK_MS 60000 /* then the same nonce goes out again, for more */

static bool bundler_same_call(const struct core_action *a, const struct core_action *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == CORE_DO_PUBLISH_WG_KEY)
        return a->wg_generation == b->wg_generation;
    return a->type != CORE_DO_COMMIT_CSK ||
           (a->csk.generation == b->csk.generation && bytes32_equal(&a->csk.commitment, &b->csk.commitment));
}

/* Blocks come every second, bundlers take their time. */
static uint64_t bundler_delay(struct world *world)
{
    uint64_t delay = rng_between(&world->rng, 1000, 3000);

    if (!world_chance(world, world->faults.stuck_pct))
        return delay;
    const uint64_t quiet = world->faults.quiet_ms - world->now_ms;
    return delay + (quiet < BUNDLER_STUCK_MS ? quiet : BUNDLER_STUCK_MS);
}

static void bundler_offer(struct world *world, uint32_t n, uint64_t delay_ms)
{
    queue_push(&world->queue, &(struct happening){.at_ms = world->now_ms + delay_ms,
                                                  .kind = HAPPEN_LAND,
                                                  .node = n,
                                                  .stream = world->nodes[n].op.number});
}

/* A new operation takes the place of one with its nonce. */
static void bundler_take(struct world *world, uint32_t n, const struct core_action *action)
{
    struct sim_node *node = &world->nodes[n];

    if (node->op.live && !node->op.orphan)
        world_fail(world, n, "has two UserOperations for the nonce %llu", (unsigned long long)node->nonce);
    node->op = (struct sim_op){.live = true, .number = ++world->ops, .nonce = node->nonce, .action = *action};
}

void bundler_submit(struct world *world, uint32_t n, const struct core_action *action)
{
    struct sim_node *node = &world->nodes[n];
    const uint64_t delay = bundler_delay(world);

    check_outgoing(world, n, "an operation", action, sizeof(*action));
    if (action->type == CORE_DO_REGISTER)
        node->registering = true;
    else
        node->committing = true;
    if (world->now_ms < node->allowed_ms || world_chance(world, world->faults.deny_pct)) {
        shell_ask(world, n, action, world_latency(world));
        return;
    }
    if (!node->op.live || !bundler_same_call(&node->op.action, action) || world->broken == BREAK_GIVEN_UP)
        bundler_take(world, n, action);
    node->op.orphan = false;
    bundler_offer(world, n, delay);
    if (world_chance(world, world->faults.stuck_pct))
        bundler_offer(world, n, delay + rng_between(&world->rng, 0, 3000));
    if (world->broken == BREAK_GIVEN_UP)
        shell_ask(world, n, action, 1);
    else
        shell_ask(world, n, action, delay + world_latency(world));
}

void bundler_land(struct world *world, const struct happening *happening)
{
    struct sim_node *node = &world->nodes[happening->node];
    const struct core_action *action = &node->op.action;
    struct core_record record = {
        .member_id = node->identity.member_id,
        .member_contract = node->identity.member_contract,
        .mesh_ip = node->mesh_ip,
        .registered_at = world_block(world),
        .x_pubkey = node->identity.x_pubkey,
        .wg_pubkey = node->identity.wg_pubkey,
        .ed25519_pubkey = node->identity.ed25519_pubkey,
    };

    if (!node->op.live || node->op.number != happening->stream || node->op.nonce != node->nonce)
        return; /* it was replaced, or is in a block already */
    node->op.live = false;
    node->nonce++;
    if (action->type == CORE_DO_REGISTER && chain_register(&world->chain, world_block(world), &record))
        world_say(world, happening->node, "is registered in block %llu",
                  (unsigned long long)world_block(world));
    if (action->type == CORE_DO_COMMIT_CSK &&
        chain_commit(&world->chain, world_block(world), &node->identity.member_id, &action->csk))
        world_say(world, happening->node, "commits to generation %llu",
                  (unsigned long long)action->csk.generation);
    const struct bytes32 key = rotate_key(world, happening->node, action->wg_generation);
    if (action->type == CORE_DO_PUBLISH_WG_KEY &&
        chain_publish(&world->chain, world_block(world), &node->identity.member_contract, &key))
        world_say(world, happening->node, "publishes WireGuard key %u", action->wg_generation);
}

/* Whether the chain shows what the operation was for. */
static bool bundler_worked(const struct world *world, uint32_t n, const struct core_action *action)
{
    const struct bytes32 key = rotate_key(world, n, action->wg_generation);
    struct core_record record;
    struct core_chain_state state;

    bool found = chain_find(&world->chain, UINT64_MAX, &world->nodes[n].identity.member_contract, &record);
    if (action->type == CORE_DO_REGISTER)
        return found;
    if (action->type == CORE_DO_PUBLISH_WG_KEY)
        return found && bytes32_equal(&record.wg_pubkey, &key);
    chain_state_at(&world->chain, UINT64_MAX, &state);
    return state.csk_generation == action->csk.generation &&
           bytes32_equal(&state.csk_commitment, &action->csk.commitment);
}

static struct core_event bundler_receipt(const struct core_action *action)
{
    if (action->type == CORE_DO_REGISTER)
        return (struct core_event){.type = CORE_EVENT_REGISTER_DONE};
    if (action->type == CORE_DO_PUBLISH_WG_KEY)
        return (struct core_event){.type = CORE_EVENT_WG_KEY_PUBLISHED};
    return (struct core_event){.type = CORE_EVENT_CSK_COMMITTED};
}

static struct core_event bundler_failure(const struct core_action *action)
{
    static const char text[] = "sponsor: denied, or no receipt";

    if (action->type == CORE_DO_COMMIT_CSK)
        return (struct core_event){.type = CORE_EVENT_CSK_FAILED,
                                   .csk_failure = {.what = CORE_CSK_COMMIT, .text = text}};
    return (struct core_event){.type = action->type == CORE_DO_REGISTER ? CORE_EVENT_REGISTER_FAILED
                                                                        : CORE_EVENT_WG_KEY_FAILED,
                               .failure = {.text = text, .retryable = true}};
}

void bundler_answer(struct world *world, const struct happening *happening)
{
    struct sim_node *node = &world->nodes[happening->node];
    const struct core_action *action = &happening->action;
    const bool registers = action->type == CORE_DO_REGISTER;
    const bool given_up = world->broken == BREAK_GIVEN_UP;

    *(registers ? &node->registering : &node->committing) = false;
    if (!given_up)
        node->op.orphan = true;
    const bool failed = given_up || !bundler_worked(world, happening->node, action) ||
                        world_chance(world, world->faults.receipt_lost_pct);
    node->has_receipt |= registers && !failed;
    const struct core_event event = failed ? bundler_failure(action) : bundler_receipt(action);
    shell_step(world, happening->node, &event);
}
