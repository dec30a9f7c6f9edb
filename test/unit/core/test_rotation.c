#include "test/unit/core/kit.h"

/* Node 0 of three, its device in place, that was asked for another key. */
static void to_publication(struct kit *kit)
{
    kit_join(kit, 0, 3);
    while (!kit_status(kit).device_in_place) {
        if (kit_has(kit, CORE_DO_APPLY_DEVICE))
            kit_applied(kit);
        else if (kit_has(kit, CORE_DO_OBSERVE_DEVICE))
            kit_observed(kit, 1);
        else
            kit_deadline(kit);
    }
    kit_event(kit, CORE_EVENT_ROTATE_WG_KEY);
}

/* Goes to the deadline; whether it asks for our record then. */
static bool pass(struct kit *kit)
{
    kit_deadline(kit);
    bool asks = kit_has(kit, CORE_DO_READ_SELF);
    if (kit_has(kit, CORE_DO_OBSERVE_DEVICE))
        kit_observed(kit, 1);
    return asks;
}

static struct bytes32 next_key(void)
{
    return (struct bytes32){{0x9e, 1}};
}

static void publish(struct kit *kit, uint32_t index)
{
    kit->rows[index].wg_pubkey = next_key();
    kit_touch(kit);
}

Test(rotation, publishes_the_next_generation_and_waits_for_the_chain)
{
    struct kit kit;

    to_publication(&kit);
    cr_assert(kit_has(&kit, CORE_DO_PUBLISH_WG_KEY));
    cr_assert_eq(kit.actions[0].wg_generation, 1);
    cr_assert_eq(kit_status(&kit).rotation, CORE_ROTATION_PUBLISHING);
    kit_event(&kit, CORE_EVENT_WG_KEY_PUBLISHED);
    cr_assert(kit_has(&kit, CORE_DO_READ_STATE), "the chain is asked at once");
    cr_assert_eq(kit_status(&kit).rotation, CORE_ROTATION_SWITCHING);
    kit_free(&kit);
}

Test(rotation, tells_the_peers_before_the_device_changes_over)
{
    struct kit kit;
    bool told = false;

    to_publication(&kit);
    publish(&kit, 0);
    kit_event(&kit, CORE_EVENT_WG_KEY_PUBLISHED);
    kit_sync(&kit);
    uint64_t seen_ms = kit.now_ms;
    do {
        cr_assert_not(kit_has(&kit, CORE_DO_APPLY_DEVICE), "the device keeps its key");
        told |= kit_has(&kit, CORE_DO_SEND_HEARTBEAT);
    } while (!pass(&kit));
    cr_assert(told);
    cr_assert_eq(kit.now_ms - seen_ms, 1000);
    kit_self_present(&kit, &kit.rows[0], 1);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_DEVICE));
    cr_assert_eq(kit_status(&kit).rotation, CORE_ROTATION_SWITCHING);
    kit_applied(&kit);
    cr_assert_eq(kit_status(&kit).rotation, CORE_ROTATION_DONE);
    cr_assert_eq(kit_status(&kit).wg_generation, 1);
    struct core_device device;
    struct bytes32 key = next_key();
    cr_assert(core_device(kit.core, &device));
    cr_assert(bytes32_equal(&device.wg_pubkey, &key));
    while (!kit_has(&kit, CORE_DO_SEND_HEARTBEAT))
        kit_deadline(&kit);
    cr_assert_leq(kit.now_ms - seen_ms, 1250, "packets for the new handshakes follow the switch");
    kit_free(&kit);
}

Test(rotation, that_was_refused_says_why_and_may_be_asked_for_again)
{
    struct kit kit;

    to_publication(&kit);
    kit_failed(&kit, CORE_EVENT_WG_KEY_FAILED, "sponsor: selector_not_allowed", true);
    cr_assert_eq(kit_status(&kit).rotation, CORE_ROTATION_FAILED);
    cr_assert_str_eq(kit_status(&kit).rotation_error, "sponsor: selector_not_allowed");
    kit_tick(&kit, 60000);
    cr_assert_not(kit_has(&kit, CORE_DO_PUBLISH_WG_KEY), "only when it is asked for");
    kit_event(&kit, CORE_EVENT_ROTATE_WG_KEY);
    cr_assert(kit_has(&kit, CORE_DO_PUBLISH_WG_KEY));
    cr_assert_eq(kit_status(&kit).rotation_generation, 1);
    kit_free(&kit);
}

Test(rotation, passes_over_a_key_that_is_taken)
{
    struct kit kit;

    to_publication(&kit);
    kit_failed(&kit, CORE_EVENT_WG_KEY_FAILED, "WgKeyTaken", false);
    kit_tick(&kit, 60000);
    kit_event(&kit, CORE_EVENT_ROTATE_WG_KEY);
    cr_assert_eq(kit_status(&kit).rotation_generation, 2);
    kit_free(&kit);
}

Test(rotation, whose_receipt_was_lost_is_taken_from_the_chain)
{
    struct kit kit;

    to_publication(&kit);
    publish(&kit, 0);
    kit_failed(&kit, CORE_EVENT_WG_KEY_FAILED, "the bundler does not answer", true);
    kit_sync(&kit);
    while (!pass(&kit))
        ;
    kit_self_present(&kit, &kit.rows[0], 1);
    kit_applied(&kit);
    cr_assert_eq(kit_status(&kit).rotation, CORE_ROTATION_DONE);
    kit_free(&kit);
}

Test(rotation, that_a_reorg_took_back_has_failed_after_a_while)
{
    struct kit kit;

    to_publication(&kit);
    kit_event(&kit, CORE_EVENT_WG_KEY_PUBLISHED);
    kit_sync(&kit);
    cr_assert_eq(kit_status(&kit).rotation, CORE_ROTATION_SWITCHING);
    kit.now_ms += 120000;
    kit_event(&kit, CORE_EVENT_TICK);
    cr_assert_eq(kit_status(&kit).rotation, CORE_ROTATION_FAILED);
    cr_assert_neq(kit_status(&kit).rotation_error[0], '\0');
    kit_free(&kit);
}

Test(rotation, is_not_asked_for_twice_nor_before_registration)
{
    struct kit kit;

    to_publication(&kit);
    kit_event(&kit, CORE_EVENT_ROTATE_WG_KEY);
    cr_assert_eq(kit.actions_len, 0);
    kit_free(&kit);
    kit_init(&kit, 0);
    kit_event(&kit, CORE_EVENT_ROTATE_WG_KEY);
    cr_assert_eq(kit_status(&kit).rotation, CORE_ROTATION_NONE);
    kit_free(&kit);
}

Test(rotation, of_a_peer_makes_its_old_handshake_void)
{
    struct kit kit;

    to_publication(&kit);
    publish(&kit, 1);
    kit_event(&kit, CORE_EVENT_WG_KEY_PUBLISHED);
    kit_sync(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_KEY_ROTATED, 1));
    cr_assert_eq(kit_member(&kit, 1).handshake_age_s, CORE_NEVER);
    kit_free(&kit);
}
