#include "agent/core/links.h"
#include "crypto/am_error.h"
#include "test/unit/core/kit.h"

/* The device is as it should be, with a tunnel to every peer. */
static bool tunnels_up(const struct kit *kit)
{
    struct core_status status = kit_status(kit);

    return status.device_in_place && status.up_peers == status.peers;
}

static void up(struct kit *kit)
{
    kit_join(kit, 0, 2);
    kit_applied(kit);
    kit_observed(kit, CORE_NEVER);
    kit_stream(kit, CORE_EVENT_STREAM_UP, 1, true);
    kit_tick(kit, 1000);
    kit_observed(kit, 1);
    cr_assert(tunnels_up(kit));
}

/* Ticks to the next observation, answering what else comes. */
static void until_observe(struct kit *kit)
{
    for (int i = 0; i < 100; i++) {
        kit_deadline(kit);
        if (kit_has(kit, CORE_DO_READ_STATE))
            kit_state(kit);
        if (kit_has(kit, CORE_DO_APPLY_DEVICE))
            kit_applied(kit);
        if (kit_has(kit, CORE_DO_OBSERVE_DEVICE))
            return;
    }
    cr_assert_fail("the device is not looked at");
}

Test(device, is_what_the_record_and_the_network_say)
{
    struct kit kit;
    struct core_device device;

    kit_init(&kit, 1);
    cr_assert_not(core_device(kit.core, &device));
    kit_free(&kit);
    kit_join(&kit, 1, 2);
    cr_assert(core_device(kit.core, &device));
    cr_assert_eq(device.mesh_ip, kit_record(1).mesh_ip);
    cr_assert_eq(device.cidr_ip, 0x0a0d0000u);
    cr_assert_eq(device.cidr_prefix, 16);
    cr_assert(bytes32_equal(&device.wg_pubkey, &kit.identity.wg_pubkey));
    cr_assert_arr_eq(device.mesh_ip6, kit_member(&kit, 1).mesh_ip6, 16);
    cr_assert_arr_eq(device.mesh_ip6, device.cidr6, 6);
    kit_free(&kit);
}

Test(device, is_in_place_when_applied_and_seen)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_DEVICE));
    kit_applied(&kit);
    cr_assert_not(kit_status(&kit).device_in_place);
    cr_assert(kit_has(&kit, CORE_DO_OBSERVE_DEVICE));
    kit_observed(&kit, CORE_NEVER);
    cr_assert(kit_status(&kit).device_in_place);
    kit_free(&kit);
}

Test(device, failed_edits_are_told_and_tried_again)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    kit_step(&kit, &(struct core_event){.type = CORE_EVENT_DEVICE_APPLIED,
                                        .applied = {.failed_edits = 2, .text = "set peer: no memory"}});
    cr_assert_eq(kit_status(&kit).failed_edits, 2);
    cr_assert_str_eq(kit_status(&kit).device_error, "set peer: no memory");
    cr_assert(kit_has(&kit, CORE_DO_OBSERVE_DEVICE), "the other peers are still of interest");
    kit_observed(&kit, CORE_NEVER);
    cr_assert_not(kit_status(&kit).device_in_place);
    cr_assert_str_eq(kit_status(&kit).reason, "set peer: no memory");
    for (int i = 0; i < 10 && !kit_has(&kit, CORE_DO_APPLY_DEVICE); i++)
        kit_deadline(&kit);
    kit_applied(&kit);
    cr_assert_str_eq(kit_status(&kit).device_error, "");
    kit_free(&kit);
}

Test(device, a_failing_device_backs_off)
{
    struct kit kit;
    uint64_t waited = 0;

    kit_join(&kit, 0, 2);
    for (int i = 0; i < 12; i++) {
        uint64_t since = kit.now_ms;
        kit_failed(&kit, CORE_EVENT_DEVICE_FAILED, "netlink: no answer", true);
        cr_assert_str_eq(kit_status(&kit).reason, "netlink: no answer");
        while (!kit_has(&kit, CORE_DO_APPLY_DEVICE)) {
            kit_deadline(&kit);
            cr_assert_not(kit_has(&kit, CORE_DO_OBSERVE_DEVICE));
        }
        waited = kit.now_ms - since;
    }
    cr_assert_geq(waited, 15000);
    cr_assert_leq(waited, 30000);
    kit_free(&kit);
}

Test(device, what_can_not_be_repaired_ends_the_node)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    kit_failed(&kit, CORE_EVENT_DEVICE_FAILED, "the kernel has no WireGuard: load wireguard.ko", false);
    cr_assert(kit_has(&kit, CORE_TELL_EXIT));
    kit_free(&kit);
}

Test(device, an_old_handshake_is_no_connection)
{
    struct kit kit;

    up(&kit);
    cr_assert_eq(kit_member(&kit, 1).handshake_age_s, 1);
    cr_assert_eq(kit_member(&kit, 1).rx_bytes, 10);
    until_observe(&kit);
    kit_observed(&kit, 180);
    cr_assert(tunnels_up(&kit));
    until_observe(&kit);
    kit_observed(&kit, 181);
    cr_assert(kit_told(&kit, CORE_PEER_DOWN, 1));
    cr_assert_not(tunnels_up(&kit));
    cr_assert(strstr(kit_status(&kit).reason, "no recent handshake"), "%s", kit_status(&kit).reason);
    kit_free(&kit);
}

Test(device, a_handshake_before_the_clock_began_is_old)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    kit_applied(&kit);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, true);
    kit_observed(&kit, 1000000000);
    cr_assert_eq(kit_status(&kit).up_peers, 0);
    cr_assert_eq(kit_member(&kit, 1).handshake_age_s, 1000000000);
    kit_free(&kit);
}

Test(device, a_lost_stream_counts_after_15_s)
{
    struct kit kit;
    uint64_t lost;

    up(&kit);
    kit_stream(&kit, CORE_EVENT_STREAM_DOWN, 1, true);
    cr_assert(tunnels_up(&kit));
    for (lost = kit.now_ms; kit.now_ms - lost <= 15000 - 5000;) {
        until_observe(&kit);
        kit_observed(&kit, 5);
        cr_assert(tunnels_up(&kit));
    }
    while (kit.now_ms - lost <= 15000) {
        until_observe(&kit);
        kit_observed(&kit, 5);
    }
    cr_assert_not(tunnels_up(&kit));
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, true);
    cr_assert(tunnels_up(&kit), "the session is still there");
    kit_free(&kit);
}

Test(device, an_adopted_device_needs_a_stream_of_this_process)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    kit_applied(&kit);
    kit_observed(&kit, 20);
    cr_assert_not(tunnels_up(&kit));
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, true);
    cr_assert(tunnels_up(&kit));
    kit_free(&kit);
}

static void add_member(struct kit *kit, uint32_t n)
{
    const struct core_record record = kit_record(n);

    kit_add(kit, &record);
}

/* The changed indexes that the core names, as a set of bits. */
static uint64_t changed_peers(const struct kit *kit)
{
    uint64_t set = 0;
    uint32_t index;

    for (uint32_t cursor = 0; core_next_changed_peer(kit->core, &cursor, &index);)
        set |= UINT64_C(1) << index;
    return set;
}

Test(device, what_another_hand_did_to_it_is_repaired)
{
    struct kit kit;

    up(&kit);
    until_observe(&kit);
    kit_step(&kit, &(struct core_event){.type = CORE_EVENT_DEVICE_OBSERVED, .observed = {.drifted = true}});
    cr_assert(kit_has(&kit, CORE_DO_APPLY_DEVICE), "a whole pass, at once");
    kit_free(&kit);
}

Test(device, a_notification_leads_to_a_whole_pass_within_a_second)
{
    struct kit kit;
    uint64_t since;

    up(&kit);
    kit_tick(&kit, 400);
    kit_event(&kit, CORE_EVENT_DEVICE_DRIFTED);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_DEVICE), "at once when the last pass is a while ago");
    kit_applied(&kit);
    kit_observed(&kit, 1);
    since = kit.now_ms;
    kit_event(&kit, CORE_EVENT_DEVICE_DRIFTED);
    cr_assert_not(kit_has(&kit, CORE_DO_APPLY_DEVICE), "no busy loop with whoever fights for the device");
    while (!kit_has(&kit, CORE_DO_APPLY_DEVICE)) {
        kit_deadline(&kit);
        cr_assert_leq(kit.now_ms - since, 1000);
    }
    kit_free(&kit);
}

Test(device, a_notification_does_not_hurry_a_failing_device)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    for (int i = 0; i < 6; i++) {
        kit_failed(&kit, CORE_EVENT_DEVICE_FAILED, "netlink: no answer", true);
        while (!kit_has(&kit, CORE_DO_APPLY_DEVICE))
            kit_deadline(&kit);
    }
    kit_failed(&kit, CORE_EVENT_DEVICE_FAILED, "netlink: no answer", true);
    kit_event(&kit, CORE_EVENT_DEVICE_DRIFTED);
    kit_tick(&kit, 1000);
    cr_assert_not(kit_has(&kit, CORE_DO_APPLY_DEVICE));
    kit_free(&kit);
}

Test(device, a_new_peer_is_applied_alone)
{
    struct kit kit;

    up(&kit);
    add_member(&kit, 2);
    kit_sync(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_APPLY_DEVICE));
    cr_assert(kit_has(&kit, CORE_DO_APPLY_PEERS));
    cr_assert_eq(changed_peers(&kit), 1u << 2);
    kit_applied(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_OBSERVE_DEVICE), "no dump for one peer");
    kit_free(&kit);
}

Test(device, the_first_stream_to_a_peer_changes_its_routes_and_no_other_does)
{
    struct kit kit;
    struct core_desired_peer peer;

    kit_join(&kit, 0, 2);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    cr_assert(core_desired_peer_at(kit.core, 1, &peer) && !peer.streamed);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, true);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_PEERS));
    cr_assert(core_desired_peer_at(kit.core, 1, &peer) && peer.streamed);
    kit_stream(&kit, CORE_EVENT_STREAM_DOWN, 1, true);
    cr_assert_not(kit_has(&kit, CORE_DO_APPLY_PEERS));
    cr_assert(core_desired_peer_at(kit.core, 1, &peer) && peer.streamed);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, false);
    cr_assert_not(kit_has(&kit, CORE_DO_APPLY_PEERS));
    kit_free(&kit);
}

static bool begun(const struct kit *kit)
{
    struct core_desired_peer peer;
    cr_assert(core_desired_peer_at(kit->core, 1, &peer));
    cr_assert_eq(peer.carried, peer.begun, "with a stream they are the same");
    return peer.begun;
}

/* A node whose device is in place and without handshakes; then a stream to the peer comes up. */
static void stream_up(struct kit *kit, bool dialed)
{
    kit_join(kit, 0, 2);
    kit_applied(kit);
    kit_observed(kit, CORE_NEVER);
    kit_stream(kit, CORE_EVENT_STREAM_UP, 1, dialed);
    kit_applied(kit);
}

Test(device, the_side_that_dialed_begins_the_tunnel)
{
    struct kit kit;

    stream_up(&kit, true);
    cr_assert(begun(&kit));
    kit_free(&kit);
}

Test(device, the_side_that_was_dialed_begins_when_it_hears_of_a_handshake)
{
    struct kit kit;

    stream_up(&kit, false);
    cr_assert_not(begun(&kit));
    kit_tick(&kit, LINKS_BEGIN_MS / 2);
    kit_observed(&kit, 0);
    cr_assert(begun(&kit));
    cr_assert(kit_has(&kit, CORE_DO_APPLY_PEERS), "keepalives are switched on");
    kit_free(&kit);
}

Test(device, the_side_that_was_dialed_begins_when_it_has_waited_long_enough)
{
    struct kit kit;

    stream_up(&kit, false);
    kit_tick(&kit, LINKS_BEGIN_MS / 2);
    kit_observed(&kit, CORE_NEVER);
    cr_assert_not(begun(&kit));
    kit_tick(&kit, LINKS_BEGIN_MS / 2);
    kit_observed(&kit, CORE_NEVER);
    cr_assert(begun(&kit));
    kit_free(&kit);
}

Test(device, a_removed_peer_is_applied_alone)
{
    struct kit kit;
    struct core_desired_peer peer;

    kit_join(&kit, 0, 3);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    kit_remove(&kit, 1);
    kit_sync(&kit);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_PEERS));
    cr_assert_eq(changed_peers(&kit), 1u << 1);
    cr_assert_not(core_desired_peer_at(kit.core, 1, &peer));
    cr_assert(core_desired_peer_at(kit.core, 2, &peer));
    kit_free(&kit);
}

Test(device, a_failed_change_makes_the_next_pass_a_whole_one)
{
    struct kit kit;

    up(&kit);
    add_member(&kit, 2);
    kit_sync(&kit);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_PEERS));
    kit_step(&kit, &(struct core_event){.type = CORE_EVENT_DEVICE_APPLIED,
                                        .applied = {.failed_edits = 1, .text = "set peer: no memory"}});
    while (!kit_has(&kit, CORE_DO_APPLY_DEVICE)) {
        kit_deadline(&kit);
        cr_assert_not(kit_has(&kit, CORE_DO_APPLY_PEERS));
    }
    kit_free(&kit);
}

Test(device, many_changes_make_a_whole_pass)
{
    struct kit kit;

    up(&kit);
    for (uint32_t i = 2; i < 2 + CORE_CHANGES_MAX + 1; i++)
        add_member(&kit, i);
    kit_sync(&kit);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_DEVICE));
    cr_assert_not(kit_has(&kit, CORE_DO_APPLY_PEERS));
    kit_free(&kit);
}

Test(device, foreign_peers_in_a_dump_are_ignored)
{
    struct kit kit;
    struct core_observed_peer peer = {.wg_pubkey = kit_record(99).wg_pubkey, .handshake_age_s = 1};

    up(&kit);
    until_observe(&kit);
    kit_step(&kit, &(struct core_event){.type = CORE_EVENT_DEVICE_OBSERVED,
                                        .observed = {.peers = &peer, .peers_len = 1}});
    cr_assert_eq(kit_member(&kit, 1).handshake_age_s, 1 + 5);
    kit_free(&kit);
}

Test(device, a_pass_comes_round_without_a_cause)
{
    struct kit kit;
    uint64_t start;

    up(&kit);
    for (start = kit.now_ms; !kit_has(&kit, CORE_DO_APPLY_DEVICE);) {
        kit_deadline(&kit);
        if (kit_has(&kit, CORE_DO_READ_STATE))
            kit_state(&kit);
        if (kit_has(&kit, CORE_DO_OBSERVE_DEVICE))
            kit_observed(&kit, 1);
        cr_assert_leq(kit.now_ms - start, 30000);
    }
    kit_free(&kit);
}
