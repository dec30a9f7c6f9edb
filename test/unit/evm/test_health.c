#include <criterion/criterion.h>

#include "evm/health.h"

static const struct health_backoff backoff = {.floor_ms = 1000, .ceiling_ms = 30000};

Test(health, failures_cast_doubt_for_longer_and_longer)
{
    struct health health = {0};
    const uint64_t expected[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    cr_assert_eq(health_rank(&health, 0), HEALTH_GOOD);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        health_fail(&health, &backoff, 5000, 0, 0);
        cr_assert_eq(health_rank(&health, 5000 + expected[i] - 1), HEALTH_DOUBTFUL, "%zu", i);
        cr_assert_eq(health_rank(&health, 5000 + expected[i]), HEALTH_GOOD, "%zu", i);
    }
    health.failures = UINT32_MAX;
    health_fail(&health, &backoff, 0, 0, 0);
    cr_assert_eq(health.failures, UINT32_MAX);
}

Test(health, jitter_takes_off_up_to_a_half)
{
    for (uint32_t chance = 0; chance < 5000; chance += 7) {
        struct health health = {0};
        health_fail(&health, &backoff, 0, 0, chance);
        cr_assert_eq(health_rank(&health, 499), HEALTH_DOUBTFUL);
        cr_assert_eq(health_rank(&health, 1000), HEALTH_GOOD);
    }
}

Test(health, a_wish_to_be_left_alone_is_honoured_within_bounds)
{
    struct health health = {0};
    health_fail(&health, &backoff, 0, 7, 0);
    cr_assert_eq(health_rank(&health, 6999), HEALTH_CLOSED);
    cr_assert_neq(health_rank(&health, 7000), HEALTH_CLOSED);
    health_fail(&health, &backoff, 0, 8, UINT32_MAX);
    cr_assert(health.closed_until_ms > 8000 && health.closed_until_ms <= 9000, "not everybody at once");
    health_fail(&health, &backoff, 0, UINT32_MAX, 0);
    cr_assert_eq(health_rank(&health, HEALTH_RETRY_AFTER_MAX_S * 1000 - 1), HEALTH_CLOSED);
    cr_assert_neq(health_rank(&health, HEALTH_RETRY_AFTER_MAX_S * 1000), HEALTH_CLOSED);
}

Test(health, success_forgives)
{
    struct health health = {0};
    health_fail(&health, &backoff, 0, 60, 0);
    health_succeed(&health);
    cr_assert_eq(health_rank(&health, 0), HEALTH_GOOD);
}

Test(health, better_ranks_come_first_and_equal_ones_keep_their_order)
{
    const enum health_rank ranks[] = {HEALTH_CLOSED, HEALTH_DOUBTFUL, HEALTH_GOOD, HEALTH_DOUBTFUL,
                                      HEALTH_GOOD};
    const size_t expected[] = {2, 4, 1, 3, 0};
    size_t order[5];
    health_order(ranks, 5, order);
    for (size_t i = 0; i < 5; i++)
        cr_assert_eq(order[i], expected[i]);
}
