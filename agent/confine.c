#include "agent/confine.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "agent/log.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#define SANITIZER_CAPABILITIES CONFINE_CAPABILITY(CAP_SYS_PTRACE) /* leaks are looked for by tracing */
#else
#define SANITIZED false
#define SANITIZER_CAPABILITIES 0
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static atomic_uint_fast64_t refused_calls;
static atomic_int refused_call = -1;
static int refused_fd = -1;

/* What libc, libevent, OpenSSL, libcurl, libsodium and SQLite call once a daemon runs. */
static const char *const allowed[] = {
    /* files and descriptors */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "close", "lseek", "open", "openat", "access",
    "faccessat", "faccessat2", "stat", "fstat", "lstat", "newfstatat", "statx", "fstatfs", "readlink",
    "readlinkat", "getdents64", "getcwd", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink",
    "unlinkat", "fsync", "fdatasync", "ftruncate", "fallocate", "fchmod", "fchown", "flock", "fcntl", "ioctl",
    "dup", "dup2", "dup3", "pipe2", "umask",
    /* sockets; those of other families than below are refused */
    "connect", "bind", "listen", "accept", "accept4", "shutdown", "socketpair", "getsockname", "getpeername",
    "getsockopt", "setsockopt", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
    "sendfile",
    /* waiting and time */
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime", "nanosleep",
    "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "restart_syscall",
    /* memory and threads */
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mlock", "mlock2", "munlock", "membarrier",
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "sched_yield", "sched_getaffinity",
    "sched_getparam", "sched_getscheduler", "sched_setattr", "getpriority", "getcpu", "exit", "exit_group",
    "set_tid_address", "prctl",
    /* signals, to itself too: abort */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "tgkill",
    /* what the system and the process are */
    "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getrandom",
    "uname", "sysinfo", "getrusage", "times", "getrlimit", "prlimit64"};

/* What starting wireguard-go takes, and what it and the Go runtime below it call. */
static const char *const allowed_to_programs[] = {
    /* to start it */
    "execve", "clone", "vfork", "wait4", "waitid", "pidfd_open", "setsid", "chdir", "close_range",
    /* within it, where it starts itself again */
    "arch_prctl", "kill", "tkill", "mincore", "pidfd_send_signal", "setrlimit", "sched_setaffinity",
    "setitimer", "timer_create", "timer_settime", "timer_delete", "inotify_init1", "inotify_add_watch",
    "inotify_rm_watch", "chmod", "fchmodat"};

static const int socket_families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* ---- Refused calls ---- */

/* Answers the call with EPERM in place of the kernel. Only what signal-safety(7) allows. */
static void on_refused(int signal_number, siginfo_t *info, void *context)
{
    const int error = errno;
    ucontext_t *const interrupted = context;
    (void)signal_number;
#if defined(__x86_64__)
    interrupted->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
    interrupted->uc_mcontext.regs[0] = (unsigned long)-EPERM;
#else
#error "which register holds what a system call returns?"
#endif
    atomic_fetch_add(&refused_calls, 1);
    atomic_store(&refused_call, info->si_syscall);
    eventfd_write(refused_fd, 1);
    errno = error;
}

static int catch_refused(struct am_err *err)
{
    struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    refused_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (refused_fd < 0 || sigaction(SIGSYS, &action, NULL) != 0)
        return am_fail(err, -errno, "a handler for refused system calls: %s", strerror(errno));
    return 0;
}

uint64_t confine_refused_calls(void)
{
    return atomic_load(&refused_calls);
}

const char *confine_refused_call(void)
{
    static char name[32];
    const int number = atomic_load(&refused_call);
    char *const resolved = number < 0 ? NULL : seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    strncpy(name, resolved ? resolved : number < 0 ? "none" : "unknown", sizeof(name) - 1);
    free(resolved);
    return name;
}

static void tell_refused(evutil_socket_t fd, short what, void *user)
{
    eventfd_t count;
    (void)what, (void)user;
    eventfd_read(fd, &count);
    log_error("process.call_refused", log_text("call", confine_refused_call()),
              log_uint("refused", confine_refused_calls()));
}

struct event *confine_watch(struct event_base *base)
{
    struct event *event = event_new(base, refused_fd, EV_READ | EV_PERSIST, tell_refused, NULL);
    if (event)
        event_add(event, NULL);
    return event;
}

/* ---- System calls ---- */

static int allow_names(scmp_filter_ctx filter, const char *const *names, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const int number = seccomp_syscall_resolve_name(names[i]);
        const int code =
            number == __NR_SCMP_ERROR ? -EINVAL : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (code != 0)
            return code;
    }
    return 0;
}

/* Threads only. The flags of clone3 are in memory, where a filter can not look: libc then takes clone. */
static int allow_threads(scmp_filter_ctx filter)
{
    const int code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    return code != 0 ? code : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int allow_sockets(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < COUNT(socket_families); i++) {
        const scmp_datum_t family = (scmp_datum_t)socket_families[i];
        const int code =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family, 0));
        if (code != 0)
            return code;
    }
    return 0;
}

static int fill_filter(scmp_filter_ctx filter, bool starts_programs)
{
    int code = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a search, not a walk */
    if (code == 0)
        code = allow_names(filter, allowed, COUNT(allowed));
    if (code == 0)
        code = allow_threads(filter);
    if (code == 0)
        code = allow_sockets(filter);
    if (code == 0 && starts_programs)
        code = allow_names(filter, allowed_to_programs, COUNT(allowed_to_programs));
    return code;
}

static int limit_system_calls(bool starts_programs, struct am_err *err)
{
    int code = catch_refused(err);
    if (code != 0 || SANITIZED)
        return code;
    const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    if (!filter)
        return am_fail(err, -ENOMEM, "system call filter: out of memory");
    code = fill_filter(filter, starts_programs);
    if (code == 0)
        code = seccomp_load(filter);
    seccomp_release(filter);
    return code == 0 ? 0 : am_fail(err, code, "system call filter: %s", strerror(-code));
}

/* ---- Capabilities ---- */

static int read_capabilities(struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capget, &header, data) == 0 ? 0 : -errno;
}

static int write_capabilities(const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capset, &header, data) == 0 ? 0 : -errno;
}

/* What an exec could get back. Without CAP_SETPCAP it stays, and no new privileges keeps it out of reach. */
static void drop_bounding_set(uint64_t kept)
{
    for (unsigned number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++) {
        if (!(kept & CONFINE_CAPABILITY(number)))
            prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
    }
}

/* The ambient set follows: it never holds more than the inheritable one. */
static int limit_capabilities(const struct confine_options *options, struct am_err *err)
{
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    const uint64_t kept = options->capabilities | SANITIZER_CAPABILITIES;
    int code = read_capabilities(data);
    if (code == 0) {
        drop_bounding_set(kept);
        for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
            const uint32_t mask = (uint32_t)(kept >> 32 * i);
            data[i].permitted &= mask;
            data[i].effective = data[i].permitted;
            data[i].inheritable &= mask;
        }
        code = write_capabilities(data);
    }
    return code == 0 ? 0 : am_fail(err, code, "capabilities: %s", strerror(-code));
}

/* ---- All ---- */

/* Capabilities and groups are a thread's. */
static int expect_one_thread(struct am_err *err)
{
    DIR *const tasks = opendir("/proc/self/task");
    unsigned count = 0;
    if (!tasks)
        return am_fail(err, -errno, "/proc/self/task: %s", strerror(errno));
    for (const struct dirent *task = readdir(tasks); task; task = readdir(tasks))
        count += task->d_name[0] != '.';
    closedir(tasks);
    return count == 1 ? 0 : am_fail(err, -EBUSY, "privileges are given up with %u threads running", count);
}

/* Whoever may not change them has none that a container or a service manager did not choose. */
static int drop_groups(struct am_err *err)
{
    if (geteuid() != 0 || setgroups(0, NULL) == 0 || errno == EPERM)
        return 0;
    return am_fail(err, -errno, "supplementary groups: %s", strerror(errno));
}

int confine_process(const struct confine_options *options, struct am_err *err)
{
    int code = SANITIZED ? 0 : expect_one_thread(err);
    if (code == 0)
        code = drop_groups(err);
    if (code == 0)
        code = limit_capabilities(options, err);
    if (code == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        code = am_fail(err, -errno, "no new privileges: %s", strerror(errno));
    return code == 0 ? limit_system_calls(options->starts_programs, err) : code;
}
