#include "agent/confine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SKIP_WITH_SANITIZERS()                                                                               \
    cr_skip_test("sanitizers make system calls of their own, so there is no filter")
#else
#define SKIP_WITH_SANITIZERS()
#endif

#define CAPABILITIES (CONFINE_CAPABILITY(CAP_NET_ADMIN) | CONFINE_CAPABILITY(CAP_SYS_PTRACE))

/* What a confined process finds; 0 when it is as it should be, else the number of what is not. */
typedef int probe_fn(void);

/* Runs `probe` in a process of its own that confined itself. */
static int probe_confined(probe_fn *probe, bool starts_programs)
{
    const struct confine_options options = {.capabilities = CONFINE_CAPABILITY(CAP_NET_ADMIN),
                                            .starts_programs = starts_programs};
    struct am_err err;
    int status;
    const pid_t child = fork();
    if (child == 0)
        _exit(confine_process(&options, &err) == 0 ? probe() : 100);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* A line of /proc/self/status, a number of that base; -1 when it is not there, or empty. */
static long long read_status(const char *name, int base)
{
    char line[256];
    long long value = -1;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && value < 0 && fgets(line, sizeof(line), file)) {
        char *const digits = line + strlen(name) + 2; /* ":\t" */
        char *end;
        if (strncmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ':')
            continue;
        const long long number = strtoll(digits, &end, base);
        value = end == digits ? -1 : number;
    }
    if (file)
        fclose(file);
    return value;
}

static int probe_status(void)
{
    static const char *const sets[] = {"CapEff", "CapPrm", "CapInh", "CapAmb"};
    for (int i = 0; i < 4; i++) {
        const long long set = read_status(sets[i], 16);
        if (set < 0 || (uint64_t)set & ~CAPABILITIES)
            return i + 1;
    }
    if (geteuid() == 0 &&
        ((uint64_t)read_status("CapBnd", 16) & ~CAPABILITIES || read_status("Groups", 10) != -1))
        return 5;
    return read_status("NoNewPrivs", 10) == 1 ? 0 : 6;
}

Test(confine, status_shows_it)
{
    cr_assert_eq(probe_confined(probe_status, false), 0);
    cr_assert_eq(probe_confined(probe_status, true), 0);
}

static int probe_filter(void)
{
    return read_status("Seccomp", 10) == 2 ? 0 : 1;
}

static int probe_refusals(void)
{
    if (confine_refused_calls() != 0 || strcmp(confine_refused_call(), "none") != 0)
        return 1;
    if (unshare(CLONE_NEWNET) != -1 || errno != EPERM || strcmp(confine_refused_call(), "unshare") != 0)
        return 2;
    if (mount("none", "/", NULL, 0, NULL) != -1 || errno != EPERM || confine_refused_calls() != 2)
        return 3;
    return 0;
}

Test(confine, a_call_off_the_list_fails_and_is_counted)
{
    SKIP_WITH_SANITIZERS();
    cr_assert_eq(probe_confined(probe_filter, false), 0);
    cr_assert_eq(probe_confined(probe_refusals, false), 0);
    cr_assert_eq(probe_confined(probe_refusals, true), 0);
}

static int probe_sockets(void)
{
    if (socket(AF_PACKET, SOCK_RAW, 0) != -1 || errno != EPERM || confine_refused_calls() != 1)
        return 1;
    return socket(AF_INET, SOCK_DGRAM, 0) >= 0 && socket(AF_NETLINK, SOCK_RAW, 0) >= 0 ? 0 : 2;
}

Test(confine, sockets_are_of_the_families_that_are_used)
{
    SKIP_WITH_SANITIZERS();
    cr_assert_eq(probe_confined(probe_sockets, false), 0);
}

static int start_program(void)
{
    char *const argv[] = {(char *)"true", NULL};
    char *const environment[] = {NULL};
    int status;
    pid_t child;
    if (posix_spawn(&child, "/bin/true", NULL, NULL, argv, environment) != 0)
        return 1;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static int probe_fork(void)
{
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child == -1 && errno == EPERM && strcmp(confine_refused_call(), "clone") == 0 ? 0 : 1;
}

Test(confine, programs_are_started_only_by_who_has_to)
{
    SKIP_WITH_SANITIZERS();
    cr_assert_eq(probe_confined(probe_fork, false), 0);
    cr_assert_eq(probe_confined(start_program, true), 0);
}

static void *run_thread(void *out)
{
    *(int *)out = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return NULL;
}

static int probe_thread(void)
{
    pthread_t thread;
    int fd = -1;
    if (pthread_create(&thread, NULL, run_thread, &fd) != 0 || pthread_join(thread, NULL) != 0)
        return 1;
    return fd < 0 || confine_refused_calls() != 0 ? 2 : 0;
}

Test(confine, threads_can_be_started)
{
    cr_assert_eq(probe_confined(probe_thread, false), 0);
}

static void *wait_for_ever(void *user)
{
    pause();
    return user;
}

Test(confine, a_process_with_threads_is_left_as_it_is)
{
    SKIP_WITH_SANITIZERS();
    const struct confine_options options = {0};
    struct am_err err = {0};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
    cr_assert_eq(confine_process(&options, &err), -EBUSY);
    cr_assert_gt(strlen(err.text), 0);
}
