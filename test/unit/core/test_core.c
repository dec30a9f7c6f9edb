#include "test/unit/core/kit.h"

Test(core, answers_that_nobody_asked_for_change_nothing)
{
    struct kit kit;
    static const enum core_event_type types[] = {
        CORE_EVENT_TICK,          CORE_EVENT_SELF_RECORD,
        CORE_EVENT_REGISTER_DONE, CORE_EVENT_CHAIN_STATE,
        CORE_EVENT_MEMBERS_PAGE,  CORE_EVENT_DEVICE_APPLIED,
        CORE_EVENT_DEVICE_FAILED, CORE_EVENT_DEVICE_OBSERVED,
        CORE_EVENT_STREAM_UP,     CORE_EVENT_REGISTER_FAILED,
        CORE_EVENT_STREAM_DOWN,   CORE_EVENT_DIAL_FAILED,
        CORE_EVENT_READ_FAILED,   CORE_EVENT_DEVICE_DRIFTED,
    };

    kit_init(&kit, 0);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        kit_event(&kit, types[i]);
        cr_assert_eq(kit.actions_len, 0, "event %d", (int)types[i]);
        cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_BOOTING);
    }
    kit_stream(&kit, CORE_EVENT_STREAM_UP, UINT32_MAX, true);
    cr_assert_eq(kit.actions_len, 0);
    kit_free(&kit);
}

Test(core, time_does_not_step_back)
{
    struct kit kit;

    kit_init(&kit, 0);
    kit_failed(&kit, CORE_EVENT_IDENTITY_FAILED, "no answer", true);
    uint64_t deadline = core_deadline(kit.core);
    kit.now_ms = 0;
    kit_event(&kit, CORE_EVENT_TICK);
    cr_assert_eq(kit.actions_len, 0);
    cr_assert_eq(core_deadline(kit.core), deadline);
    kit_free(&kit);
}

Test(core, long_texts_are_cut)
{
    struct kit kit;
    char text[2000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    kit_init(&kit, 0);
    kit_failed(&kit, CORE_EVENT_IDENTITY_FAILED, text, true);
    cr_assert_eq(strlen(kit_status(&kit).reason), CORE_TEXT_MAX - 1);
    kit_failed(&kit, CORE_EVENT_IDENTITY_FAILED, NULL, true);
    kit_free(&kit);
}

Test(core, a_table_that_grows_keeps_its_rows)
{
    struct kit kit;

    kit_join(&kit, 0, 3);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 1, true);
    for (uint32_t n = 3; n < KIT_ROWS_MAX; n++) {
        struct core_record record = kit_record(n);
        kit_add(&kit, &record);
    }
    kit_sync(&kit);
    cr_assert_eq(kit_status(&kit).peers, KIT_ROWS_MAX - 1);
    cr_assert_eq(kit_member(&kit, 1).link, CORE_LINK_UP);
    for (uint32_t n = 0; n < KIT_ROWS_MAX; n++)
        cr_assert_eq(kit_member(&kit, n).record.mesh_ip, kit_record(n).mesh_ip);
    struct core_member member;
    cr_assert_not(core_member_at(kit.core, KIT_ROWS_MAX, &member));
    kit_free(&kit);
}

Test(core, a_change_costs_by_its_size_not_by_the_mesh)
{
    struct kit kit;
    struct core_record record = kit_record(200);

    kit_join(&kit, 0, 200);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    kit_add(&kit, &record);
    kit_sync(&kit);
    cr_assert_leq(kit.actions_len, 5);
    kit_free(&kit);
}

Test(core, every_name_is_set)
{
    for (int i = CORE_PHASE_BOOTING; i <= CORE_PHASE_HEALTHY; i++)
        cr_assert_not_null(core_phase_name((enum core_phase)i));
    for (int i = CORE_PEER_JOINED; i <= CORE_PEER_REMOVED; i++)
        cr_assert_not_null(core_peer_event_name((enum core_peer_event)i));
    for (int i = CORE_REFUSAL_NONE; i <= CORE_REFUSAL_OUTSIDE_NETWORK; i++)
        cr_assert_not_null(core_refusal_name((enum core_refusal)i));
    for (int i = CORE_LINK_NONE; i <= CORE_LINK_UP; i++)
        cr_assert_not_null(core_link_state_name((enum core_link_state)i));
}
