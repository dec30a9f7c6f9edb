#include "agent/transport/turn.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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

void turn_shorten(void)
{
    const struct turn_attributes attributes = {
        .size = sizeof(attributes),
        .policy = SCHED_OTHER,
        .nice = getpriority(PRIO_PROCESS, 0), /* of this thread, as it is */
        .runtime_ns = TURN_NS};
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}
