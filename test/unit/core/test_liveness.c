#include "agent/core/rng.h"
#include "test/unit/core/kit.h"

/* Member 0 of `len`, with streams and handshakes to all the others. */
static void with_tunnels(struct kit *kit, uint32_t len)
{
    kit_join(kit, 0, len);
    kit_applied(kit);
    kit_observed(kit, CORE_NEVER);
    for (uint32_t i = 1; i < len; i++)
        kit_stream(kit, CORE_EVENT_STREAM_UP, i, true);
}

static bool converged(const struct kit *kit)
{
    return kit_status(kit).converged;
}

/* Lets time pass, answering what the core asks for except with heartbeats. */
static void wait(struct kit *kit, uint64_t ms)
{
    uint64_t end = kit->now_ms + ms;

    while (core_deadline(kit->core) <= end) {
        kit_deadline(kit);
        if (kit_has(kit, CORE_DO_READ_STATE))
            kit_state(kit);
        if (kit_has(kit, CORE_DO_APPLY_DEVICE))
            kit_applied(kit);
        if (kit_has(kit, CORE_DO_OBSERVE_DEVICE))
            kit_observed(kit, 1);
    }
    kit_tick(kit, end - kit->now_ms);
}

Test(liveness, sends_a_heartbeat_every_two_seconds_with_whom_it_hears)
{
    struct kit kit;
    struct core_heartbeat beat;
    uint64_t sequence = 0;

    with_tunnels(&kit, 3);
    kit_heartbeat(&kit, 2, 1, 0x5);
    wait(&kit, 1000);
    for (int i = 0; i < 5; i++) {
        uint64_t from = kit.now_ms;
        do
            kit_deadline(&kit);
        while (!kit_has(&kit, CORE_DO_SEND_HEARTBEAT));
        cr_assert_leq(kit.now_ms - from, 2000);
        core_heartbeat(kit.core, &beat);
        cr_assert_gt(beat.sequence, sequence);
        sequence = beat.sequence;
        kit_heartbeat(&kit, 2, 2 + (uint64_t)i, 0x5);
        cr_assert_eq(beat.view_len, 1);
        cr_assert_eq(beat.view[0], 0x5, "itself and member 2");
    }
    kit_free(&kit);
}

Test(liveness, converges_when_every_view_is_the_live_set)
{
    struct kit kit;

    with_tunnels(&kit, 3);
    kit_heartbeat(&kit, 1, 1, 0x3);
    kit_heartbeat(&kit, 2, 1, 0x4);
    cr_assert_not(converged(&kit), "nobody hears 2 but this node");
    kit_heartbeat(&kit, 1, 2, 0x7);
    cr_assert_not(converged(&kit), "2 hears nobody");
    kit_heartbeat(&kit, 2, 2, 0x7);
    cr_assert(converged(&kit));
    kit_heartbeat(&kit, 2, 3, 0x5);
    cr_assert_not(converged(&kit), "2 has lost 1");
    cr_assert(kit_status(&kit).first_converged, "the first convergence latches");
    kit_free(&kit);
}

Test(liveness, whom_others_hear_must_be_heard_here)
{
    struct kit kit;

    with_tunnels(&kit, 3);
    kit_heartbeat(&kit, 1, 1, 0x7);
    cr_assert_not(converged(&kit), "member 2 is live and silent here");
    kit_heartbeat(&kit, 1, 2, 0x3);
    cr_assert(converged(&kit), "nobody hears member 2: it does not count");
    kit_free(&kit);
}

Test(liveness, silence_takes_a_member_down_after_six_seconds)
{
    struct kit kit;

    with_tunnels(&kit, 2);
    kit_heartbeat(&kit, 1, 1, 0x3);
    cr_assert(kit_member(&kit, 1).heard);
    wait(&kit, 5000);
    kit_heartbeat(&kit, 1, 2, 0x3);
    wait(&kit, 5999);
    cr_assert(kit_member(&kit, 1).heard);
    wait(&kit, 1);
    cr_assert_not(kit_member(&kit, 1).heard);
    cr_assert_eq(kit_status(&kit).heard_members, 1);
    kit_free(&kit);
}

Test(liveness, old_sequences_count_for_nothing_and_a_new_life_begins_again)
{
    struct kit kit;
    const uint8_t view = 0x3;
    struct core_event event = {
        .type = CORE_EVENT_HEARTBEAT,
        .heartbeat = {.index = 1, .boot_nonce = 9, .sequence = 1, .view = &view, .view_len = 1}};

    with_tunnels(&kit, 2);
    kit_heartbeat(&kit, 1, 5, 0x2);
    kit_heartbeat(&kit, 1, 5, 0x3);
    kit_heartbeat(&kit, 1, 4, 0x3);
    cr_assert_not(converged(&kit));
    kit_step(&kit, &event);
    cr_assert(converged(&kit));
    kit_free(&kit);
}

Test(liveness, a_view_of_members_unknown_here_is_no_agreement_and_wakes_the_poll)
{
    struct kit kit;

    with_tunnels(&kit, 2);
    kit.state.version += 5;
    kit_heartbeat(&kit, 1, 1, 0x13);
    kit.state.version -= 5;
    cr_assert_not(converged(&kit));
    cr_assert_leq(core_deadline(kit.core), kit.now_ms + 500);
    kit_heartbeat(&kit, 1, 2, 0x3);
    cr_assert(converged(&kit));
    kit_free(&kit);
}

Test(liveness, removed_members_count_in_no_view)
{
    struct kit kit;

    with_tunnels(&kit, 3);
    kit_heartbeat(&kit, 1, 1, 0x7);
    kit_remove(&kit, 2);
    kit_sync(&kit);
    cr_assert(converged(&kit), "1 still reports 2");
    kit_heartbeat(&kit, 2, 1, 0x7);
    cr_assert_eq(kit_status(&kit).heard_members, 2);
    kit_free(&kit);
}

Test(liveness, a_node_that_hears_nobody_waits_before_it_is_the_live_set)
{
    struct kit kit;

    with_tunnels(&kit, 3);
    cr_assert_not(converged(&kit));
    wait(&kit, 19000);
    cr_assert_not(kit_status(&kit).first_converged);
    wait(&kit, 3000);
    cr_assert(kit_status(&kit).first_converged);
    kit_free(&kit);
}

/* Held against the definition itself, over random heartbeats. */
Test(liveness, agrees_with_a_plain_model)
{
    enum { LEN = 40 };
    struct kit kit;
    uint64_t views[LEN] = {0}, up = 1;
    struct rng rng = {.state = 11};

    with_tunnels(&kit, LEN);
    for (uint64_t i = 1; i <= 3000; i++) {
        uint32_t index = (uint32_t)rng_between(&rng, 1, LEN - 1);
        uint64_t all = (UINT64_C(1) << LEN) - 1;
        views[index] = rng_between(&rng, 0, 3) != 0 ? all : rng_next(&rng) & all;
        if (i > 2000)
            views[index] = all;
        up |= UINT64_C(1) << index;
        kit_heartbeat(&kit, index, i, views[index]);
        uint64_t live = up;
        for (uint32_t j = 1; j < LEN; j++)
            live |= views[j];
        bool agree = up == live;
        for (uint32_t j = 1; j < LEN; j++)
            agree &= !(up >> j & 1) || views[j] == live;
        cr_assert_eq(converged(&kit), agree, "after heartbeat %llu", (unsigned long long)i);
    }
    cr_assert(converged(&kit));
    kit_free(&kit);
}
