#include "test/unit/core/kit.h"

Test(registry, an_unchanged_version_reads_no_page)
{
    struct kit kit;

    kit_join(&kit, 0, 3);
    kit_poll(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_PAGE));
    cr_assert_eq(kit_status(&kit).block, kit.state.block);
    cr_assert_eq(kit_status(&kit).version, 3);
    kit_free(&kit);
}

Test(registry, polls_every_three_seconds_with_jitter)
{
    struct kit kit;

    kit_join(&kit, 0, 1);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    uint64_t since = kit.now_ms;
    for (int i = 0; i < 100 && !kit_has(&kit, CORE_DO_READ_STATE); i++)
        kit_deadline(&kit);
    cr_assert_geq(kit.now_ms - since, 2700);
    cr_assert_leq(kit.now_ms - since, 3000);
    kit_free(&kit);
}

Test(registry, pages_are_bounded_and_pinned_to_the_block_of_the_state)
{
    struct kit kit;
    struct core_record self = kit_record(0);

    kit_init(&kit, 0);
    for (uint32_t n = 0; n < 120; n++) {
        struct core_record record = kit_record(n);
        kit_add(&kit, &record);
    }
    kit_identity_ready(&kit);
    kit_self_present(&kit, &self, 0);
    kit_state(&kit);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 0);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.limit, 50);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.block, kit.state.block);
    kit_page(&kit);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 50);
    kit_page(&kit);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 100);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.limit, 20);
    cr_assert_not(kit_has(&kit, CORE_DO_APPLY_DEVICE), "one pass when the table is whole");
    kit_page(&kit);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_DEVICE));
    cr_assert_eq(kit_status(&kit).peers, 119);
    kit_free(&kit);
}

Test(registry, a_lagging_rpc_is_not_believed_for_a_minute)
{
    struct kit kit;
    struct core_chain_state fresh;

    kit_join(&kit, 0, 3);
    fresh = kit.state;
    kit.state = (struct core_chain_state){
        .version = 1, .members = 1, .cidr_ip = fresh.cidr_ip, .cidr_prefix = fresh.cidr_prefix};
    kit.block = 50;
    kit_poll(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_PAGE));
    cr_assert_eq(kit_status(&kit).peers, 2);
    cr_assert(strstr(kit_status(&kit).chain_error, "lags"), "%s", kit_status(&kit).chain_error);
    kit.now_ms += 61000;
    kit_event(&kit, CORE_EVENT_TICK);
    kit_poll(&kit);
    cr_assert(kit_has(&kit, CORE_DO_READ_PAGE), "a chain that stays shorter was reorganised");
    kit_free(&kit);
}

Test(registry, a_failed_read_is_told_and_repeated)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    for (int i = 0; i < 100 && !kit_has(&kit, CORE_DO_READ_STATE); i++)
        kit_deadline(&kit);
    kit_read_failed(&kit, CORE_READ_STATE);
    cr_assert_str_eq(kit_status(&kit).chain_error, "eth_call: refused");
    kit_poll(&kit);
    cr_assert_str_eq(kit_status(&kit).chain_error, "");
    kit_free(&kit);
}

static void assert_state_refused(struct core_chain_state state)
{
    struct kit kit;

    kit_join(&kit, 0, 2);
    state.block = kit.block;
    for (int i = 0; i < 100 && !kit_has(&kit, CORE_DO_READ_STATE); i++)
        kit_deadline(&kit);
    kit_step(&kit, &(struct core_event){.type = CORE_EVENT_CHAIN_STATE, .chain = state});
    cr_assert_not(kit_has(&kit, CORE_DO_READ_PAGE));
    cr_assert_str_neq(kit_status(&kit).chain_error, "");
    kit_free(&kit);
}

Test(registry, a_senseless_state_is_refused)
{
    const struct core_chain_state sane = {
        .version = 9, .members = 3, .cidr_ip = 0x0a0d0000u, .cidr_prefix = 16};
    struct core_chain_state state = sane;

    state.cidr_prefix = 7;
    assert_state_refused(state);
    state.cidr_prefix = 30;
    assert_state_refused(state);
    state = sane;
    state.removed = 4;
    assert_state_refused(state);
    state = sane;
    state.members = 10;
    assert_state_refused(state);
    state = sane;
    state.inbox_head.b[0] = 1;
    assert_state_refused(state);
    state = sane;
    state.inbox_count = 1;
    assert_state_refused(state);
}

Test(registry, a_page_of_another_state_is_refused)
{
    struct kit kit;
    struct core_record record = kit_record(2);
    struct core_event event = {.type = CORE_EVENT_MEMBERS_PAGE,
                               .page = {.total = 4, .records = &record, .records_len = 1}};

    kit_join(&kit, 0, 2);
    kit_touch(&kit);
    kit_poll(&kit);
    kit_changes(&kit);
    kit_step(&kit, &event);
    cr_assert_str_neq(kit_status(&kit).chain_error, "");
    cr_assert_eq(kit_status(&kit).members, 2);
    kit_step(&kit, &event);
    cr_assert_eq(kit_status(&kit).members, 2, "nothing is in flight any more");
    kit_free(&kit);
}

Test(registry, a_read_that_broke_off_is_not_built_upon)
{
    struct kit kit;

    kit_join(&kit, 0, 120);
    const struct core_chain_state before = kit.state;
    kit.rows[7].removed = true;
    kit.state.removed = 1;
    kit_touch(&kit);
    kit_poll(&kit);
    kit_changes(&kit);
    kit_page(&kit);
    cr_assert_eq(kit_status(&kit).live_members, 119);
    kit_read_failed(&kit, CORE_READ_PAGE);
    kit.rows[7].removed = false; /* a reorg takes the removal back: version and head are as before */
    kit.state = before;
    kit_poll(&kit);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 0);
    kit_read_all(&kit);
    cr_assert_eq(kit_status(&kit).live_members, 120);
    kit_free(&kit);
}

static void tell(struct kit *kit, bool caught_up, bool wake)
{
    kit_step(kit, &(struct core_event){.type = CORE_EVENT_INDEXER,
                                       .indexer = {.caught_up = caught_up, .wake = wake}});
}

static void tell_and_answer(struct kit *kit, bool caught_up, bool wake)
{
    tell(kit, caught_up, wake);
    if (kit_has(kit, CORE_DO_READ_STATE))
        kit_state(kit);
    kit_read_all(kit);
}

/* Polls in so much time, with every other wish of the core fulfilled. */
static unsigned polls_within(struct kit *kit, uint64_t duration_ms)
{
    const uint64_t until_ms = kit->now_ms + duration_ms;
    unsigned polls = 0;

    while (core_deadline(kit->core) <= until_ms) {
        kit_deadline(kit);
        if (kit_has(kit, CORE_TELL_WITHHELD))
            break;
        const bool reading = kit_has(kit, CORE_DO_READ_STATE);
        if (kit_has(kit, CORE_DO_OBSERVE_DEVICE))
            kit_observed(kit, 1);
        if (kit_has(kit, CORE_DO_APPLY_DEVICE))
            kit_applied(kit);
        if (reading) {
            polls++;
            kit_state(kit);
        }
        kit_read_all(kit);
    }
    kit->now_ms = until_ms;
    return polls;
}

/* A node whose indexer is caught up, some time after the poll that a session begins with. */
static void subscribe(struct kit *kit)
{
    kit_join(kit, 0, 1);
    kit_applied(kit);
    kit_observed(kit, CORE_NEVER);
    tell_and_answer(kit, true, false);
    polls_within(kit, 10000);
}

Test(registry, a_quiet_node_with_an_indexer_polls_at_most_forty_times_an_hour)
{
    struct kit kit;

    subscribe(&kit);
    const unsigned polls = polls_within(&kit, 3600 * 1000);
    cr_assert(polls >= 25 && polls <= 40, "%u", polls);
    tell(&kit, false, false);
    cr_assert_geq(polls_within(&kit, 60 * 1000), 18);
    kit_free(&kit);
}

Test(registry, a_push_is_followed_by_a_poll_at_once_and_by_more_until_our_rpc_shows_it)
{
    struct kit kit;

    subscribe(&kit);
    tell(&kit, true, true);
    cr_assert(kit_has(&kit, CORE_DO_READ_STATE));
    kit_state(&kit);
    cr_assert_geq(polls_within(&kit, 9000), 2, "the push may be ahead of our RPC");
    kit_touch(&kit);
    polls_within(&kit, 3000);
    cr_assert_eq(kit_status(&kit).version, kit.state.version);
    cr_assert_eq(polls_within(&kit, 60000), 0);
    kit_free(&kit);
}

static void get_mail(struct kit *kit)
{
    kit->state.inbox_count++;
    kit->state.inbox_head.b[0]++;
}

Test(registry, an_indexer_that_withholds_a_change_is_found_out_within_a_poll)
{
    struct kit kit;

    subscribe(&kit);
    kit_touch(&kit);
    polls_within(&kit, 150 * 1000);
    cr_assert(kit_has(&kit, CORE_TELL_WITHHELD));
    cr_assert_eq(kit_status(&kit).version, kit.state.version);
    kit_free(&kit);
}

Test(registry, an_indexer_that_withholds_a_message_is_found_out_within_a_poll)
{
    struct kit kit;

    subscribe(&kit);
    get_mail(&kit);
    polls_within(&kit, 150 * 1000);
    cr_assert(kit_has(&kit, CORE_TELL_WITHHELD));
    kit_free(&kit);

    subscribe(&kit);
    get_mail(&kit);
    tell_and_answer(&kit, true, true);
    polls_within(&kit, 150 * 1000);
    cr_assert_not(kit_has(&kit, CORE_TELL_WITHHELD), "it told");
    kit_free(&kit);
}

/* Polls until the change is found and taken in. */
static void find_change(struct kit *kit)
{
    const uint64_t version = kit->state.version;

    while (kit_status(kit).version != version)
        polls_within(kit, 1000);
}

Test(registry, a_new_session_does_not_excuse_what_the_last_one_withheld)
{
    struct kit kit;

    subscribe(&kit);
    kit_touch(&kit);
    find_change(&kit);
    tell_and_answer(&kit, false, false);
    polls_within(&kit, 60 * 1000);
    cr_assert_not(kit_has(&kit, CORE_TELL_WITHHELD), "without a session it can not tell");
    tell_and_answer(&kit, true, false);
    polls_within(&kit, 30 * 1000);
    cr_assert(kit_has(&kit, CORE_TELL_WITHHELD));
    kit_free(&kit);
}

Test(registry, a_session_that_begins_with_what_the_last_one_owed_is_no_offence)
{
    struct kit kit;

    subscribe(&kit);
    kit_touch(&kit);
    find_change(&kit);
    tell_and_answer(&kit, false, false);
    tell_and_answer(&kit, false, true);
    tell_and_answer(&kit, true, false);
    polls_within(&kit, 60 * 1000);
    cr_assert_not(kit_has(&kit, CORE_TELL_WITHHELD));
    kit_free(&kit);
}

Test(registry, what_was_owed_long_ago_is_forgiven)
{
    struct kit kit;

    subscribe(&kit);
    kit_touch(&kit);
    find_change(&kit);
    tell_and_answer(&kit, false, false);
    polls_within(&kit, 700 * 1000);
    tell_and_answer(&kit, true, false);
    polls_within(&kit, 60 * 1000);
    cr_assert_not(kit_has(&kit, CORE_TELL_WITHHELD));
    kit_free(&kit);
}

/* A change that is told, but can not be read at once, is found by the next poll a second time. */
Test(registry, a_read_that_fails_after_a_push_does_not_accuse_the_indexer)
{
    struct kit kit;

    subscribe(&kit);
    kit_touch(&kit);
    tell(&kit, true, true);
    kit_state(&kit);
    kit_changes(&kit);
    kit_read_failed(&kit, CORE_READ_PAGE);
    polls_within(&kit, 60 * 1000);
    cr_assert_not(kit_has(&kit, CORE_TELL_WITHHELD));
    cr_assert_eq(kit_status(&kit).version, kit.state.version);
    kit_free(&kit);
}

Test(registry, a_push_that_comes_a_little_after_the_poll_is_no_offence)
{
    struct kit kit;

    subscribe(&kit);
    kit_touch(&kit);
    for (int i = 0; i < 100 && !kit_has(&kit, CORE_DO_READ_CHANGES); i++) {
        kit_deadline(&kit);
        if (kit_has(&kit, CORE_DO_OBSERVE_DEVICE))
            kit_observed(&kit, 1);
        if (kit_has(&kit, CORE_DO_READ_STATE))
            kit_state(&kit);
    }
    kit_read_all(&kit);
    tell(&kit, true, true);
    cr_assert(kit_has(&kit, CORE_DO_READ_STATE));
    kit_state(&kit);
    polls_within(&kit, 60 * 1000);
    cr_assert_not(kit_has(&kit, CORE_TELL_WITHHELD));
    kit_free(&kit);
}
