#include <criterion/criterion.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/transport/turn.h"

/* As sched_getattr(2) tells it: size and policy, flags, nice and priority, runtime, deadline, period. */
static uint64_t read_turn_ns(void)
{
    uint64_t attributes[6];
    cr_assert_eq(syscall(SYS_sched_getattr, 0, attributes, sizeof(attributes), 0), 0);
    return attributes[3];
}

Test(turn, is_shortened_and_nothing_else)
{
    if (!read_turn_ns())
        cr_skip_test("this kernel does not know turns of a length that a thread chooses");
    cr_assert_eq(setpriority(PRIO_PROCESS, 0, 3), 0);
    turn_shorten();
    cr_assert_eq(read_turn_ns(), TURN_NS);
    cr_assert_eq(getpriority(PRIO_PROCESS, 0), 3);
}
