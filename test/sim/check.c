/* What must hold after every event of every node. Each check is shown to notice what it is for (breaks.c). */
#include <stdlib.h>

#include "test/sim/world.h"

#include "agent/core/liveness.h"
#include "agent/core/state.h" /* the bounds are those of its tables */

#define CHECK_PATIENCE_MS 15000
/* A view that counts is at most 6 s old, and what it says at most 6 s older; it may come 5 s late. */
#define CHECK_VIEW_MS 18000
#define CHECK_FORK_MS 70000 /* for so long a node may read views by the registry of a fork that is gone */
/* All peers are gone through when what they follow from has moved, and after so many steps more than there
 * are members. */
#define CHECK_ALL_STEPS 64

static const uint8_t check_mark[SIM_MARK_LEN] = {0x5e, 0xc7, 0xe7, 0x5e, 0xde, 0xad, 0xfa, 0xce};

/* What leaves a node by whatever way has no secret in it. */
void check_outgoing(struct world *world, uint32_t n, const char *what, const void *bytes, size_t len)
{
    if (memmem(bytes, len, check_mark, sizeof(check_mark)))
        world_fail(world, n, "lets a secret out in %s", what);
}

static void check_dial(struct world *world, uint32_t n, uint32_t index)
{
    const struct sim_node *node = &world->nodes[n];
    const struct sim_peer *peer = &node->peers[index];
    struct core_member member;

    core_member_at(node->core, index, &member);
    bool ours = memcmp(node->identity.member_id.b, member.record.member_id.b, 32) < 0;
    if (!peer->set)
        world_fail(world, n, "dials member %u, whom its transport does not know", index);
    if (peer->dialing)
        world_fail(world, n, "dials member %u twice", index);
    if (peer->stream != 0 && !peer->dialed)
        world_fail(world, n, "dials member %u, who has dialed it", index);
    if (peer->stream == 0 && !ours && world_clock(world, n) - peer->idle_ms < CHECK_PATIENCE_MS)
        world_fail(world, n, "dials member %u out of turn", index);
}

static void check_operation(struct world *world, uint32_t n, const struct core_action *action)
{
    const struct sim_node *node = &world->nodes[n];
    struct core_record record;

    if (node->operating)
        world_fail(world, n, "wants a UserOperation while it awaits another");
    if (action->type == CORE_DO_REGISTER && node->has_receipt &&
        chain_find(&world->chain, UINT64_MAX, &node->identity.member_contract, &record))
        world_fail(world, n, "registers again although it has the receipt");
    if (action->type == CORE_DO_COMMIT_CSK && bytes32_is_zero(&action->csk.commitment))
        world_fail(world, n, "commits to nothing");
    if (action->type == CORE_DO_SEND_ENVELOPE && node->core->members.live > SIM_ENVELOPE_MEMBERS_MAX)
        world_fail(world, n, "pays to tell one of %u members its endpoint", node->core->members.live);
}

void check_action(struct world *world, uint32_t n, const struct core_action *action)
{
    struct sim_node *node = &world->nodes[n];

    switch (action->type) {
    case CORE_DO_REGISTER:
    case CORE_DO_COMMIT_CSK:
    case CORE_DO_SEND_ENVELOPE:
    case CORE_DO_SEND_MESSAGE:
    case CORE_DO_PUBLISH_WG_KEY: check_operation(world, n, action); return;
    case CORE_DO_READ_STATE:
    case CORE_DO_READ_CHANGES:
    case CORE_DO_READ_PAGE:
        if (node->reading)
            world_fail(world, n, "has two reads of the registry in flight");
        node->reading = true;
        return;
    case CORE_DO_APPLY_DEVICE:
    case CORE_DO_APPLY_PEERS:
    case CORE_DO_OBSERVE_DEVICE:
        if (node->on_device)
            world_fail(world, n, "works twice on its device");
        return;
    case CORE_DO_DIAL: check_dial(world, n, action->index); return;
    case CORE_DO_PULL_CSK:
    case CORE_DO_LOAD_CSK:
    case CORE_DO_DERIVE_CSK:
    case CORE_DO_READ_SENT:
    case CORE_DO_READ_INBOX:
    case CORE_TELL_INBOX:
    case CORE_DO_SEND_HEARTBEAT:
    case CORE_DO_READ_IDENTITY:
    case CORE_DO_READ_SELF:
    case CORE_DO_SET_STREAM_PEER:
    case CORE_DO_REMOVE_STREAM_PEER:
    case CORE_TELL_CSK:
    case CORE_TELL_PEER:
    case CORE_TELL_REFUSED:
    case CORE_TELL_PHASE:
    case CORE_TELL_WITHHELD:
    case CORE_TELL_EXIT: return;
    }
}

/* A peer is a member that the chain has, or had on a fork. */
static void check_peer(struct world *world, uint32_t n, const struct core_desired_peer *peer,
                       uint64_t removed)
{
    const struct sim_node *node = &world->nodes[n];
    const struct chain_member *member = chain_ever(&world->chain, peer->mesh_ip);

    if (!member || !rotate_is_one(&peer->wg_pubkey, &member->wg_pubkey))
        world_fail(world, n, "wants a peer that the chain never had");
    else if (member->removed <= removed)
        world_fail(world, n, "wants a peer that was removed in block %llu",
                   (unsigned long long)member->removed);
    if (rotate_is_one(&peer->wg_pubkey, &node->identity.wg_pubkey) || peer->mesh_ip == node->mesh_ip)
        world_fail(world, n, "wants itself as a peer");
    if (!node->peers[peer->index].set)
        world_fail(world, n, "wants member %u on the device but not on the transport", peer->index);
}

/* The block whose registry the node has: what its RPC told it is of the chain, and is taken in whole. 0 when
 * it is under way or was told something else. */
static uint64_t check_block(const struct world *world, const struct registry *registry)
{
    struct core_chain_state state;

    chain_state_at(&world->chain, registry->known.block, &state);
    return registry->clean && registry->intake == INTAKE_IDLE && state.version == registry->known.version &&
                   bytes32_equal(&state.head, &registry->known.head)
               ? registry->known.block
               : 0;
}

static void check_peers(struct world *world, uint32_t n)
{
    const struct core *core = world->nodes[n].core;
    const uint64_t block = check_block(world, &core->registry);
    struct core_desired_peer peer;
    uint32_t peers = 0;

    for (uint32_t cursor = 0; core_next_desired_peer(core, &cursor, &peer); peers++)
        check_peer(world, n, &peer, block);
    if (block != 0 && core->members.count != core->registry.known.members)
        world_fail(world, n, "has %u rows of a registry of %llu", core->members.count,
                   (unsigned long long)core->registry.known.members);
    if (peers != core_desired_peers(core))
        world_fail(world, n, "counts %u peers and has %u", core_desired_peers(core), peers);
}

static void check_place(struct world *world, uint32_t n, const struct core_desired_peer *peer)
{
    const struct sim_device_peer *place = &world->nodes[n].device[peer->index];

    if (!place->present || place->mesh_ip != peer->mesh_ip ||
        !bytes32_equal(&place->wg_pubkey, &peer->wg_pubkey))
        world_fail(world, n, "does not have member %u on its device", peer->index);
}

/* After a pass without failures the device has the peers that the core wants, and no other, unless it was
 * changed by another hand or the core has more to change already. A pass over some peers is about these only
 * if the registry gave no cause for more. */
void check_applied(struct world *world, uint32_t n, bool whole)
{
    struct sim_node *node = &world->nodes[n];
    struct core_desired_peer peer;
    uint32_t index;

    if (node->drifted || node->core->device.dirty)
        return;
    if (whole || node->unapplied)
        for (uint32_t cursor = 0; core_next_desired_peer(node->core, &cursor, &peer);)
            check_place(world, n, &peer);
    else
        for (uint32_t cursor = 0; core_next_changed_peer(node->core, &cursor, &index);)
            if (core_desired_peer_at(node->core, index, &peer))
                check_place(world, n, &peer);
    node->unapplied = false;
    if (node->device_len != core_desired_peers(node->core))
        world_fail(world, n, "has %u peers on its device and wants %u", node->device_len,
                   core_desired_peers(node->core));
}

/* The nodes that a core takes for up, itself included; returns their number. */
static uint32_t check_up(struct world *world, uint32_t n, uint32_t *up)
{
    const struct members *members = &world->nodes[n].core->members;
    uint32_t len = 0;

    for (uint32_t i = 0; i < members->used; i++) {
        const struct row *row = &members->rows[i];
        if (!row->is_self && !row->beat.up)
            continue;
        up[len] = row->is_self ? n : world->nodes[n].peers[i].node;
        if (up[len++] != SIM_NOBODY)
            continue;
        world_fail(world, n, "hears member %u, who has no node", i);
        return 0;
    }
    return len;
}

/* Whom the node takes for up are nodes that ran until moments ago, and that all heard each other moments
 * before. */
static void check_first_convergence(struct world *world, uint32_t n)
{
    uint32_t *up = calloc(world->rows_max, sizeof(*up));
    const uint32_t len = up ? check_up(world, n, up) : 0;

    if (!up)
        abort();
    for (uint32_t i = 0; i < len; i++)
        for (uint32_t j = 0; j < len; j++)
            if (i != j && world->now_ms - world->nodes[up[i]].heard_ms[up[j]] > CHECK_VIEW_MS)
                world_fail(world, n, "converges although node %u has not heard node %u", up[i], up[j]);
    free(up);
}

static void check_health(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    const struct core *core = node->core;
    const struct csk *csk = &core->csk;
    const bool healthy = core->node.phase == CORE_PHASE_HEALTHY;

    if (core->node.first_converged && !node->converged_once &&
        (world->reordered_ms == 0 || world->now_ms - world->reordered_ms >= CHECK_FORK_MS))
        check_first_convergence(world, n);
    node->converged_once = core->node.first_converged;
    node->settled = healthy && liveness_converged(core) && csk->is_held &&
                    csk->held.generation == core->registry.known.csk_generation &&
                    bytes32_equal(&csk->held.commitment, &core->registry.known.csk_commitment);
    world_recount(world, n);
    if (!healthy)
        return;
    if (!core->node.first_converged)
        world_fail(world, n, "is healthy and has never converged");
    if (!csk->is_held || !chain_was_committed(&world->chain, csk->held.generation, &csk->held.commitment))
        world_fail(world, n, "is healthy without a key that was committed to");
}

/* Once all is over the node agrees with the chain, and has everybody. */
static void check_calm(struct world *world, uint32_t n)
{
    const struct core *core = world->nodes[n].core;
    const uint32_t alive = world->nodes_len - world->removed;
    struct core_chain_state state;

    chain_state_at(&world->chain, UINT64_MAX, &state);
    if (core->members.live != state.members - state.removed ||
        core->registry.known.version != state.version || core->members.refused != 0 ||
        core->members.up != alive - 1 || core->liveness.up != alive)
        world_fail(world, n, "knows %u live members of %llu, refuses %u, has tunnels to %u and hears %u",
                   core->members.live, (unsigned long long)(state.members - state.removed),
                   core->members.refused, core->members.up, core->liveness.up);
    if (core->registry.known.csk_generation != state.csk_generation ||
        !bytes32_equal(&core->csk.held.commitment, &state.csk_commitment))
        world_fail(world, n, "does not have the key of generation %llu",
                   (unsigned long long)state.csk_generation);
    if (world->nodes[n].device_len != core->members.wanted)
        world_fail(world, n, "has %u device peers for %u members", world->nodes[n].device_len,
                   core->members.wanted);
}

/* Nothing in a core grows past its cap. */
static void check_bounds(struct world *world, uint32_t n, uint32_t actions)
{
    const struct sim_node *node = &world->nodes[n];
    const struct core *core = node->core;
    const uint32_t part = world->broken == BREAK_SMALL_CAPS ? 16 : 1;

    if (core->links.dialing > CORE_DIALS_MAX / part || core->csk.pulls > CORE_PULLS_MAX / part ||
        core->device.changes.len > CORE_CHANGES_MAX / part || core->members.used > CORE_MEMBERS_MAX / part ||
        core->journal.len > JOURNAL_MAX / part || core->links.dials.len > core->members.used ||
        core->liveness.expiry.len > core->members.used)
        world_fail(world, n, "outgrows a bound: %u dials, %u pulls, %u changes, %u rows, %u and %u timers",
                   core->links.dialing, core->csk.pulls, core->device.changes.len, core->members.used,
                   core->links.dials.len, core->liveness.expiry.len);
    if (actions > 11 * core->members.used + 20)
        world_fail(world, n, "has %u actions in one step", actions);
}

/* One operation is under way when the core says so, and its inbox keeps a few places and no more. */
static void check_queues(struct world *world, uint32_t n)
{
    const struct sim_node *node = &world->nodes[n];
    const uint32_t marks_max = world->broken == BREAK_SMALL_INBOX ? 1 : INBOX_MARKS_MAX;

    if (node->core->outbox.busy != node->operating)
        world_fail(world, n, "awaits an operation that is over, or another one");
    if (node->core->inbox.marks_len > marks_max)
        world_fail(world, n, "keeps %u places of its inbox", node->core->inbox.marks_len);
}

static void check_counts(struct world *world, uint32_t n)
{
    const struct core *core = world->nodes[n].core;
    const struct members *members = &core->members;

    if (members->up > members->wanted || core->links.up > members->wanted || members->live > members->count)
        world_fail(world, n, "has more peers up than peers");
    if (world->nodes[n].peers_set != members->wanted)
        world_fail(world, n, "has %u members on the transport and wants %u", world->nodes[n].peers_set,
                   members->wanted);
}

/* The texts that the status is made of. */
static void check_texts(struct world *world, uint32_t n)
{
    const struct core *core = world->nodes[n].core;
    const char *const texts[] = {core->node.error, core->registry.error, core->device.error,
                                 core->csk.error,  core->inbox.error,    core->rotation.error};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_outgoing(world, n, "its status", texts[i], strlen(texts[i]));
}

/* Whether what the peers of the node follow from has moved since the last time. */
static bool check_moved(struct sim_node *node)
{
    const struct registry *registry = &node->core->registry;
    const struct sim_basis basis = {.block = registry->known.block,
                                    .version = registry->known.version,
                                    .whole_reads = registry->whole_reads,
                                    .rollbacks = registry->rollbacks,
                                    .next = registry->next,
                                    .rows = node->core->members.count,
                                    .wanted = node->core->members.wanted};

    if (memcmp(&basis, &node->basis, sizeof(basis)) == 0)
        return false;
    node->basis = basis;
    node->unapplied = true;
    return true;
}

/* What costs time for every peer is looked at when it can have changed, and now and then all the same. */
static void check_all(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    struct core_status status;

    if (!check_moved(node) && ++node->unchecked < CHECK_ALL_STEPS + node->core->members.used)
        return;
    node->unchecked = 0;
    core_status(node->core, &status);
    check_outgoing(world, n, "its status", status.reason, strlen(status.reason));
    check_peers(world, n);
}

void check_node(struct world *world, uint32_t n, uint32_t actions)
{
    check_health(world, n);
    check_bounds(world, n, actions);
    check_queues(world, n);
    check_counts(world, n);
    check_all(world, n);
    if (actions == 0)
        return;
    check_texts(world, n);
    if (world->now_ms >= world->faults.quiet_ms + SIM_HEAL_MS && world->nodes[n].settled)
        check_calm(world, n);
}

void check_end(struct world *world)
{
    if (world->chain.writes < world->nodes_len)
        world_fail(world, SIM_NOBODY, "only %llu registrations", (unsigned long long)world->chain.writes);
    mail_check(world);
}
