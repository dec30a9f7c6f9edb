/* The shell around each core: performs actions against the made-up world. */
#include <stdlib.h>

#include "test/sim/world.h"

#define SHELL_STORM_MAX 64 /* ticks of one core in one millisecond */

/* When the node's clock shows `deadline`, as the world counts; the core is then due. */
static uint64_t shell_due(const struct world *world, uint32_t n, uint64_t deadline)
{
    const uint64_t clock = world_clock(world, n);

    if (deadline <= clock)
        return world->now_ms;
    const uint64_t left = deadline - clock;
    return world->now_ms + left + left * 200 / 1000000; /* at the latest, by the slowest clock */
}

static void shell_arm(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    const uint64_t deadline = core_deadline(node->core);

    if (deadline == CORE_NEVER || shell_due(world, n, deadline) >= node->tick_ms)
        return;
    node->tick_ms = shell_due(world, n, deadline);
    world_later(world, node->tick_ms - world->now_ms, HAPPEN_TICK, n);
}

void shell_ask(struct world *world, uint32_t n, const struct core_action *action, uint64_t delay_ms)
{
    queue_push(&world->queue, &(struct happening){.at_ms = world->now_ms + delay_ms,
                                                  .kind = HAPPEN_ANSWER,
                                                  .node = n,
                                                  .life = world->nodes[n].life,
                                                  .block = rpc_block(world, action),
                                                  .action = *action});
}

/* No two members ever share anything here. */
static void shell_refused(struct world *world, uint32_t n, uint32_t index)
{
    struct core_member member;

    core_member_at(world->nodes[n].core, index, &member);
    world_fail(world, n, "refuses member %u: %s", index, core_refusal_name(member.refusal));
}

static void shell_exit(struct world *world, uint32_t n, const char *text)
{
    check_outgoing(world, n, "its last words", text, strlen(text));
    world_say(world, n, "ends: %s", text);
    if (!world->nodes[n].removed)
        world_fail(world, n, "exits: %s", text);
}

/* What the core tells; false when it asks for something. */
static bool shell_hear(struct world *world, uint32_t n, const struct core_action *action)
{
    if (action->type == CORE_TELL_PHASE) {
        check_outgoing(world, n, "its log", action->phase.text, strlen(action->phase.text));
        world_say(world, n, "%s %s", core_phase_name(action->phase.phase), action->phase.text);
    } else if (action->type == CORE_TELL_PEER) {
        world_say(world, n, "member %u %s", action->peer.index, core_peer_event_name(action->peer.event));
    } else if (action->type == CORE_TELL_CSK) {
        keys_keep(world, n, &action->csk);
    } else if (action->type == CORE_TELL_REFUSED) {
        shell_refused(world, n, action->index);
    } else if (action->type == CORE_TELL_WITHHELD) {
        world_fail(world, n, "accuses an indexer that it does not have");
    } else if (action->type == CORE_TELL_INBOX) {
        mail_moved(world, n);
    } else if (action->type == CORE_TELL_EXIT) {
        shell_exit(world, n, action->exit.text);
    } else {
        return false;
    }
    return true;
}

static void shell_perform(struct world *world, uint32_t n, const struct core_action *action)
{
    struct sim_node *node = &world->nodes[n];

    if (shell_hear(world, n, action))
        return;
    switch (action->type) {
    case CORE_DO_READ_SELF:
    case CORE_DO_READ_STATE:
    case CORE_DO_READ_CHANGES:
    case CORE_DO_READ_PAGE:
    case CORE_DO_LOAD_CSK:
    case CORE_DO_READ_INBOX:
    case CORE_DO_READ_SENT: shell_ask(world, n, action, world_latency(world)); return;
    case CORE_DO_READ_IDENTITY:
    case CORE_DO_DERIVE_CSK: shell_ask(world, n, action, rpc_guest_latency(world)); return;
    case CORE_DO_PULL_CSK:
        node->pulls++;
        shell_ask(world, n, action, world_latency(world));
        return;
    case CORE_DO_REGISTER:
    case CORE_DO_COMMIT_CSK:
    case CORE_DO_SEND_ENVELOPE:
    case CORE_DO_SEND_MESSAGE:
    case CORE_DO_PUBLISH_WG_KEY: bundler_submit(world, n, action); return;
    case CORE_DO_SEND_HEARTBEAT: mesh_send(world, n); return;
    case CORE_DO_APPLY_DEVICE:
    case CORE_DO_APPLY_PEERS:
    case CORE_DO_OBSERVE_DEVICE:
        node->on_device = true;
        shell_ask(world, n, action, rng_between(&world->rng, 0, 3));
        return;
    case CORE_DO_SET_STREAM_PEER: net_set_peer(world, n, action->index); return;
    case CORE_DO_REMOVE_STREAM_PEER: net_forget_peer(world, n, action->index); return;
    case CORE_DO_DIAL:
        node->peers[action->index].dialing = true;
        shell_ask(world, n, action, world_latency(world));
        return;
    case CORE_TELL_CSK:
    case CORE_TELL_INBOX:
    case CORE_TELL_PHASE:
    case CORE_TELL_PEER:
    case CORE_TELL_REFUSED:
    case CORE_TELL_WITHHELD:
    case CORE_TELL_EXIT: return;
    }
}

void shell_step(struct world *world, uint32_t n, const struct core_event *event)
{
    struct sim_node *node = &world->nodes[n];
    struct core_action action = {0};
    uint32_t actions = 0;

    core_step(node->core, world_clock(world, n) - (world->broken == BREAK_LATE_CLOCK), event);
    while (world->failure[0] == '\0' && core_next_action(node->core, &action)) {
        check_action(world, n, &action);
        shell_perform(world, n, &action);
        actions++;
    }
    check_node(world, n, actions);
    if (actions != 0 && action.type == CORE_TELL_EXIT)
        shell_stop(world, n);
    else
        shell_arm(world, n);
}

void shell_tick(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];

    if (node->tick_ms != world->now_ms)
        return; /* another tick took its place */
    node->tick_ms = CORE_NEVER;
    shell_step(world, n, &(struct core_event){.type = CORE_EVENT_TICK});
    if (!node->core)
        return;
    node->tick_storm = core_deadline(node->core) <= world_clock(world, n) ? node->tick_storm + 1 : 0;
    if (node->tick_storm > SHELL_STORM_MAX)
        world_fail(world, n, "its deadline does not move");
}

void shell_start(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];

    if (node->core)
        return;
    node->core = core_new(&(struct core_config){
        .seed = rng_next(&world->rng),
        .can_dial = true,
        .envelope_members_max = world->broken == BREAK_LARGE_MESH ? UINT32_MAX : SIM_ENVELOPE_MEMBERS_MAX,
        .envelope_id = mail_endpoint_id,
        .user = &node->identity});
    if (!node->core)
        abort();
    world_say(world, n, "starts");
    node->tick_ms = CORE_NEVER;
    shell_step(world, n, &(struct core_event){.type = CORE_EVENT_STARTED});
}

/* The process dies: its streams break, its device stays. */
void shell_stop(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];

    world_say(world, n, "dies");
    core_free(node->core);
    node->core = NULL;
    node->life++;
    node->operating = node->has_receipt = node->reading = node->on_device = false;
    node->settled = node->converged_once = false;
    world_recount(world, n);
    node->letters_len = 0;
    node->pulls = 0;
    node->frozen_ms = 0;
    node->op.orphan = true;
    node->found = node->held = (struct secret){0};
    for (uint32_t i = 0; i < world->rows_max; i++)
        net_forget_peer(world, n, i);
}

void shell_answer(struct world *world, const struct happening *happening)
{
    switch (happening->action.type) {
    case CORE_DO_READ_IDENTITY:
    case CORE_DO_READ_SELF:
    case CORE_DO_READ_STATE:
    case CORE_DO_READ_CHANGES:
    case CORE_DO_READ_PAGE:
    case CORE_DO_READ_INBOX:
    case CORE_DO_READ_SENT: rpc_answer(world, happening); return;
    case CORE_DO_REGISTER:
    case CORE_DO_COMMIT_CSK:
    case CORE_DO_SEND_ENVELOPE:
    case CORE_DO_SEND_MESSAGE:
    case CORE_DO_PUBLISH_WG_KEY: bundler_answer(world, happening); return;
    case CORE_DO_APPLY_DEVICE:
    case CORE_DO_APPLY_PEERS:
    case CORE_DO_OBSERVE_DEVICE: device_answer(world, happening); return;
    case CORE_DO_DIAL: net_dial(world, happening->node, happening->action.index); return;
    case CORE_DO_LOAD_CSK:
    case CORE_DO_DERIVE_CSK:
    case CORE_DO_PULL_CSK: keys_answer(world, happening); return;
    case CORE_TELL_INBOX:
    case CORE_DO_SEND_HEARTBEAT:
    case CORE_TELL_CSK:
    case CORE_DO_SET_STREAM_PEER:
    case CORE_DO_REMOVE_STREAM_PEER:
    case CORE_TELL_PEER:
    case CORE_TELL_REFUSED:
    case CORE_TELL_PHASE:
    case CORE_TELL_WITHHELD:
    case CORE_TELL_EXIT: return;
    }
}
