#include "agent/transport/loopback.h"
#include "test/unit/core/kit.h"

static bool desired(const struct kit *kit, uint32_t index, struct core_desired_peer *out)
{
    for (uint32_t cursor = 0; core_next_desired_peer(kit->core, &cursor, out);)
        if (out->index == index)
            return true;
    return false;
}

Test(members, peers_are_the_others_with_their_addresses)
{
    struct kit kit;
    struct core_desired_peer peer;
    struct core_record record = kit_record(2);

    kit_join(&kit, 1, 3);
    cr_assert_eq(core_desired_peers(kit.core), 2);
    cr_assert_not(desired(&kit, 1, &peer), "never itself");
    cr_assert(desired(&kit, 2, &peer));
    cr_assert_eq(peer.mesh_ip, record.mesh_ip);
    cr_assert_eq(peer.loopback_ip, loopback_address_of_index(2));
    cr_assert(bytes32_equal(&peer.wg_pubkey, &record.wg_pubkey));
    cr_assert_arr_eq(peer.mesh_ip6, kit_member(&kit, 2).mesh_ip6, 16);
    cr_assert_eq(kit_status(&kit).index, 1);
    cr_assert(kit_member(&kit, 1).is_self);
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 0));
    cr_assert_not(kit_told(&kit, CORE_PEER_JOINED, 1));
    cr_assert(kit_has_index(&kit, CORE_DO_SET_STREAM_PEER, 2));
    cr_assert_not(kit_has_index(&kit, CORE_DO_SET_STREAM_PEER, 1));
    kit_free(&kit);
}

Test(members, removal_takes_device_peer_and_streams_away)
{
    struct kit kit;
    struct core_desired_peer peer;

    kit_join(&kit, 0, 3);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, true);
    kit_tick(&kit, 1000);
    kit_observed(&kit, 1);
    cr_assert_eq(kit_status(&kit).up_peers, 1);
    kit_remove(&kit, 1);
    kit_sync(&kit);
    cr_assert(kit_has_index(&kit, CORE_DO_REMOVE_STREAM_PEER, 1));
    cr_assert(kit_has(&kit, CORE_DO_APPLY_PEERS));
    cr_assert(kit_told(&kit, CORE_PEER_DOWN, 1));
    cr_assert(kit_told(&kit, CORE_PEER_REMOVED, 1));
    cr_assert_not(desired(&kit, 1, &peer));
    cr_assert_eq(kit_status(&kit).streams, 0);
    cr_assert_eq(kit_status(&kit).up_peers, 0);
    cr_assert(kit_member(&kit, 1).record.removed);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, false);
    cr_assert_eq(kit_status(&kit).streams, 0, "a late report changes nothing");
    kit_free(&kit);
}

Test(members, a_rotated_key_reaches_the_device)
{
    struct kit kit;
    struct core_desired_peer peer;

    kit_join(&kit, 0, 2);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    kit.rows[1].wg_pubkey.b[9] = 9;
    kit_touch(&kit);
    kit_sync(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_KEY_ROTATED, 1));
    cr_assert(kit_has(&kit, CORE_DO_APPLY_PEERS));
    cr_assert(desired(&kit, 1, &peer));
    cr_assert(bytes32_equal(&peer.wg_pubkey, &kit.rows[1].wg_pubkey));
    cr_assert_not(kit_has_index(&kit, CORE_DO_REMOVE_STREAM_PEER, 1), "streams do not depend on this key");
    kit_free(&kit);
}

Test(members, a_new_session_key_starts_new_streams)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, true);
    kit.rows[1].ed25519_pubkey.b[0] ^= 1;
    kit_touch(&kit);
    kit_sync(&kit);
    size_t removed = SIZE_MAX, set = SIZE_MAX, dialed = SIZE_MAX;
    for (size_t i = 0; i < kit.actions_len; i++) {
        removed = kit.actions[i].type == CORE_DO_REMOVE_STREAM_PEER ? i : removed;
        set = kit.actions[i].type == CORE_DO_SET_STREAM_PEER ? i : set;
        dialed = kit.actions[i].type == CORE_DO_DIAL ? i : dialed;
    }
    cr_assert(removed < set && set < dialed && dialed != SIZE_MAX);
    cr_assert_eq(kit_status(&kit).streams, 0);
    kit_free(&kit);
}

Test(members, our_own_new_key_is_looked_up)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    kit.rows[0].wg_pubkey.b[9] = 9;
    kit_touch(&kit);
    kit_sync(&kit);
    kit_tick(&kit, 1000);
    cr_assert(kit_has(&kit, CORE_DO_READ_SELF));
    if (kit_has(&kit, CORE_DO_OBSERVE_DEVICE))
        kit_observed(&kit, CORE_NEVER);
    kit_self_present(&kit, &kit.rows[0], 1);
    cr_assert_eq(kit_status(&kit).wg_generation, 1);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_DEVICE));
    kit_free(&kit);
}

static void join_with(struct kit *kit, const struct core_record *third)
{
    kit_init(kit, 0);
    for (uint32_t n = 0; n < 2; n++) {
        struct core_record record = kit_record(n);
        kit_add(kit, &record);
    }
    kit_add(kit, third);
    kit_identity_ready(kit);
    kit_self_present(kit, &kit->rows[0], 0);
    kit_sync(kit);
}

static void assert_refused(const struct core_record *third, enum core_refusal refusal, uint32_t older)
{
    struct kit kit;
    struct core_desired_peer peer;

    join_with(&kit, third);
    cr_assert_eq(kit_member(&kit, 2).refusal, refusal);
    cr_assert(kit_has_index(&kit, CORE_TELL_REFUSED, 2));
    cr_assert_not(desired(&kit, 2, &peer));
    cr_assert_not(kit_has_index(&kit, CORE_DO_SET_STREAM_PEER, 2));
    cr_assert_eq(kit_status(&kit).refused_members, 1);
    cr_assert_eq(kit_status(&kit).peers, 1);
    if (older != CORE_NO_INDEX)
        cr_assert_eq(kit_member(&kit, 2).older_index, older);
    cr_assert_eq(kit_member(&kit, 1).refusal, CORE_REFUSAL_NONE, "the older one stays");
    kit_free(&kit);
}

Test(members, a_shared_key_or_address_stays_with_the_older)
{
    struct core_record record = kit_record(2);

    record.wg_pubkey = kit_record(1).wg_pubkey;
    assert_refused(&record, CORE_REFUSAL_SAME_KEY, 1);
    record = kit_record(2);
    record.mesh_ip = kit_record(1).mesh_ip;
    assert_refused(&record, CORE_REFUSAL_SAME_ADDRESS, 1);
}

Test(members, what_this_node_uses_is_nobody_elses)
{
    struct core_record record = kit_record(2);

    record.wg_pubkey = kit_record(0).wg_pubkey;
    assert_refused(&record, CORE_REFUSAL_SAME_KEY, 0);
    record = kit_record(2);
    record.mesh_ip = kit_record(0).mesh_ip;
    assert_refused(&record, CORE_REFUSAL_SAME_ADDRESS, 0);
}

Test(members, no_key_and_no_place_in_the_network_are_refused)
{
    struct core_record record = kit_record(2);

    memset(&record.wg_pubkey, 0, sizeof(record.wg_pubkey));
    assert_refused(&record, CORE_REFUSAL_NO_KEY, CORE_NO_INDEX);
    record = kit_record(2);
    record.mesh_ip = 0x0b000001u;
    assert_refused(&record, CORE_REFUSAL_OUTSIDE_NETWORK, CORE_NO_INDEX);
}

Test(members, a_claim_is_free_when_the_older_member_goes)
{
    struct kit kit;
    struct core_record record = kit_record(2);
    struct core_desired_peer peer;

    record.mesh_ip = kit_record(1).mesh_ip;
    join_with(&kit, &record);
    kit_remove(&kit, 1);
    kit_sync(&kit);
    cr_assert_eq(kit_member(&kit, 2).refusal, CORE_REFUSAL_NONE);
    cr_assert(desired(&kit, 2, &peer));
    cr_assert(kit_has_index(&kit, CORE_DO_SET_STREAM_PEER, 2));
    cr_assert_eq(kit_status(&kit).refused_members, 0);
    kit_free(&kit);
}

Test(members, an_older_member_takes_a_key_back)
{
    struct kit kit;
    struct core_record record = kit_record(2);
    struct core_desired_peer peer;

    join_with(&kit, &record);
    kit.rows[1].wg_pubkey = record.wg_pubkey;
    kit_touch(&kit);
    kit_sync(&kit);
    cr_assert_eq(kit_member(&kit, 2).refusal, CORE_REFUSAL_SAME_KEY);
    cr_assert(kit_has_index(&kit, CORE_DO_REMOVE_STREAM_PEER, 2));
    cr_assert_not(desired(&kit, 2, &peer));
    cr_assert(desired(&kit, 1, &peer));
    kit_free(&kit);
}

Test(members, a_removed_member_of_the_past_is_nobody)
{
    struct kit kit;
    struct core_record record = kit_record(2);

    record.removed = true;
    join_with(&kit, &record);
    cr_assert_not(kit_told(&kit, CORE_PEER_JOINED, 2));
    cr_assert_not(kit_has_index(&kit, CORE_DO_SET_STREAM_PEER, 2));
    cr_assert_eq(kit_status(&kit).members, 3);
    cr_assert_eq(kit_status(&kit).live_members, 2);
    kit_free(&kit);
}
