#include "test/unit/core/kit.h"

/* What a change costs in actions, each of them an RPC call, a netlink message or a datagram, does not depend
 * on how many members there are. The pass of time on the way costs a few observations and heartbeats. */
#define SCALE_CHANGE_MAX 20

static const uint32_t sizes[] = {10, 1000, 10000};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void join_many(struct kit *kit, uint32_t len)
{
    kit_join(kit, 0, len);
    kit_applied(kit);
    kit_observed(kit, CORE_NEVER);
}

/* Actions until what the registry says is on the device. */
static size_t follow(struct kit *kit)
{
    const size_t before = kit->actions_ever;

    kit_sync(kit);
    cr_assert(kit_has(kit, CORE_DO_APPLY_PEERS));
    kit_applied(kit);
    return kit->actions_ever - before;
}

Test(scale, the_whole_registry_is_read_once_in_pages)
{
    struct kit kit;

    for (size_t i = 0; i < SIZES; i++) {
        join_many(&kit, sizes[i]);
        cr_assert_eq(core_desired_peers(kit.core), sizes[i] - 1);
        /* pages, then for each peer: the transport learns of it, subscribers learn of it, some are dialed */
        cr_assert_leq(kit.actions_ever, sizes[i] / CORE_PAGE_MAX + 2 * sizes[i] + CORE_DIALS_MAX + 20);
        kit_free(&kit);
    }
}

Test(scale, a_registration_costs_the_same_in_any_registry)
{
    struct kit kit;

    for (size_t i = 0; i < SIZES; i++) {
        const struct core_record record = kit_record(sizes[i]);
        join_many(&kit, sizes[i]);
        kit_add(&kit, &record);
        cr_assert_leq(follow(&kit), SCALE_CHANGE_MAX);
        cr_assert_eq(core_desired_peers(kit.core), sizes[i]);
        kit_free(&kit);
    }
}

Test(scale, a_removal_costs_the_same_in_any_registry)
{
    struct kit kit;

    for (size_t i = 0; i < SIZES; i++) {
        join_many(&kit, sizes[i]);
        kit_remove(&kit, sizes[i] / 2);
        cr_assert_leq(follow(&kit), SCALE_CHANGE_MAX);
        cr_assert_eq(core_desired_peers(kit.core), sizes[i] - 2);
        kit_free(&kit);
    }
}

Test(scale, a_key_costs_the_same_in_any_registry)
{
    struct kit kit;
    const struct bytes32 key = {{0x77}};

    for (size_t i = 0; i < SIZES; i++) {
        join_many(&kit, sizes[i]);
        kit_publish_wg_key(&kit, sizes[i] / 2, &key);
        cr_assert_leq(follow(&kit), SCALE_CHANGE_MAX);
        kit_free(&kit);
    }
}

Test(scale, a_heartbeat_costs_no_action)
{
    struct kit kit;

    join_many(&kit, 10000);
    for (uint32_t i = 1; i <= 1000; i++)
        kit_heartbeat(&kit, i, 1, 1);
    const size_t before = kit.actions_ever;
    for (uint32_t i = 1; i <= 1000; i++)
        kit_heartbeat(&kit, i, 2, 1);
    cr_assert_eq(kit.actions_ever, before);
    kit_free(&kit);
}

Test(scale, an_early_heartbeat_is_rarer_in_a_large_mesh)
{
    struct kit kit;

    for (size_t i = 0; i < SIZES; i++) {
        size_t beats = 0;
        join_many(&kit, sizes[i]);
        for (uint32_t ms = 0; ms < 4000; ms += 10) {
            if (ms % 100 == 0 && ms / 100 + 1 < sizes[i])
                kit_heartbeat(&kit, ms / 100 + 1, 1, 1);
            kit_tick(&kit, 10);
            beats += kit_count(&kit, CORE_DO_SEND_HEARTBEAT);
        }
        cr_assert_leq(beats, sizes[i] < 1000 ? 16 : 3);
        kit_free(&kit);
    }
}

Test(scale, members_that_are_heard_do_not_wake_the_node)
{
    struct kit kit;
    size_t wakes = 0;

    join_many(&kit, 1001);
    const uint64_t start_ms = kit.now_ms;
    for (uint32_t beat = 0; beat < 5000; beat++) {
        const uint64_t at_ms = start_ms + beat / 1000 * 1999 + beat % 1000 * 2;
        for (; core_deadline(kit.core) < at_ms; wakes++)
            kit_deadline(&kit);
        kit.now_ms = at_ms;
        kit_heartbeat(&kit, 1 + beat % 1000, 1 + beat / 1000, 1);
    }
    cr_assert_leq(wakes, 20, "%zu times in ten seconds", wakes);
    kit_free(&kit);
}
