/* wireguard-go, started by us and then on its own, driven over its socket. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "netlink/backend.h"
#include "netlink/uapi_text.h"

#define SOCKET_FOLDER "/var/run/wireguard"
#define PROGRAM "wireguard-go"
#define EXCHANGE_TIMEOUT_MS 2000
#define START_TIMEOUT_MS 5000
#define BUFFER_SIZE 32768

struct wg_backend {
    char *buffer; /* secret memory: both directions carry private keys */
    char ifname[WG_IFNAME_SIZE];
    char program[4096];
};

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define FD_AUTO __attribute__((cleanup(close_fd))) int

/* A connected socket or a negative errno. A local connect does not wait unless the other side's queue is
 * full, and then it fails. */
static int connect_device(const char *ifname)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), SOCKET_FOLDER "/%s.sock", ifname);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        const int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

bool wg_uapi_answers(const char *ifname)
{
    FD_AUTO fd = connect_device(ifname);
    return fd >= 0;
}

/* 0 when `fd` is ready for `events`, -ETIMEDOUT at the deadline. */
static int wait_ready(int fd, short events, int64_t deadline_ms)
{
    struct pollfd entry = {.fd = fd, .events = events};
    for (;;) {
        const int64_t left = deadline_ms - clock_ms();
        const int ready = left > 0 ? poll(&entry, 1, (int)left) : 0;
        if (ready > 0)
            return 0;
        if (ready == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static int send_all(int fd, const char *text, size_t len, int64_t deadline_ms)
{
    while (len > 0) {
        const ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent >= 0) {
            text += sent;
            len -= (size_t)sent;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        const int rc = wait_ready(fd, POLLOUT, deadline_ms);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Feeds the answer to the reader until it ends. */
static int receive_answer(struct wg_backend *b, int fd, struct uapi_reader *reader, int64_t deadline_ms,
                          struct am_err *err)
{
    for (;;) {
        int rc = wait_ready(fd, POLLIN, deadline_ms);
        if (rc < 0)
            return am_fail(err, rc, "WireGuard socket: %s", strerror(-rc));
        const ssize_t len = recv(fd, b->buffer, BUFFER_SIZE, 0);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (len < 0)
            return am_fail(err, -errno, "WireGuard socket: %s", strerror(errno));
        if (len == 0)
            return am_fail(err, -EPIPE, "WireGuard socket: closed in the middle of an answer");
        rc = uapi_reader_feed(reader, b->buffer, (size_t)len, err);
        secret_wipe(b->buffer, (size_t)len);
        if (rc != UAPI_MORE)
            return rc;
    }
}

/* Sends the first `len` bytes of the buffer and reads the answer. */
static int exchange(struct wg_backend *b, size_t len, struct wg_device_observed *device, struct am_err *err)
{
    const int64_t deadline_ms = clock_ms() + EXCHANGE_TIMEOUT_MS;
    FD_AUTO fd = connect_device(b->ifname);
    int rc = fd < 0 ? fd : send_all(fd, b->buffer, len, deadline_ms);
    secret_wipe(b->buffer, len);
    if (rc < 0)
        return am_fail(err, rc, "no WireGuard answers on " SOCKET_FOLDER "/%s.sock: %s", b->ifname,
                       strerror(-rc));
    struct uapi_reader *reader = uapi_reader_new(device);
    if (!reader)
        return am_fail(err, -ENOMEM, "no memory for the answer of " PROGRAM);
    rc = receive_answer(b, fd, reader, deadline_ms, err);
    uapi_reader_free(reader);
    return rc;
}

/* The first executable of this name on PATH. */
static bool find_program(char *out, size_t size)
{
    const char *path = getenv("PATH");
    if (!path || !*path)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    while (*path) {
        const size_t len = strcspn(path, ":");
        const int written = snprintf(out, size, "%.*s/" PROGRAM, (int)len, path);
        if (len > 0 && written > 0 && (size_t)written < size && access(out, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

static void uapi_close(struct wg_backend *b)
{
    if (!b)
        return;
    secret_buffer_free(b->buffer);
    free(b);
}

static struct wg_backend *uapi_open(const char *ifname, struct am_err *err)
{
    struct wg_backend *b = calloc(1, sizeof(*b));
    if (b)
        b->buffer = secret_buffer_new(BUFFER_SIZE);
    if (!b || !b->buffer) {
        am_fail(err, -ENOMEM, "no memory for the socket buffer");
        uapi_close(b);
        return NULL;
    }
    memcpy(b->ifname, ifname, strlen(ifname) + 1);
    if (!find_program(b->program, sizeof(b->program)) && !wg_uapi_answers(ifname)) {
        am_fail(err, AM_ECONFIG,
                "no " PROGRAM " on PATH: install the package " PROGRAM
                ", or set WG_BACKEND=kernel where the kernel has "
                "WireGuard");
        uapi_close(b);
        return NULL;
    }
    return b;
}

/* What the child inherits: nothing but /dev/null three times, no signal setting, no environment of ours. */
static int prepare_child(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, STDIN_FILENO, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, STDIN_FILENO, STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (rc == 0)
        rc = posix_spawn_file_actions_addchdir_np(actions, "/");
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes,
                                      POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return rc;
}

static int spawn_program(struct wg_backend *b, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *const argv[] = {b->program, b->ifname, NULL};
    char *const environment[] = {NULL};
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return -rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = prepare_child(&actions, &attributes);
        if (rc == 0)
            rc = posix_spawn(pid, b->program, &actions, &attributes, argv, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

/* wireguard-go opens device and socket, leaves a child of its own behind and exits. */
static int await_start(struct wg_backend *b, pid_t pid, struct am_err *err)
{
    int status = 0;
    FD_AUTO fd = pidfd_open(pid, 0);
    const int rc = fd < 0 ? 0 : wait_ready(fd, POLLIN, clock_ms() + START_TIMEOUT_MS);
    if (rc < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return am_fail(err, rc, PROGRAM " did not start %s within %d ms", b->ifname, START_TIMEOUT_MS);
    }
    if (waitpid(pid, &status, 0) < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return 0;
    if (access("/dev/net/tun", R_OK | W_OK) != 0)
        return am_fail(err, -ENODEV, PROGRAM " can not make %s: no access to /dev/net/tun", b->ifname);
    return am_fail(err, AM_EREMOTE, PROGRAM " could not make %s (%s %d); run it in the foreground to see why",
                   b->ifname, WIFEXITED(status) ? "exit status" : "signal",
                   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* A wireguard-go whose device was deleted ends by itself, but keeps its socket for a moment. */
static int await_end_of_former(struct wg_backend *b, struct am_err *err)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    const int64_t deadline_ms = clock_ms() + EXCHANGE_TIMEOUT_MS;
    while (wg_uapi_answers(b->ifname)) {
        if (clock_ms() > deadline_ms)
            return am_fail(err, -EADDRINUSE,
                           "another WireGuard answers on " SOCKET_FOLDER
                           "/%s.sock, but %s is not in this network "
                           "namespace",
                           b->ifname, b->ifname);
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int uapi_create(struct wg_backend *b, struct link_socket *links, struct am_err *err)
{
    pid_t pid = -1;
    (void)links;
    int rc = await_end_of_former(b, err);
    if (rc < 0)
        return rc;
    rc = spawn_program(b, &pid);
    if (rc < 0)
        return am_fail(err, rc, "start " PROGRAM ": %s", strerror(-rc));
    return await_start(b, pid, err);
}

static int uapi_dump(struct wg_backend *b, struct wg_device_observed *device, struct am_err *err)
{
    memcpy(b->buffer, UAPI_GET, sizeof(UAPI_GET));
    return exchange(b, strlen(UAPI_GET), device, err);
}

static int uapi_apply(struct wg_backend *b, const struct wg_edit *edits, size_t len, struct am_err *err)
{
    for (size_t done = 0, taken; done < len; done += taken) {
        size_t text_len;
        struct wg_device_observed nothing = {0};
        taken = uapi_build_set(b->buffer, BUFFER_SIZE, edits + done, len - done, &text_len);
        if (taken == 0)
            return am_fail(err, -EMSGSIZE, "an edit does not fit a request");
        const int rc = exchange(b, text_len, &nothing, err);
        wg_device_clear(&nothing);
        if (rc < 0)
            return rc;
    }
    return 0;
}

const struct wg_backend_ops wg_uapi_ops = {
    .link_kind = "tun",
    .open = uapi_open,
    .close = uapi_close,
    .create = uapi_create,
    .dump = uapi_dump,
    .apply = uapi_apply,
};
