#include <criterion/criterion.h>

#include "agent/transport/pacer.h"

static unsigned taken_between(struct pacer *pacer, uint64_t from_ms, uint64_t to_ms)
{
    unsigned count = 0;
    for (uint64_t now_ms = from_ms; now_ms < to_ms; now_ms++) {
        while (pacer_take(pacer, now_ms))
            count++;
    }
    return count;
}

Test(pacer, burst_then_steady_rate)
{
    struct pacer pacer = {0};
    cr_assert_eq(taken_between(&pacer, 5000, 5001), PACER_BURST);
    cr_assert_eq(taken_between(&pacer, 5001, 6001), 1000 / PACER_INTERVAL_MS);
    cr_assert_leq(2 * 1000 / PACER_INTERVAL_MS, 100, "both directions together");
}

Test(pacer, rest_refills_one_burst_and_no_more)
{
    struct pacer pacer = {0};
    taken_between(&pacer, 0, 1000);
    cr_assert_eq(taken_between(&pacer, 1000000, 1000001), PACER_BURST);
}

Test(pacer, refusal_ends_within_the_interval)
{
    struct pacer pacer = {0};
    taken_between(&pacer, 100, 101);
    cr_assert_not(pacer_take(&pacer, 100));
    cr_assert(pacer_take(&pacer, 100 + PACER_INTERVAL_MS));
}

Test(pacer, sharers_together_have_one_allowance)
{
    struct pacer pacers[4] = {{.sharers = 4}, {.sharers = 4}, {.sharers = 4}, {.sharers = 4}};
    unsigned taken = 0;
    for (size_t i = 0; i < 4; i++)
        taken += taken_between(&pacers[i], 5000, 15000);
    cr_assert_leq(taken, 10000 / PACER_INTERVAL_MS + PACER_BURST);
    cr_assert_geq(taken, 10000 / PACER_INTERVAL_MS);
}
