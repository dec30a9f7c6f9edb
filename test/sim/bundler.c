/* From an operation that a core wants to the block that has it: a sponsor that denies, a bundler that is
 * stuck or offers an operation twice, receipts that are lost. As in evm/, a node keeps a record of its
 * operation: what it finds there after a restart or a failure it goes on with, and only one operation has the
 * nonce. */
#include <stdlib.h>

#include "test/sim/world.h"

#define BUNDLER_STUCK_MS 60000 /* then the same nonce goes out again, for more */

static bool bundler_sends(const struct core_action *action)
{
    return action->type == CORE_DO_SEND_ENVELOPE || action->type == CORE_DO_SEND_MESSAGE;
}

static bool bundler_same_call(const struct sim_op *a, const struct sim_op *b)
{
    if (a->action.type != b->action.type)
        return false;
    if (bundler_sends(&a->action))
        return bytes32_equal(&a->mail.to, &b->mail.to) && bytes32_equal(&a->mail.id, &b->mail.id);
    if (a->action.type == CORE_DO_PUBLISH_WG_KEY)
        return a->action.wg_generation == b->action.wg_generation;
    return a->action.type != CORE_DO_COMMIT_CSK ||
           (a->action.csk.generation == b->action.csk.generation &&
            bytes32_equal(&a->action.csk.commitment, &b->action.csk.commitment));
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
static void bundler_take(struct world *world, uint32_t n, const struct sim_op *op)
{
    struct sim_node *node = &world->nodes[n];

    if (node->op.live && !node->op.orphan)
        world_fail(world, n, "has two UserOperations for the nonce %llu", (unsigned long long)node->nonce);
    node->op = *op;
    node->op.number = ++world->ops;
    node->op.nonce = node->nonce;
}

void bundler_submit(struct world *world, uint32_t n, const struct core_action *action)
{
    struct sim_node *node = &world->nodes[n];
    struct sim_op op = {.live = true, .action = *action};
    const uint64_t delay = bundler_delay(world);

    check_outgoing(world, n, "an operation", action, sizeof(*action));
    node->operating = true;
    if (world->now_ms < node->allowed_ms || world_chance(world, world->faults.deny_pct) ||
        (bundler_sends(action) && !mail_of_action(world, n, action, &op.mail))) {
        shell_ask(world, n, action, world_latency(world));
        return;
    }
    if (!node->op.live || !bundler_same_call(&node->op, &op) || world->broken == BREAK_GIVEN_UP)
        bundler_take(world, n, &op);
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
    if (bundler_sends(action))
        mail_land(world, happening->node, &node->op.mail);
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
static bool bundler_worked(struct world *world, uint32_t n, const struct core_action *action)
{
    const struct bytes32 key = rotate_key(world, n, action->wg_generation);
    struct core_record record;
    struct core_chain_state state;
    struct sim_mail mail;

    if (bundler_sends(action))
        return mail_of_action(world, n, action, &mail) && mail_is_settled(world, &mail);
    const bool found =
        chain_find(&world->chain, UINT64_MAX, &world->nodes[n].identity.member_contract, &record);
    if (action->type == CORE_DO_REGISTER)
        return found;
    if (action->type == CORE_DO_PUBLISH_WG_KEY)
        return found && bytes32_equal(&record.wg_pubkey, &key);
    chain_state_at(&world->chain, UINT64_MAX, &state);
    return state.csk_generation == action->csk.generation &&
           bytes32_equal(&state.csk_commitment, &action->csk.commitment);
}

static struct core_event bundler_success(struct world *world, uint32_t n, enum core_action_type type)
{
    struct sim_node *node = &world->nodes[n];

    if (type == CORE_DO_REGISTER) {
        node->has_receipt = true;
        return (struct core_event){.type = CORE_EVENT_REGISTER_DONE};
    }
    if (type == CORE_DO_SEND_ENVELOPE)
        return (struct core_event){.type = CORE_EVENT_ENVELOPE_SENT};
    if (type == CORE_DO_PUBLISH_WG_KEY)
        return (struct core_event){.type = CORE_EVENT_WG_KEY_PUBLISHED};
    if (type == CORE_DO_COMMIT_CSK)
        return (struct core_event){.type = CORE_EVENT_CSK_COMMITTED};
    mail_settled(world, n);
    return (struct core_event){.type = CORE_EVENT_MESSAGE_SETTLED,
                               .messages.waiting = node->letters_len != 0};
}

static struct core_event bundler_failure(const struct sim_node *node, enum core_action_type type)
{
    const char *text = "sponsor: denied, or no receipt";

    if (type == CORE_DO_REGISTER)
        return (struct core_event){.type = CORE_EVENT_REGISTER_FAILED,
                                   .failure = {.text = text, .retryable = true}};
    if (type == CORE_DO_PUBLISH_WG_KEY)
        return (struct core_event){.type = CORE_EVENT_WG_KEY_FAILED,
                                   .failure = {.text = text, .retryable = true}};
    if (type == CORE_DO_SEND_ENVELOPE)
        return (struct core_event){.type = CORE_EVENT_ENVELOPE_FAILED};
    if (type == CORE_DO_COMMIT_CSK)
        return (struct core_event){.type = CORE_EVENT_CSK_FAILED,
                                   .csk_failure = {.what = CORE_CSK_COMMIT, .text = text}};
    return (struct core_event){.type = CORE_EVENT_MESSAGE_FAILED, .messages.waiting = node->letters_len != 0};
}

void bundler_answer(struct world *world, const struct happening *happening)
{
    const uint32_t n = happening->node;
    struct sim_node *node = &world->nodes[n];
    const bool given_up = world->broken == BREAK_GIVEN_UP;
    const bool failed = given_up || !bundler_worked(world, n, &happening->action) ||
                        world_chance(world, world->faults.receipt_lost_pct);
    const struct core_event event = failed ? bundler_failure(node, happening->action.type)
                                           : bundler_success(world, n, happening->action.type);

    node->operating = false;
    if (!given_up)
        node->op.orphan = true;
    if (world->broken != BREAK_LOST_ANSWER)
        shell_step(world, n, &event);
}
