#include "agent/transport/turn.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TURN_NS 100000
#define TURN_HASTE 10 /* less nice than the process by this */

/* sched_setattr(2). The kernel's own declaration can not be included beside the C library's <sched.h>. */
struct turn_attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns;
    uint64_t deadline_ns;
    uint64_t period_ns;
};

static int turn_request(int nice)
{
    struct turn_attributes attributes = {
        .size = sizeof(attributes), .policy = SCHED_OTHER, .nice = nice, .runtime_ns = TURN_NS};
    return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void turn_permit(void)
{
    const rlim_t highest = (rlim_t)(20 - (getpriority(PRIO_PROCESS, 0) - TURN_HASTE)); /* see getrlimit(2) */
    const struct rlimit limit = {highest, highest};
    (void)setrlimit(RLIMIT_NICE, &limit);
}

void turn_hasten(void)
{
    const int nice = getpriority(PRIO_PROCESS, 0); /* of this thread */
    if (turn_request(nice - TURN_HASTE))
        (void)turn_request(nice);
}
