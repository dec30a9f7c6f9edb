#include <criterion/criterion.h>

#include "agent/core/rng.h"
#include "agent/core/timers.h"

#define IDS 200

/* The naive answer. */
static uint64_t earliest(const uint64_t due[IDS])
{
    uint64_t first = UINT64_MAX;

    for (uint32_t id = 0; id < IDS; id++)
        first = due[id] < first ? due[id] : first;
    return first;
}

Test(timers, agree_with_a_plain_search)
{
    struct timers timers = {0};
    struct rng rng = {.state = 9};
    uint64_t due[IDS];
    uint32_t id;

    cr_assert_eq(timers_reserve(&timers, IDS / 2), 0);
    cr_assert_eq(timers_reserve(&timers, IDS), 0);
    memset(due, 0xff, sizeof(due));
    for (int round = 0; round < 20000; round++) {
        id = (uint32_t)rng_between(&rng, 0, IDS - 1);
        if (rng_between(&rng, 0, 2) == 0) {
            timers_clear(&timers, id);
            due[id] = UINT64_MAX;
        } else {
            due[id] = rng_between(&rng, 0, 1000);
            timers_set(&timers, id, due[id]);
        }
        uint64_t first = timers_first(&timers, &id);
        cr_assert_eq(first, earliest(due));
        cr_assert(first == UINT64_MAX || due[id] == first);
    }
    timers_release(&timers);
}

Test(timers, an_empty_set_has_no_deadline)
{
    struct timers timers = {0};

    cr_assert_eq(timers_first(&timers, NULL), UINT64_MAX);
    cr_assert_eq(timers_reserve(&timers, 4), 0);
    timers_clear(&timers, 3);
    timers_set(&timers, 3, 5);
    timers_set(&timers, 3, 7);
    cr_assert_eq(timers_first(&timers, NULL), 7);
    timers_clear(&timers, 3);
    cr_assert_eq(timers_first(&timers, NULL), UINT64_MAX);
    timers_release(&timers);
}
