#include "test/unit/core/kit.h"

/* Member ids are in the order of their numbers: node 1 dials member 2, member 0 dials node 1. */
static void join_middle(struct kit *kit)
{
    kit_join(kit, 1, 3);
    kit_applied(kit);
    kit_observed(kit, CORE_NEVER);
}

/* Passes time in small steps until the member is dialed; answers reads and device work on the way. */
static uint64_t until_dialed(struct kit *kit, uint32_t index, uint64_t limit_ms)
{
    uint64_t start = kit->now_ms;

    while (kit->now_ms - start <= limit_ms) {
        kit_tick(kit, 10);
        if (kit_has_index(kit, CORE_DO_DIAL, index))
            return kit->now_ms - start;
    }
    return CORE_NEVER;
}

Test(links, the_lower_id_dials_at_once_the_higher_after_15_s)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    cr_assert(kit_has_index(&kit, CORE_DO_DIAL, 2));
    cr_assert_not(kit_has_index(&kit, CORE_DO_DIAL, 0));
    cr_assert_eq(kit_member(&kit, 2).link, CORE_LINK_DIALING);
    cr_assert_eq(kit_member(&kit, 0).link, CORE_LINK_WAITING);
    cr_assert_eq(kit_member(&kit, 1).link, CORE_LINK_NONE);
    uint64_t waited = until_dialed(&kit, 0, 30000);
    cr_assert_geq(waited, 15000);
    cr_assert_leq(waited, 16100);
    kit_free(&kit);
}

Test(links, an_accepted_stream_ends_the_wait)
{
    struct kit kit;

    join_middle(&kit);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 0, false);
    cr_assert(kit_told(&kit, CORE_PEER_TRANSPORT_CHANGED, 0));
    cr_assert_eq(kit_member(&kit, 0).link, CORE_LINK_UP);
    cr_assert_not(kit_member(&kit, 0).link_dialed);
    cr_assert_eq(until_dialed(&kit, 0, 60000), CORE_NEVER);
    kit_free(&kit);
}

Test(links, a_lost_stream_is_dialed_anew_by_the_lower_id_only)
{
    struct kit kit;

    join_middle(&kit);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 2, true);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 0, false);
    kit.now_ms += 11000;
    kit_stream(&kit, CORE_EVENT_STREAM_DOWN, 0, false);
    kit_stream(&kit, CORE_EVENT_STREAM_DOWN, 2, false);
    cr_assert_str_eq(kit_member(&kit, 2).link_text, "the gateway closed the stream");
    uint64_t waited = until_dialed(&kit, 2, 10000);
    cr_assert_geq(waited, 250);
    cr_assert_leq(waited, 510);
    waited = until_dialed(&kit, 0, 30000);
    cr_assert_geq(waited, 14000);
    kit_free(&kit);
}

Test(links, failing_dials_back_off_to_30_s)
{
    struct kit kit;
    uint64_t waited = 0;

    join_middle(&kit);
    for (int i = 0; i < 12; i++) {
        kit_stream(&kit, CORE_EVENT_DIAL_FAILED, 2, true);
        waited = until_dialed(&kit, 2, 31000);
        cr_assert_neq(waited, CORE_NEVER);
        cr_assert_geq(waited, 250);
        if (i == 0)
            cr_assert_leq(waited, 510);
    }
    cr_assert_geq(waited, 15000);
    cr_assert_eq(kit_member(&kit, 2).link_failures, 12);
    kit_free(&kit);
}

Test(links, a_stream_that_does_not_hold_does_not_clear_the_backoff)
{
    struct kit kit;
    uint64_t waited = 0;

    join_middle(&kit);
    for (int i = 0; i < 10; i++) {
        kit_stream(&kit, CORE_EVENT_STREAM_UP, 2, true);
        kit_stream(&kit, CORE_EVENT_STREAM_DOWN, 2, true);
        waited = until_dialed(&kit, 2, 31000);
    }
    cr_assert_geq(waited, 15000);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 2, true);
    kit.now_ms += 10000;
    kit_stream(&kit, CORE_EVENT_STREAM_DOWN, 2, true);
    cr_assert_leq(until_dialed(&kit, 2, 31000), 510);
    kit_free(&kit);
}

/* Node 0 dials members 1 and 2 until it waits half a minute between its dials. */
static void despair(struct kit *kit)
{
    kit_join(kit, 0, 3);
    kit_applied(kit);
    kit_observed(kit, CORE_NEVER);
    for (int i = 0; i < 10; i++) {
        kit_stream(kit, CORE_EVENT_DIAL_FAILED, 1, true);
        kit_stream(kit, CORE_EVENT_DIAL_FAILED, 2, true);
        for (int both = 0; both != 3;) {
            kit_tick(kit, 10);
            both |= kit_has_index(kit, CORE_DO_DIAL, 1) | kit_has_index(kit, CORE_DO_DIAL, 2) << 1;
        }
    }
    kit_stream(kit, CORE_EVENT_DIAL_FAILED, 1, true);
}

Test(links, the_first_stream_after_none_gives_hope_for_all)
{
    struct kit kit;

    despair(&kit);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 2, true);
    cr_assert_leq(until_dialed(&kit, 1, 30000), 1010);
    kit_free(&kit);
}

Test(links, who_is_heard_again_by_others_is_dialed_soon)
{
    struct kit kit;

    despair(&kit);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 2, true);
    for (int i = 0; i < 10; i++) {
        cr_assert_neq(until_dialed(&kit, 1, 31000), CORE_NEVER);
        kit_stream(&kit, CORE_EVENT_DIAL_FAILED, 1, true);
    }
    kit_heartbeat(&kit, 2, 1, 5);
    cr_assert_eq(until_dialed(&kit, 1, 2000), CORE_NEVER);
    kit_heartbeat(&kit, 2, 2, 7);
    cr_assert_leq(until_dialed(&kit, 1, 30000), 1010);
    kit_free(&kit);
}

/* Our dial was under way when the peer's stream came and went: its failure does not make it our turn. */
Test(links, a_failed_dial_leaves_the_turn_to_the_lower_id)
{
    struct kit kit;

    join_middle(&kit);
    cr_assert_neq(until_dialed(&kit, 0, 30000), CORE_NEVER);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 0, false);
    kit_stream(&kit, CORE_EVENT_STREAM_DOWN, 0, false);
    kit_stream(&kit, CORE_EVENT_DIAL_FAILED, 0, true);
    cr_assert_geq(until_dialed(&kit, 0, 30000), 15000);
    kit_free(&kit);
}

Test(links, never_two_dials_to_one_peer)
{
    struct kit kit;

    join_middle(&kit);
    cr_assert_eq(until_dialed(&kit, 2, 60000), CORE_NEVER, "its first dial is not answered yet");
    kit_free(&kit);
}

Test(links, our_streams_are_renewed_before_the_gateway_ends_them)
{
    struct kit kit;
    const uint64_t hour_ms = 3600 * 1000;

    join_middle(&kit);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 2, true);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 0, false);
    kit.now_ms += 4 * hour_ms - 10 * 60 * 1000 - 1;
    kit_event(&kit, CORE_EVENT_TICK);
    cr_assert_not(kit_has(&kit, CORE_DO_DIAL));
    kit.now_ms += 10 * 60 * 1000 + 1;
    kit_event(&kit, CORE_EVENT_TICK);
    cr_assert(kit_has_index(&kit, CORE_DO_DIAL, 2));
    cr_assert_not(kit_has_index(&kit, CORE_DO_DIAL, 0), "whose dial it was renews it");
    cr_assert_eq(kit_member(&kit, 2).link, CORE_LINK_UP, "the old stream serves meanwhile");
    kit_stream(&kit, CORE_EVENT_DIAL_FAILED, 2, true);
    cr_assert_eq(kit_member(&kit, 2).link, CORE_LINK_UP);
    cr_assert_neq(until_dialed(&kit, 2, 1000), CORE_NEVER);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 2, true);
    cr_assert_not(kit_told(&kit, CORE_PEER_TRANSPORT_CHANGED, 2));
    kit_free(&kit);
}

static uint32_t dialing(const struct kit *kit)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < kit_status(kit).members; i++)
        count += kit_member(kit, i).link == CORE_LINK_DIALING;
    return count;
}

Test(links, dials_in_flight_are_bounded)
{
    struct kit kit;

    kit_join(&kit, 0, 200);
    cr_assert_eq(dialing(&kit), CORE_DIALS_MAX);
    kit_tick(&kit, 0);
    cr_assert_eq(kit_count(&kit, CORE_DO_DIAL), 0);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, true);
    cr_assert_eq(kit_count(&kit, CORE_DO_DIAL), 1, "one ends, one begins");
    kit_stream(&kit, CORE_EVENT_DIAL_FAILED, 2, true);
    cr_assert_eq(kit_count(&kit, CORE_DO_DIAL), 1);
    kit_remove(&kit, 3);
    kit_sync(&kit);
    cr_assert_eq(dialing(&kit), CORE_DIALS_MAX, "a removed member's dial makes room too");
    kit_free(&kit);
}

Test(links, without_a_gateway_nothing_is_dialed)
{
    struct kit kit;

    kit_init(&kit, 0);
    core_free(kit.core);
    kit.core = core_new(&(struct core_config){.seed = 1, .can_dial = false});
    kit_event(&kit, CORE_EVENT_STARTED);
    for (uint32_t n = 0; n < 2; n++) {
        struct core_record record = kit_record(n);
        kit_add(&kit, &record);
    }
    kit_identity_ready(&kit);
    kit_self_present(&kit, &kit.rows[0], 0);
    kit_sync(&kit);
    cr_assert_eq(until_dialed(&kit, 1, 60000), CORE_NEVER);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    cr_assert(strstr(kit_status(&kit).reason, "GATEWAY_DOMAIN"), "%s", kit_status(&kit).reason);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, false);
    cr_assert_eq(kit_member(&kit, 1).link, CORE_LINK_UP);
    kit_free(&kit);
}
