#include "test/unit/core/kit.h"

static void settle(struct kit *kit, enum core_event_type type, bool waiting)
{
    kit_step(kit, &(struct core_event){.type = type, .messages = {.waiting = waiting}});
}

Test(outbox, sends_a_message_at_once_when_nothing_else_is_in_flight)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    kit_event(&kit, CORE_EVENT_MESSAGE_QUEUED);
    cr_assert(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    kit_event(&kit, CORE_EVENT_MESSAGE_QUEUED);
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_MESSAGE), "one is in flight");
    settle(&kit, CORE_EVENT_MESSAGE_SETTLED, true);
    cr_assert(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    settle(&kit, CORE_EVENT_MESSAGE_SETTLED, false);
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    kit_free(&kit);
}

Test(outbox, a_message_waits_for_the_commitment_in_flight)
{
    struct kit kit;

    kit_join(&kit, 0, 3);
    kit_derived(&kit);
    cr_assert(kit_has(&kit, CORE_DO_COMMIT_CSK));
    kit_event(&kit, CORE_EVENT_MESSAGE_QUEUED);
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    kit_event(&kit, CORE_EVENT_CSK_COMMITTED);
    cr_assert(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    kit_free(&kit);
}

Test(outbox, a_commitment_goes_before_the_next_message)
{
    struct kit kit;

    kit_join(&kit, 0, 3);
    kit_event(&kit, CORE_EVENT_MESSAGE_QUEUED);
    cr_assert(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    kit_derived(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_COMMIT_CSK));
    settle(&kit, CORE_EVENT_MESSAGE_SETTLED, true);
    cr_assert(kit_has(&kit, CORE_DO_COMMIT_CSK));
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    kit_free(&kit);
}

Test(outbox, a_message_that_failed_goes_out_again_after_a_while)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    kit_event(&kit, CORE_EVENT_MESSAGE_QUEUED);
    settle(&kit, CORE_EVENT_MESSAGE_FAILED, true);
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    kit_event(&kit, CORE_EVENT_MESSAGE_QUEUED);
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_MESSAGE), "another message does not make it hurry");
    kit_tick(&kit, 2000);
    cr_assert(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    kit_free(&kit);
}

Test(outbox, an_answer_that_nobody_waits_for_changes_nothing)
{
    struct kit kit;

    kit_join(&kit, 1, 3);
    settle(&kit, CORE_EVENT_MESSAGE_SETTLED, true);
    cr_assert_not(kit_has(&kit, CORE_DO_SEND_MESSAGE));
    kit_free(&kit);
}
