#include "crypto/keccak.h"
#include "test/unit/core/kit.h"
#include "test/unit/vectors.h"

static struct core_inbox_message message(uint32_t n)
{
    struct core_inbox_message m = {.sender = {{1}}, .envelope_id = {{2}}, .ciphertext_hash = {{3}}};

    be32_write(m.ciphertext_hash.b, n);
    return m;
}

/* The chain has one more message, which is not read yet. */
static void send(struct kit *kit, uint32_t n)
{
    struct core_inbox inbox = {.count = kit->state.inbox_count, .head = kit->state.inbox_head};
    const struct core_inbox_message m = message(n);

    core_inbox_extend(&inbox, &m);
    kit->state.inbox_count = inbox.count;
    kit->state.inbox_head = inbox.head;
}

/* The state is read, and asks for logs. Returns where from. */
static uint64_t sync_inbox(struct kit *kit)
{
    kit_sync(kit);
    for (size_t i = 0; i < kit->actions_len; i++)
        if (kit->actions[i].type == CORE_DO_READ_INBOX) {
            cr_assert_eq(kit->actions[i].blocks.to, kit->state.block);
            return kit->actions[i].blocks.from;
        }
    cr_assert_fail("the inbox is not read");
    return 0;
}

static void give(struct kit *kit, uint32_t first, uint32_t len)
{
    for (uint32_t n = first; n < first + len; n++) {
        const struct core_inbox_message m = message(n);
        kit_step(kit,
                 &(struct core_event){.type = CORE_EVENT_INBOX_MESSAGES, .inbox = {.items = &m, .len = 1}});
    }
    kit_event(kit, CORE_EVENT_INBOX_READ);
}

static uint64_t known(const struct kit *kit)
{
    struct core_inbox inbox;

    return core_inbox(kit->core, &inbox) ? inbox.count : UINT64_MAX;
}

Test(inbox, an_empty_one_is_known_without_reading_logs)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    cr_assert(kit_has(&kit, CORE_TELL_INBOX));
    cr_assert_not(kit_has(&kit, CORE_DO_READ_INBOX));
    cr_assert_eq(known(&kit), 0);
    kit_free(&kit);
}

Test(inbox, new_messages_are_read_behind_what_is_known_and_told)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    const uint64_t first = kit.state.block;
    send(&kit, 1);
    send(&kit, 2);
    cr_assert_eq(sync_inbox(&kit), first + 1);
    give(&kit, 1, 2);
    cr_assert(kit_has(&kit, CORE_TELL_INBOX));
    cr_assert_eq(known(&kit), 2);
    kit_sync(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_INBOX), "nothing is new");
    kit_free(&kit);
}

Test(inbox, a_node_that_starts_reads_all_since_its_registration)
{
    struct kit kit;

    kit_init(&kit, 0);
    const struct core_record self = kit_record(0);
    kit_add(&kit, &self);
    send(&kit, 1);
    kit_identity_ready(&kit);
    kit_self_present(&kit, &self, 0);
    cr_assert_eq(sync_inbox(&kit), 0);
    cr_assert_eq(known(&kit), UINT64_MAX);
    give(&kit, 1, 1);
    cr_assert_eq(known(&kit), 1);
    kit_free(&kit);
}

Test(inbox, a_message_that_the_rpc_leaves_out_is_missed_and_looked_for_further_back)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    send(&kit, 1);
    send(&kit, 2);
    sync_inbox(&kit);
    give(&kit, 2, 1);
    cr_assert_not(kit_has(&kit, CORE_TELL_INBOX));
    cr_assert(kit_has(&kit, CORE_DO_READ_INBOX), "it is read again at once");
    give(&kit, 1, 2);
    cr_assert(kit_has(&kit, CORE_TELL_INBOX));
    cr_assert_eq(known(&kit), 2);
    kit_free(&kit);
}

Test(inbox, an_rpc_that_goes_on_leaving_out_is_named_and_asked_later)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    send(&kit, 1);
    sync_inbox(&kit);
    give(&kit, 1, 0);
    give(&kit, 1, 0);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_INBOX));
    cr_assert_not_null(strstr(kit_status(&kit).inbox_error, "make 0 messages, the chain says 1"));
    kit_tick(&kit, 2000);
    cr_assert(kit_has(&kit, CORE_DO_READ_INBOX));
    give(&kit, 1, 1);
    cr_assert_eq(known(&kit), 1);
    cr_assert_str_empty(kit_status(&kit).inbox_error);
    kit_free(&kit);
}

Test(inbox, a_failed_read_is_tried_again_after_a_while)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    send(&kit, 1);
    sync_inbox(&kit);
    kit_read_failed(&kit, CORE_READ_INBOX);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_INBOX));
    cr_assert_str_eq(kit_status(&kit).inbox_error, "eth_call: refused");
    kit_tick(&kit, 2000);
    cr_assert(kit_has(&kit, CORE_DO_READ_INBOX));
    give(&kit, 1, 1);
    cr_assert_eq(known(&kit), 1);
    kit_free(&kit);
}

Test(inbox, a_reorganisation_that_takes_a_message_away_is_followed)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    kit.block += 1000;
    send(&kit, 1);
    sync_inbox(&kit);
    give(&kit, 1, 1);
    const struct core_chain_state fork = kit.state;
    kit.block += 1000;
    send(&kit, 2);
    sync_inbox(&kit);
    give(&kit, 2, 1);
    cr_assert_eq(known(&kit), 2);
    kit.state.inbox_count = fork.inbox_count;
    kit.state.inbox_head = fork.inbox_head;
    const uint64_t from = sync_inbox(&kit);
    cr_assert_eq(from, fork.block + 1, "the newest mark that no reorganisation reaches");
    give(&kit, 1, 0);
    cr_assert(kit_has(&kit, CORE_TELL_INBOX));
    cr_assert_eq(known(&kit), 1);
    kit_free(&kit);
}

Test(inbox, marks_lead_to_where_the_inbox_is_however_many_there_were)
{
    struct kit kit;
    struct core_inbox end;

    kit_join(&kit, 1, 3);
    for (uint32_t n = 0; n < 500; n++) {
        kit.block += 40;
        send(&kit, n);
        sync_inbox(&kit);
        give(&kit, n, 1);
    }
    cr_assert(core_inbox(kit.core, &end));
    for (uint64_t block = 0; block < kit.block; block += 1000) {
        struct core_inbox mark = core_inbox_before(kit.core, block);
        cr_assert_leq(mark.block, block > CORE_PROVISIONAL_BLOCKS ? block - CORE_PROVISIONAL_BLOCKS : 0);
        for (uint32_t n = (uint32_t)mark.count; n < 500; n++) {
            const struct core_inbox_message m = message(n);
            core_inbox_extend(&mark, &m);
        }
        cr_assert(bytes32_equal(&mark.head, &end.head));
    }
    kit_free(&kit);
}

Test(inbox, head_vector)
{
    struct json_object *chain = vectors_section("inboxChain");
    struct json_object *steps = vector_get(chain, "steps");
    struct core_inbox inbox = {.head = vector_bytes32(chain, "start")};

    for (size_t i = 0; i < json_object_array_length(steps); i++) {
        struct json_object *step = json_object_array_get_idx(steps, i);
        const struct bytes32 expected = vector_bytes32(step, "head");
        uint8_t ciphertext[2];
        vector_bytes(step, "ciphertext", ciphertext, sizeof(ciphertext));
        core_inbox_extend(&inbox,
                          &(struct core_inbox_message){.sender = vector_bytes32(step, "sender"),
                                                       .envelope_id = vector_bytes32(step, "envelopeId"),
                                                       .ciphertext_hash = keccak256(ciphertext, 2)});
        cr_assert(bytes32_equal(&inbox.head, &expected));
    }
}
