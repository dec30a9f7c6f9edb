/* The shell around each core: performs actions against the made-up world. */
#include <stdlib.h>

#include "test/sim/world.h"

#define SHELL_STORM_MAX 64 /* ticks of one core in one millisecond */

static uint64_t shell_block(const struct world *world)
{
    return world->now_ms / 1000;
}

/* An RPC endpoint answers for a block that lags a little, in bad weather. */
static uint64_t shell_rpc_block(struct world *world)
{
    uint64_t lag = world_quiet(world) ? 0 : rng_between(&world->rng, 0, world->faults.rpc_lag_blocks);

    return shell_block(world) > lag ? shell_block(world) - lag : 0;
}

static void shell_arm(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    uint64_t deadline = core_deadline(node->core);

    if (deadline >= node->tick_ms)
        return;
    node->tick_ms = deadline < world->now_ms ? world->now_ms : deadline;
    world_later(world, node->tick_ms - world->now_ms, HAPPEN_TICK, n);
}

void shell_ask(struct world *world, uint32_t n, const struct core_action *action, uint64_t delay_ms)
{
    struct happening answer = {.at_ms = world->now_ms + delay_ms,
                               .kind = HAPPEN_ANSWER,
                               .node = n,
                               .life = world->nodes[n].life,
                               .action = *action};

    answer.block = action->type == CORE_DO_READ_PAGE || action->type == CORE_DO_READ_CHANGES
                       ? action->page.block
                       : shell_rpc_block(world);
    queue_push(&world->queue, &answer);
}

/* Blocks come every second, bundlers take their time; the receipt arrives a little after the block. */
static void shell_register(struct world *world, uint32_t n, const struct core_action *action)
{
    uint64_t delay = rng_between(&world->rng, 1000, 3000);

    if (world->now_ms < world->nodes[n].allowed_ms || world_chance(world, world->faults.register_lost_pct)) {
        shell_ask(world, n, action, world_latency(world));
        return;
    }
    world_later(world, delay, HAPPEN_LAND, n);
    shell_ask(world, n, action, delay + world_latency(world));
}

static void shell_set_peer(struct world *world, uint32_t n, uint32_t index)
{
    struct sim_peer *peer = &world->nodes[n].peers[index];
    struct core_member member;

    core_member_at(world->nodes[n].core, index, &member);
    *peer = (struct sim_peer){.set = true, .node = SIM_NOBODY, .idle_ms = world->now_ms};
    for (uint32_t i = 0; i < world->nodes_len; i++)
        if (address_equal(&world->nodes[i].identity.member_contract, &member.record.member_contract))
            peer->node = i;
}

/* No two members ever share anything here. */
static void shell_refused(struct world *world, uint32_t n, uint32_t index)
{
    struct core_member member;

    core_member_at(world->nodes[n].core, index, &member);
    world_fail(world, n, "refuses member %u: %s", index, core_refusal_name(member.refusal));
}

static void shell_perform(struct world *world, uint32_t n, const struct core_action *action)
{
    struct sim_node *node = &world->nodes[n];

    switch (action->type) {
    case CORE_DO_READ_IDENTITY:
    case CORE_DO_READ_SELF:
    case CORE_DO_READ_STATE:
    case CORE_DO_READ_CHANGES:
    case CORE_DO_READ_PAGE:
    case CORE_DO_LOAD_CSK:
    case CORE_DO_DERIVE_CSK:
        shell_ask(world, n, action, world_latency(world));
        return;
    case CORE_DO_PULL_CSK:
        node->pulls++;
        shell_ask(world, n, action, world_latency(world));
        return;
    case CORE_DO_COMMIT_CSK:
        node->committing = true;
        mesh_commit(world, n, action);
        return;
    case CORE_DO_PUBLISH_WG_KEY:
        node->publishing = true;
        rotate_publish(world, n, action);
        return;
    case CORE_DO_SEND_HEARTBEAT:
        mesh_send(world, n);
        return;
    case CORE_TELL_CSK:
        mesh_keep(world, n, &action->csk);
        return;
    case CORE_DO_APPLY_DEVICE:
    case CORE_DO_APPLY_PEERS:
    case CORE_DO_OBSERVE_DEVICE:
        node->on_device = true;
        shell_ask(world, n, action, rng_between(&world->rng, 0, 3));
        return;
    case CORE_DO_REGISTER:
        node->registering = true;
        shell_register(world, n, action);
        return;
    case CORE_DO_SET_STREAM_PEER:
        shell_set_peer(world, n, action->index);
        return;
    case CORE_DO_REMOVE_STREAM_PEER:
        net_forget_peer(world, n, action->index);
        return;
    case CORE_DO_DIAL:
        node->peers[action->index].dialing = true;
        shell_ask(world, n, action, world_latency(world));
        return;
    case CORE_TELL_PHASE:
        node->phase = action->phase.phase;
        world_say(world, n, "%s %s", core_phase_name(action->phase.phase), action->phase.text);
        return;
    case CORE_TELL_PEER:
        world_say(world, n, "member %u %s", action->peer.index, core_peer_event_name(action->peer.event));
        return;
    case CORE_TELL_REFUSED:
        shell_refused(world, n, action->index);
        return;
    case CORE_TELL_WITHHELD:
        world_fail(world, n, "accuses an indexer that it does not have");
        return;
    case CORE_TELL_EXIT:
        world_fail(world, n, "exits: %s", action->exit.text);
        return;
    }
}

void shell_step(struct world *world, uint32_t n, const struct core_event *event)
{
    struct sim_node *node = &world->nodes[n];
    struct core_action action;
    uint32_t actions = 0;

    core_step(node->core, world->now_ms, event);
    while (world->failure[0] == '\0' && core_next_action(node->core, &action)) {
        check_action(world, n, &action);
        shell_perform(world, n, &action);
        if (++actions > 11 * world->rows_max + 20)
            world_fail(world, n, "one step led to %u actions", actions);
    }
    check_node(world, n);
    shell_arm(world, n);
}

void shell_tick(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];

    if (node->tick_ms != world->now_ms)
        return; /* another tick took its place */
    node->tick_ms = CORE_NEVER;
    shell_step(world, n, &(struct core_event){.type = CORE_EVENT_TICK});
    node->tick_storm = core_deadline(node->core) <= world->now_ms ? node->tick_storm + 1 : 0;
    if (node->tick_storm > SHELL_STORM_MAX)
        world_fail(world, n, "its deadline does not move");
}

void shell_start(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];

    if (node->core)
        return;
    node->core = core_new(&(struct core_config){.seed = rng_next(&world->rng), .can_dial = true});
    if (!node->core)
        abort();
    world_say(world, n, "starts");
    node->tick_ms = CORE_NEVER;
    node->phase = CORE_PHASE_BOOTING;
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
    node->registering = node->has_receipt = node->reading = node->on_device = false;
    node->publishing = node->committing = node->settled = node->converged_once = false;
    node->pulls = 0;
    node->ended_ms = world->now_ms;
    for (uint32_t i = 0; i < world->rows_max; i++)
        net_forget_peer(world, n, i);
}

void shell_land(struct world *world, const struct happening *happening)
{
    const struct sim_node *node = &world->nodes[happening->node];
    struct core_record record = {
        .member_id = node->identity.member_id,
        .member_contract = node->identity.member_contract,
        .mesh_ip = node->mesh_ip,
        .registered_at = world->now_ms / 1000,
        .x_pubkey = node->identity.x_pubkey,
        .wg_pubkey = node->identity.wg_pubkey,
        .ed25519_pubkey = node->identity.ed25519_pubkey,
    };

    if (chain_register(&world->chain, shell_block(world), &record))
        world_say(world, happening->node, "is registered in block %llu",
                  (unsigned long long)shell_block(world));
}

static void shell_read_failed(struct world *world, uint32_t n, enum core_read what)
{
    shell_step(world, n,
               &(struct core_event){.type = CORE_EVENT_READ_FAILED,
                                    .read_failure = {.what = what, .text = "eth_call: connection refused"}});
}

static void shell_answer_identity(struct world *world, const struct happening *happening)
{
    struct core_event event = {.type = CORE_EVENT_IDENTITY_READY,
                               .identity = world->nodes[happening->node].identity};

    if (world_chance(world, world->faults.rpc_fail_pct)) {
        event.type = CORE_EVENT_IDENTITY_FAILED;
        event.failure = (struct core_failure){.text = "guest agent: no answer", .retryable = true};
    }
    shell_step(world, happening->node, &event);
}

static void shell_answer_self(struct world *world, const struct happening *happening)
{
    struct core_event event = {.type = CORE_EVENT_SELF_RECORD};

    if (world_chance(world, world->faults.rpc_fail_pct)) {
        shell_read_failed(world, happening->node, CORE_READ_SELF);
        return;
    }
    event.self.present =
        chain_find(&world->chain, happening->block, &world->nodes[happening->node].identity.member_contract,
                   &event.self.record);
    event.self.wg_generation = rotate_generation(world, happening->node, &event.self.record.wg_pubkey);
    shell_step(world, happening->node, &event);
}

static void shell_answer_register(struct world *world, const struct happening *happening)
{
    struct sim_node *node = &world->nodes[happening->node];
    struct core_event event = {.type = CORE_EVENT_REGISTER_DONE};
    struct core_record record;

    node->registering = false;
    if (!chain_find(&world->chain, UINT64_MAX, &node->identity.member_contract, &record) ||
        world_chance(world, world->faults.register_lost_pct)) {
        event.type = CORE_EVENT_REGISTER_FAILED;
        event.failure = (struct core_failure){.text = "sponsor: denied or no answer", .retryable = true};
    }
    node->has_receipt |= event.type == CORE_EVENT_REGISTER_DONE;
    shell_step(world, happening->node, &event);
}

static void shell_answer_state(struct world *world, const struct happening *happening)
{
    struct core_event event = {.type = CORE_EVENT_CHAIN_STATE};

    if (world_chance(world, world->faults.rpc_fail_pct)) {
        shell_read_failed(world, happening->node, CORE_READ_STATE);
        return;
    }
    chain_state_at(&world->chain, happening->block, &event.chain);
    shell_step(world, happening->node, &event);
}

/* Rows of the page that was asked for, owned by the caller; `total` is how many there are in all. */
static struct core_record *shell_page(struct world *world, const struct happening *happening, size_t *len,
                                      size_t *total)
{
    const size_t offset = happening->action.page.offset, limit = happening->action.page.limit;
    struct core_record *rows = calloc(world->rows_max, sizeof(*rows));

    if (!rows)
        abort();
    *total = chain_rows_at(&world->chain, happening->block, rows, world->rows_max);
    const size_t end = offset + limit < *total ? offset + limit : *total;
    *len = offset < end ? end - offset : 0;
    memmove(rows, rows + offset, *len * sizeof(*rows));
    return rows;
}

/* An RPC answers for the very block that was asked about, or not at all. */
static bool shell_rows_fail(struct world *world, const struct happening *happening)
{
    const struct bytes32 hash = chain_block_hash(&world->chain, happening->block);

    return world_chance(world, world->faults.rpc_fail_pct) ||
           (happening->action.page.limit > 0 && !bytes32_equal(&hash, &happening->action.page.block_hash));
}

static void shell_answer_page(struct world *world, const struct happening *happening)
{
    size_t len, total;
    struct core_record *rows = shell_page(world, happening, &len, &total);
    const struct core_event event = {
        .type = CORE_EVENT_MEMBERS_PAGE,
        .page = {
            .offset = happening->action.page.offset, .total = total, .records = rows, .records_len = len}};

    if (shell_rows_fail(world, happening))
        shell_read_failed(world, happening->node, CORE_READ_PAGE);
    else
        shell_step(world, happening->node, &event);
    free(rows);
}

/* In bad weather some answers leave an event out. */
static void shell_answer_changes(struct world *world, const struct happening *happening)
{
    struct core_change changes[CORE_NEWS_MAX];
    size_t len, total;
    struct core_record *rows = shell_page(world, happening, &len, &total);
    struct core_event event = {.type = CORE_EVENT_CHANGES,
                               .changes = {.items = changes, .records = rows, .records_len = len}};

    event.changes.items_len = chain_changes_in(&world->chain, happening->action.page.from, happening->block,
                                               changes, CORE_NEWS_MAX);
    if (event.changes.items_len > 0 && world_chance(world, world->faults.rpc_fail_pct)) {
        const uint64_t gone = rng_between(&world->rng, 0, --event.changes.items_len);
        memmove(changes + gone, changes + gone + 1, (event.changes.items_len - gone) * sizeof(*changes));
    }
    if (shell_rows_fail(world, happening))
        shell_read_failed(world, happening->node, CORE_READ_CHANGES);
    else
        shell_step(world, happening->node, &event);
    free(rows);
}

static struct sim_device_peer *shell_device_peer(const struct sim_node *node, const struct bytes32 *key)
{
    for (uint32_t i = 0; i < node->device_len; i++)
        if (bytes32_equal(&node->device[i].wg_pubkey, key))
            return &node->device[i];
    return NULL;
}

/* Peers that stay keep their handshakes. */
static void shell_reconcile(struct world *world, struct sim_node *node)
{
    rotate_device(node);
    struct sim_device_peer *device = calloc(world->rows_max, sizeof(*device));
    struct core_desired_peer peer;
    uint32_t len = 0;

    if (!device)
        abort();
    for (uint32_t cursor = 0; core_next_desired_peer(node->core, &cursor, &peer);) {
        const struct sim_device_peer *present = shell_device_peer(node, &peer.wg_pubkey);
        device[len] = present ? *present : (struct sim_device_peer){.wg_pubkey = peer.wg_pubkey};
        device[len].index = peer.index;
        device[len++].mesh_ip = peer.mesh_ip;
    }
    free(node->device);
    node->device = device;
    node->device_len = len;
    node->drifted = false;
}

/* The member's peer goes, unless it is to stay under the key it has. */
static void shell_remove_changed(struct sim_node *node, uint32_t index)
{
    struct core_desired_peer peer;
    bool wanted = core_desired_peer_at(node->core, index, &peer);

    for (uint32_t i = 0; i < node->device_len; i++)
        if (node->device[i].index == index &&
            !(wanted && bytes32_equal(&node->device[i].wg_pubkey, &peer.wg_pubkey))) {
            node->device[i] = node->device[--node->device_len];
            return;
        }
}

/* Only what the core says has changed: what it forgets to say stays wrong. */
static void shell_reconcile_changes(struct sim_node *node)
{
    struct core_desired_peer peer;
    uint32_t index;

    for (uint32_t cursor = 0; core_next_changed_peer(node->core, &cursor, &index);)
        shell_remove_changed(node, index);
    for (uint32_t cursor = 0; core_next_changed_peer(node->core, &cursor, &index);)
        if (core_desired_peer_at(node->core, index, &peer) && !shell_device_peer(node, &peer.wg_pubkey))
            node->device[node->device_len++] = (struct sim_device_peer){
                .index = index, .wg_pubkey = peer.wg_pubkey, .mesh_ip = peer.mesh_ip};
}

static void shell_answer_apply(struct world *world, uint32_t n, bool whole)
{
    struct core_event event = {.type = CORE_EVENT_DEVICE_APPLIED};

    world->nodes[n].on_device = false;
    if (world_chance(world, world->faults.device_fail_pct)) {
        event.type = CORE_EVENT_DEVICE_FAILED;
        event.failure = (struct core_failure){.text = "netlink: no buffer space", .retryable = true};
    } else if (world_chance(world, world->faults.device_fail_pct)) {
        event.applied = (struct core_apply_result){.failed_edits = 1, .text = "set peer: no memory"};
    } else if (whole) {
        shell_reconcile(world, &world->nodes[n]);
    } else {
        shell_reconcile_changes(&world->nodes[n]);
    }
    shell_step(world, n, &event);
}

static void shell_answer_observe(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    struct core_observed_peer *peers = calloc(world->rows_max, sizeof(*peers));
    struct core_event event = {
        .type = CORE_EVENT_DEVICE_OBSERVED,
        .observed = {.peers = peers, .peers_len = node->device_len, .drifted = node->drifted}};

    if (!peers)
        abort();
    node->on_device = false;
    for (uint32_t i = 0; i < node->device_len; i++)
        peers[i] = (struct core_observed_peer){
            .wg_pubkey = node->device[i].wg_pubkey,
            .handshake_age_s = node->device[i].handshaked
                                   ? (world->now_ms - node->device[i].handshake_ms) / 1000
                                   : CORE_NEVER,
        };
    if (world_chance(world, world->faults.device_fail_pct)) {
        event.type = CORE_EVENT_DEVICE_FAILED;
        event.failure = (struct core_failure){.text = "netlink: dump interrupted", .retryable = true};
    }
    shell_step(world, n, &event);
    free(peers);
}

void shell_answer(struct world *world, const struct happening *happening)
{
    uint32_t n = happening->node;

    switch (happening->action.type) {
    case CORE_DO_READ_IDENTITY:
        shell_answer_identity(world, happening);
        return;
    case CORE_DO_READ_SELF:
        shell_answer_self(world, happening);
        return;
    case CORE_DO_REGISTER:
        shell_answer_register(world, happening);
        return;
    case CORE_DO_READ_STATE:
        world->nodes[n].reading = false;
        shell_answer_state(world, happening);
        return;
    case CORE_DO_READ_CHANGES:
        world->nodes[n].reading = false;
        shell_answer_changes(world, happening);
        return;
    case CORE_DO_READ_PAGE:
        world->nodes[n].reading = false;
        shell_answer_page(world, happening);
        return;
    case CORE_DO_APPLY_DEVICE:
    case CORE_DO_APPLY_PEERS:
        shell_answer_apply(world, n, happening->action.type == CORE_DO_APPLY_DEVICE);
        return;
    case CORE_DO_OBSERVE_DEVICE:
        shell_answer_observe(world, n);
        return;
    case CORE_DO_DIAL:
        net_dial(world, n, happening->action.index);
        return;
    case CORE_DO_LOAD_CSK:
    case CORE_DO_DERIVE_CSK:
    case CORE_DO_COMMIT_CSK:
    case CORE_DO_PULL_CSK:
        mesh_answer(world, happening);
        return;
    case CORE_DO_PUBLISH_WG_KEY:
        rotate_answer(world, happening);
        return;
    case CORE_DO_SEND_HEARTBEAT:
    case CORE_TELL_CSK:
    case CORE_DO_SET_STREAM_PEER:
    case CORE_DO_REMOVE_STREAM_PEER:
    case CORE_TELL_PEER:
    case CORE_TELL_REFUSED:
    case CORE_TELL_PHASE:
    case CORE_TELL_WITHHELD:
    case CORE_TELL_EXIT:
        return;
    }
}

/* Whether packets pass between two nodes: both devices have the other, a handshake and a path. */
bool shell_tunnel(const struct world *world, uint32_t a, uint32_t b)
{
    const struct sim_device_peer *at_a = shell_device_peer(&world->nodes[a], &world->nodes[b].device_key);
    const struct sim_device_peer *at_b = shell_device_peer(&world->nodes[b], &world->nodes[a].device_key);

    return at_a && at_b && at_a->handshaked && at_b->handshaked && net_carries(world, a, b);
}

/* Two devices that know each other and have a path make a handshake when the last is old. */
void shell_wireguard(struct world *world)
{
    for (uint32_t a = 0; a < world->nodes_len; a++) {
        for (uint32_t b = a + 1; b < world->nodes_len; b++) {
            struct sim_device_peer *at_a = shell_device_peer(&world->nodes[a], &world->nodes[b].device_key);
            struct sim_device_peer *at_b = shell_device_peer(&world->nodes[b], &world->nodes[a].device_key);
            if (!at_a || !at_b || !net_carries(world, a, b))
                continue;
            if (at_a->handshaked && at_b->handshaked && world->now_ms - at_a->handshake_ms < SIM_REKEY_MS &&
                world->now_ms - at_b->handshake_ms < SIM_REKEY_MS)
                continue;
            at_a->handshaked = at_b->handshaked = true;
            at_a->handshake_ms = at_b->handshake_ms = world->now_ms;
        }
    }
}
