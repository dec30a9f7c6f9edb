#include <criterion/criterion.h>

#include "agent/core/rng.h"

static const struct backoff backoff = {.floor_ms = 250, .ceiling_ms = 30000};

Test(backoff, stays_between_floor_and_ceiling)
{
    struct rng rng = {.state = 1};

    for (uint32_t failures = 0; failures < 100; failures++) {
        uint64_t delay = backoff_delay(&backoff, failures, &rng);
        cr_assert_geq(delay, 250);
        cr_assert_leq(delay, 30000);
    }
}

Test(backoff, doubles_and_keeps_jitter)
{
    struct rng rng = {.state = 2};
    uint64_t least = UINT64_MAX, most = 0;

    for (int i = 0; i < 1000; i++) {
        uint64_t delay = backoff_delay(&backoff, 3, &rng);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    cr_assert_geq(least, 2000);
    cr_assert_leq(most, 4000);
    cr_assert_gt(most - least, 1500, "nodes that failed together must not come back together");
    cr_assert_geq(backoff_delay(&backoff, UINT32_MAX, &rng), 15000);
}

Test(rng, the_seed_decides)
{
    struct rng a = {.state = 42}, b = {.state = 42}, c = {.state = 43};

    cr_assert_eq(rng_next(&a), rng_next(&b));
    cr_assert_neq(rng_next(&a), rng_next(&c));
}
