#include "test/unit/core/kit.h"

#define SELF 1
#define ISSUED(number) ((1700000000u + SELF) * UINT64_C(1000) + (number))

/* Member SELF of `len`, with the shared key, asked what it has sent. */
static void to_read(struct kit *kit, uint32_t len)
{
    kit_envelope_members_max = 32;
    kit_endpoint = 1;
    kit_join(kit, SELF, len);
    kit_tick(kit, 30000);
    cr_assert(kit_has(kit, CORE_DO_READ_SENT));
    cr_assert(kit_has(kit, CORE_DO_READ_STATE));
    kit_state(kit);
}

/* The chain has this many endpoints of ours to a member, the last of them being the present one. */
static void give_sent(struct kit *kit, uint32_t member, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        const struct bytes32 recipient = kit_record(member).member_id;
        const struct core_sent sent = {.recipient = recipient,
                                       .envelope_id = kit_envelope_id(NULL, &recipient, ISSUED(n))};
        kit_step(kit,
                 &(struct core_event){.type = CORE_EVENT_SENT_ENVELOPES, .sent = {.items = &sent, .len = 1}});
    }
}

/* All was given: of the blocks that stay, then of the others. */
static void sent_read(struct kit *kit)
{
    kit_event(kit, CORE_EVENT_SENT_READ);
    cr_assert(kit_has(kit, CORE_DO_READ_SENT));
    kit_event(kit, CORE_EVENT_SENT_READ);
}

/* The chain goes on until nothing that it has by now can be undone any more. */
static void bury(struct kit *kit)
{
    kit->block += CORE_PROVISIONAL_BLOCKS;
    kit_state(kit); /* if that was asked already */
    if (!kit_has(kit, CORE_DO_READ_SENT))
        kit_poll(kit);
}

/* Whom an envelope goes to; CORE_NO_INDEX: nobody. */
static uint32_t recipient(const struct kit *kit, uint64_t issued_ms)
{
    for (size_t i = 0; i < kit->actions_len; i++)
        if (kit->actions[i].type == CORE_DO_SEND_ENVELOPE) {
            cr_assert_eq(kit->actions[i].envelope.issued_ms, issued_ms);
            return kit->actions[i].envelope.index;
        }
    return CORE_NO_INDEX;
}

Test(announce, every_other_member_is_told_once)
{
    struct kit kit;

    to_read(&kit, 4);
    sent_read(&kit);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 0);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 2);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 3);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    cr_assert_eq(recipient(&kit, 0), CORE_NO_INDEX);
    kit_tick(&kit, 3600000);
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_ENVELOPE));
    kit_free(&kit);
}

Test(announce, what_the_chain_has_is_not_sent_again)
{
    struct kit kit;

    to_read(&kit, 4);
    give_sent(&kit, 0, 1);
    give_sent(&kit, 2, 3);
    sent_read(&kit);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 3);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    cr_assert_eq(recipient(&kit, 0), CORE_NO_INDEX);
    kit_free(&kit);
}

Test(announce, another_endpoint_is_told_with_the_next_time_also_one_that_was_told_before)
{
    struct kit kit;
    const struct bytes32 bob = kit_record(0).member_id;
    struct core_sent sent[2] = {{.recipient = bob}, {.recipient = bob}};

    to_read(&kit, 2);
    sent[0].envelope_id = kit_envelope_id(NULL, &bob, ISSUED(0));
    kit_endpoint = 2;
    sent[1].envelope_id = kit_envelope_id(NULL, &bob, ISSUED(1));
    kit_endpoint = 1;
    kit_step(&kit,
             &(struct core_event){.type = CORE_EVENT_SENT_ENVELOPES, .sent = {.items = sent, .len = 2}});
    sent_read(&kit);
    cr_assert_eq(recipient(&kit, ISSUED(2)), 0);
    kit_free(&kit);
}

Test(announce, a_send_whose_answer_is_lost_is_repeated_as_it_was_and_later)
{
    struct kit kit;

    to_read(&kit, 2);
    sent_read(&kit);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 0);
    kit_event(&kit, CORE_EVENT_ENVELOPE_FAILED);
    cr_assert_eq(recipient(&kit, 0), CORE_NO_INDEX);
    kit_tick(&kit, 10000);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 0);
    kit_free(&kit);
}

Test(announce, a_receipt_that_comes_after_our_own_record_went_is_looked_up_later)
{
    struct kit kit;
    const struct core_record other = kit_record(0);

    to_read(&kit, 4);
    sent_read(&kit);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 0);
    kit.state = (struct core_chain_state){.cidr_ip = 0x0a0d0000u, .cidr_prefix = 16};
    kit.news_len = 0;
    kit_add(&kit, &other);
    kit_sync(&kit);
    cr_assert_eq(kit_status(&kit).index, CORE_NO_INDEX);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_ENVELOPE));
    kit_free(&kit);
}

Test(announce, one_that_fails_lets_the_others_go_first)
{
    struct kit kit;

    to_read(&kit, 3);
    sent_read(&kit);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 0);
    kit_event(&kit, CORE_EVENT_ENVELOPE_FAILED);
    kit_tick(&kit, 2000);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 2);
    kit_free(&kit);
}

Test(announce, a_member_that_joins_is_told_and_a_removed_one_is_not)
{
    struct kit kit;

    to_read(&kit, 2);
    give_sent(&kit, 0, 1);
    sent_read(&kit);
    cr_assert_eq(recipient(&kit, 0), CORE_NO_INDEX);
    const struct core_record newcomer = kit_record(2);
    kit_add(&kit, &newcomer);
    kit_sync(&kit);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 2);
    kit_event(&kit, CORE_EVENT_ENVELOPE_FAILED);
    kit_remove(&kit, 2);
    kit_sync(&kit);
    kit_tick(&kit, 3600000);
    cr_assert_eq(recipient(&kit, 0), CORE_NO_INDEX);
    kit_free(&kit);
}

Test(announce, nothing_is_sent_in_a_cluster_that_is_too_large)
{
    struct kit kit;

    kit_envelope_members_max = 3;
    kit_join(&kit, SELF, 4);
    kit_tick(&kit, 60000);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_SENT));
    kit_free(&kit);
}

Test(announce, a_failed_read_sends_nothing_and_is_repeated)
{
    struct kit kit;

    to_read(&kit, 3);
    kit_read_failed(&kit, CORE_READ_SENT);
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_ENVELOPE));
    kit_tick(&kit, 2000);
    cr_assert(kit_has(&kit, CORE_DO_READ_SENT));
    kit_free(&kit);
}

Test(announce, a_commitment_to_the_shared_key_goes_first)
{
    struct kit kit;

    kit_envelope_members_max = 32;
    kit_join(&kit, 0, 3);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_SENT));
    kit_derived(&kit);
    cr_assert(kit_has(&kit, CORE_DO_COMMIT_CSK));
    kit_event(&kit, CORE_EVENT_CSK_COMMITTED);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_SENT));
    kit_commit(&kit);
    kit_sync(&kit);
    cr_assert(kit_has(&kit, CORE_DO_READ_SENT));
    kit_free(&kit);
}

/* How long it takes until an envelope goes out, which must come. */
static uint64_t wait_for_envelope(struct kit *kit)
{
    const uint64_t start_ms = kit->now_ms;

    while (!kit_has(kit, CORE_DO_SEND_ENVELOPE)) {
        if (kit_has(kit, CORE_DO_READ_STATE))
            kit_state(kit);
        else
            kit_tick(kit, 1000);
        cr_assert_lt(kit->now_ms, start_ms + 3600000);
    }
    return kit->now_ms - start_ms;
}

Test(announce, what_was_sent_is_read_again_once_it_can_not_be_undone_and_then_no_more)
{
    struct kit kit;

    to_read(&kit, 2);
    sent_read(&kit);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_SENT));
    const uint64_t before = kit.state.block - CORE_PROVISIONAL_BLOCKS;
    bury(&kit);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_SENT)->blocks.from, before);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_SENT)->blocks.to, kit.state.block - CORE_PROVISIONAL_BLOCKS);
    give_sent(&kit, 0, 1);
    sent_read(&kit);
    cr_assert_eq(recipient(&kit, 0), CORE_NO_INDEX);
    bury(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_SENT));
    kit_free(&kit);
}

Test(announce, what_a_reorganisation_undid_is_sent_again_as_it_was)
{
    struct kit kit;

    to_read(&kit, 3);
    sent_read(&kit);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    bury(&kit);
    give_sent(&kit, 0, 1);
    sent_read(&kit);
    wait_for_envelope(&kit);
    cr_assert_eq(recipient(&kit, ISSUED(0)), 2);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    cr_assert_eq(recipient(&kit, 0), CORE_NO_INDEX);
    kit_free(&kit);
}

Test(announce, what_a_reorganisation_moved_is_not_sent_again)
{
    struct kit kit;

    to_read(&kit, 2);
    sent_read(&kit);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    bury(&kit);
    kit_event(&kit, CORE_EVENT_SENT_READ);
    give_sent(&kit, 0, 1);
    kit_event(&kit, CORE_EVENT_SENT_READ);
    cr_assert_eq(recipient(&kit, 0), CORE_NO_INDEX);
    bury(&kit);
    cr_assert(kit_has(&kit, CORE_DO_READ_SENT));
    kit_free(&kit);
}

Test(announce, what_is_missing_again_and_again_is_sent_ever_more_rarely)
{
    struct kit kit;
    uint64_t waited_ms = 0;

    to_read(&kit, 2);
    sent_read(&kit);
    for (int i = 0; i < 12; i++) {
        kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
        bury(&kit);
        sent_read(&kit);
        waited_ms = wait_for_envelope(&kit);
    }
    cr_assert_gt(waited_ms, 300000);
    kit_free(&kit);
}

Test(announce, as_long_as_one_may_be_undone_the_newest_block_is_asked_for)
{
    struct kit kit;

    to_read(&kit, 2);
    sent_read(&kit);
    kit_event(&kit, CORE_EVENT_ENVELOPE_SENT);
    while (!kit_has(&kit, CORE_DO_READ_STATE))
        kit_tick(&kit, 1000);
    cr_assert(kit_action(&kit, CORE_DO_READ_STATE)->anew);
    bury(&kit);
    give_sent(&kit, 0, 1);
    sent_read(&kit);
    while (!kit_has(&kit, CORE_DO_READ_STATE))
        kit_tick(&kit, 1000);
    cr_assert_not(kit_action(&kit, CORE_DO_READ_STATE)->anew);
    kit_free(&kit);
}
