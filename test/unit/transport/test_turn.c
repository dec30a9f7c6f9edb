#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/resource.h>

#include "agent/transport/turn.h"

static void *run_hastened(void *user)
{
    turn_hasten();
    *(int *)user = getpriority(PRIO_PROCESS, 0);
    return NULL;
}

Test(turn, hastens_the_calling_thread_and_no_other)
{
    const int before = getpriority(PRIO_PROCESS, 0);
    int hastened = 0;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, run_hastened, &hastened), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(getpriority(PRIO_PROCESS, 0), before);
    if (hastened == before)
        cr_skip_test("this process may not raise a priority");
    cr_assert_eq(hastened, before - 10);
}
