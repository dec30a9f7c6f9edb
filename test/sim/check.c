/* What must hold after every event of every node. */
#include "test/sim/world.h"

#define CHECK_PATIENCE_MS 15000
/* A view that counts is at most 6 s old, and what it says at most 6 s older; and half a second of latency. */
#define CHECK_VIEW_MS 12500

static void check_dial(struct world *world, uint32_t n, uint32_t index)
{
    const struct sim_node *node = &world->nodes[n];
    const struct sim_peer *peer = &node->peers[index];
    uint32_t dialing = 0;
    struct core_member member;

    for (uint32_t i = 0; i < world->rows_max; i++)
        dialing += node->peers[i].dialing;
    core_member_at(node->core, index, &member);
    bool ours = memcmp(node->identity.member_id.b, member.record.member_id.b, 32) < 0;
    if (!peer->set)
        world_fail(world, n, "dials member %u, whom its transport does not know", index);
    if (peer->dialing || dialing >= CORE_DIALS_MAX)
        world_fail(world, n, "dials member %u beside %u dials, one to the same: %d", index, dialing,
                   peer->dialing);
    if (peer->stream != 0 && !peer->dialed)
        world_fail(world, n, "dials member %u, who has dialed it", index);
    if (peer->stream == 0 && !ours && world->now_ms - peer->idle_ms < CHECK_PATIENCE_MS)
        world_fail(world, n, "dials member %u out of turn", index);
}

void check_action(struct world *world, uint32_t n, const struct core_action *action)
{
    struct sim_node *node = &world->nodes[n];
    struct core_record record;

    switch (action->type) {
    case CORE_DO_REGISTER:
        if (node->registering || node->committing || node->publishing)
            world_fail(world, n, "has two UserOperations in flight");
        if (node->has_receipt &&
            chain_find(&world->chain, UINT64_MAX, &node->identity.member_contract, &record))
            world_fail(world, n, "registers again although it has the receipt");
        return;
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
    case CORE_DO_DIAL:
        check_dial(world, n, action->index);
        return;
    case CORE_DO_COMMIT_CSK:
        if (node->registering || node->committing || node->publishing)
            world_fail(world, n, "has two UserOperations in flight");
        if (!bytes32_equal(&action->csk.commitment, &(struct bytes32){{0}}))
            return;
        world_fail(world, n, "commits to nothing");
        return;
    case CORE_DO_PUBLISH_WG_KEY:
        if (node->registering || node->committing || node->publishing)
            world_fail(world, n, "has two UserOperations in flight");
        return;
    case CORE_DO_PULL_CSK:
        if (node->pulls >= CORE_PULLS_MAX + SIM_GHOSTS_MAX)
            world_fail(world, n, "pulls from %u peers at a time", node->pulls + 1);
        return;
    case CORE_TELL_CSK:
        if (!chain_was_committed(&world->chain, action->csk.generation, &action->csk.commitment))
            world_fail(world, n, "holds a key that was never committed to");
        return;
    case CORE_DO_LOAD_CSK:
    case CORE_DO_DERIVE_CSK:
    case CORE_DO_SEND_HEARTBEAT:
    case CORE_DO_READ_IDENTITY:
    case CORE_DO_READ_SELF:
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

static bool check_was_registered(const struct world *world, const struct core_desired_peer *peer)
{
    const struct chain *chain = &world->chain;

    for (size_t i = 0; i < chain->ever_len; i++)
        if (chain->ever[i].mesh_ip == peer->mesh_ip &&
            bytes32_equal(&chain->ever[i].wg_pubkey, &peer->wg_pubkey))
            return true;
    return false;
}

static void check_peer(struct world *world, uint32_t n, const struct core_desired_peer *peer)
{
    const struct sim_node *node = &world->nodes[n];

    if (!check_was_registered(world, peer))
        world_fail(world, n, "wants a peer that the chain never had");
    if (bytes32_equal(&peer->wg_pubkey, &node->device_key) || peer->mesh_ip == node->mesh_ip)
        world_fail(world, n, "wants itself as a peer");
    if (!node->peers[peer->index].set)
        world_fail(world, n, "wants member %u on the device but not on the transport", peer->index);
}

/* Whom the node takes for up is a node that ran until moments ago, and that heard this one moments before. */
static void check_first_convergence(struct world *world, uint32_t n)
{
    struct core_member member;

    for (uint32_t i = 0; core_member_at(world->nodes[n].core, i, &member); i++) {
        uint32_t other = world->nodes[n].peers[i].node;
        if (!member.heard)
            continue;
        if (other == SIM_NOBODY)
            world_fail(world, n, "hears member %u, who has no node", i);
        else if (world->now_ms - world->nodes[other].heard_ms[n] > CHECK_VIEW_MS)
            world_fail(world, n, "converges with node %u, who has not heard it", other);
    }
}

static void check_health(struct world *world, uint32_t n, const struct core_status *status)
{
    struct sim_node *node = &world->nodes[n];

    if (status->first_converged && !node->converged_once)
        check_first_convergence(world, n);
    node->converged_once = status->first_converged;
    node->settled = status->phase == CORE_PHASE_HEALTHY && status->converged && !status->csk_chain_open &&
                    status->csk_generation == status->csk_chain_generation;
    if (status->phase != CORE_PHASE_HEALTHY)
        return;
    if (!status->first_converged)
        world_fail(world, n, "is healthy and has never converged");
    if (!status->csk_held ||
        !chain_was_committed(&world->chain, status->csk_generation, &status->csk_commitment))
        world_fail(world, n, "is healthy without a key that was committed to");
}

static void check_calm(struct world *world, uint32_t n, const struct core_status *status)
{
    struct core_chain_state state;

    chain_state_at(&world->chain, UINT64_MAX, &state);
    if (status->live_members != state.members - state.removed || status->version != state.version ||
        status->refused_members != 0 || status->up_peers != world->nodes_len - 1 ||
        status->heard_members != world->nodes_len)
        world_fail(world, n, "knows %u live members of %llu, refuses %u, has tunnels to %u and hears %u",
                   status->live_members, (unsigned long long)(state.members - state.removed),
                   status->refused_members, status->up_peers, status->heard_members);
    if (status->csk_chain_generation != state.csk_generation ||
        !bytes32_equal(&status->csk_commitment, &state.csk_commitment))
        world_fail(world, n, "does not have the key of generation %llu",
                   (unsigned long long)state.csk_generation);
    if (world->nodes[n].device_len != status->peers)
        world_fail(world, n, "has %u device peers for %u members", world->nodes[n].device_len, status->peers);
}

void check_node(struct world *world, uint32_t n)
{
    struct core_status status;
    struct core_desired_peer peer;
    uint32_t peers = 0;

    core_status(world->nodes[n].core, &status);
    for (uint32_t cursor = 0; core_next_desired_peer(world->nodes[n].core, &cursor, &peer); peers++)
        check_peer(world, n, &peer);
    check_health(world, n, &status);
    if (peers != status.peers || peers != core_desired_peers(world->nodes[n].core))
        world_fail(world, n, "counts %u peers and has %u", status.peers, peers);
    if (status.up_peers > status.peers || status.streams > status.peers ||
        status.live_members > status.members)
        world_fail(world, n, "has more peers up than peers");
    if (world->now_ms >= world->faults.quiet_ms + SIM_HEAL_MS)
        check_calm(world, n, &status);
}
