#include "test/bench/indexer/hub_process.h"

#include <err.h>
#include <event2/event.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "contracts_abi.h"
#include "indexer/hub.h"
#include "indexer/identity.h"
#include "indexer/ledger.h"

#define REGISTRATIONS_PER_BLOCK 1000
#define LOGS_MAX 2000
#define QUOTE_SIZE 5000 /* as long as a real one */

struct command {
    uint64_t cluster;
    uint64_t logs; /* 0: only the state */
};

/* ---- In the process ---- */

struct fixture {
    struct event_base *base;
    struct store *store;
    struct hub *hub;
    struct watcher_sink sink;
    uint64_t block;
    struct hub_process_state state;
};

static uint64_t tls_bytes;

static void *tls_malloc(size_t size, const char *file, int line)
{
    void *const memory = malloc(size);
    (void)file, (void)line;
    tls_bytes += malloc_usable_size(memory);
    return memory;
}

static void tls_free(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    tls_bytes -= malloc_usable_size(memory);
    free(memory);
}

static void *tls_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    tls_bytes -= malloc_usable_size(memory);
    void *const grown = realloc(memory, size);
    tls_bytes += malloc_usable_size(grown);
    return grown;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t resident_bytes(void)
{
    unsigned long total, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &total, &resident) != 2)
        errx(1, "/proc/self/statm can not be read");
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct address cluster_address(uint64_t number)
{
    struct address address = {{0xc1}};
    be64_write(address.b + 12, number);
    return address;
}

static struct bytes32 member_id(uint64_t number)
{
    struct bytes32 id = {{0xa1}};
    be64_write(id.b + 24, number);
    return id;
}

static void append(struct fixture *fixture, struct eth_log *logs, size_t logs_len)
{
    struct eth_header tip = {.number = ++fixture->block, .timestamp = 1};
    be64_write(tip.hash.b + 24, tip.number);
    fixture->state.tip =
        (struct wire_cursor){.block = tip.number, .log_index = UINT32_MAX, .block_hash = tip.hash};
    for (size_t i = 0; i < logs_len; i++) {
        logs[i].block = tip.number;
        logs[i].block_hash = tip.hash;
        logs[i].index = (uint32_t)i;
    }
    fixture->state.at_ns = now_ns();
    if (fixture->sink.append(fixture->sink.user, &tip, NULL, 0, logs, logs_len) != 0)
        errx(1, "the store does not take a block");
}

static void register_members(struct fixture *fixture, size_t members, size_t cluster_size)
{
    static const struct bytes32 topic = ABI_MEMBER_REGISTERED_TOPIC;
    static struct eth_log logs[REGISTRATIONS_PER_BLOCK];
    static uint8_t data[REGISTRATIONS_PER_BLOCK][96];
    struct secret *seed = secret_new();
    size_t len = 0;
    for (size_t i = 0; i < members; i++) {
        const struct wire_hello hello = hub_process_hello(i, cluster_size, seed);
        struct bytes32 key;
        sign_pubkey_of_seed(seed, &key);
        memcpy(data[len] + 64, key.b, sizeof(key.b));
        logs[len] = (struct eth_log){.address = hello.cluster,
                                     .topics = {topic, hello.member_id, {{0}}, {{1}}},
                                     .topics_len = 4,
                                     .data = data[len],
                                     .data_len = sizeof(data[len])};
        if (++len == REGISTRATIONS_PER_BLOCK || i + 1 == members) {
            append(fixture, logs, len);
            len = 0;
        }
    }
    secret_free(seed);
}

static void on_command(evutil_socket_t fd, short what, void *user)
{
    static const struct bytes32 topic = ABI_DEVICE_ADDED_TOPIC;
    static const uint8_t data[32] = {1};
    static struct eth_log logs[LOGS_MAX];
    struct fixture *fixture = user;
    struct hub_status status;
    struct command command;
    (void)what;
    if (read(fd, &command, sizeof(command)) != sizeof(command)) {
        event_base_loopexit(fixture->base, NULL);
        return;
    }
    for (size_t i = 0; i < command.logs; i++)
        logs[i] = (struct eth_log){.address = cluster_address(command.cluster),
                                   .topics = {topic},
                                   .topics_len = 1,
                                   .data = data,
                                   .data_len = sizeof(data)};
    if (command.logs > 0)
        append(fixture, logs, command.logs);
    hub_status(fixture->hub, &status);
    fixture->state.sessions = status.sessions;
    fixture->state.live = status.live;
    fixture->state.rss_bytes = resident_bytes();
    fixture->state.tls_bytes = tls_bytes;
    if (write(fd, &fixture->state, sizeof(fixture->state)) != sizeof(fixture->state))
        err(1, "control");
}

static void on_appended(void *user, const struct eth_header *tip, const struct store_log *logs,
                        size_t logs_len)
{
    const struct fixture *fixture = user;
    hub_tell_appended(fixture->hub, &(struct store_tip){tip->number, tip->hash}, tip->timestamp, logs,
                      logs_len);
}

static void open_hub(struct fixture *fixture, const struct secret *seed)
{
    static const uint8_t quote[QUOTE_SIZE];
    struct am_err why;
    uint8_t *welcome;
    size_t welcome_len;
    if (wire_build_welcome(quote, sizeof(quote), &welcome, &welcome_len) != 0)
        errx(1, "out of memory");
    const struct hub_config config = {.host = "127.0.0.1",
                                      .chain_id = HUB_PROCESS_CHAIN_ID,
                                      .seed = seed,
                                      .tls = identity_tls_new(seed),
                                      .store = fixture->store,
                                      .welcome = welcome,
                                      .welcome_len = welcome_len};
    if (hub_new(fixture->base, &config, &fixture->hub, &why) != 0)
        errx(1, "%s", why.text);
    free(welcome);
}

/* The process's memory is given back by its end. */
static void serve(int control, const char *store_path, size_t members, size_t cluster_size)
{
    struct fixture fixture = {.base = event_base_new()};
    struct store_identity identity = {.chain_id = HUB_PROCESS_CHAIN_ID};
    struct secret *seed = secret_new();
    struct am_err why;
    bool fresh;
    signal(SIGPIPE, SIG_IGN);
    seed->b[0] = 1;
    sign_pubkey_of_seed(seed, &identity.key);
    if (store_open(store_path, &identity, &fixture.store, &fresh, &why) != 0)
        errx(1, "%s", why.text);
    open_hub(&fixture, seed);
    const struct ledger_config config = {.chain_id = HUB_PROCESS_CHAIN_ID, .seed = seed, .key = identity.key};
    const struct ledger_listener listener = {.appended = on_appended, .user = &fixture};
    fixture.sink = ledger_sink(ledger_new(&config, fixture.store, &listener));
    register_members(&fixture, members, cluster_size);
    const uint16_t port = hub_port(fixture.hub);
    if (write(control, &port, sizeof(port)) != sizeof(port))
        err(1, "control");
    event_add(event_new(fixture.base, control, EV_READ | EV_PERSIST, on_command, &fixture), NULL);
    event_base_dispatch(fixture.base);
}

/* ---- From outside ---- */

struct wire_hello hub_process_hello(size_t number, size_t cluster_size, struct secret *seed)
{
    memset(seed->b, 2, sizeof(seed->b));
    be64_write(seed->b, number);
    return (struct wire_hello){.protocol = WIRE_PROTOCOL,
                               .chain_id = HUB_PROCESS_CHAIN_ID,
                               .cluster = cluster_address(number / cluster_size),
                               .member_id = member_id(number)};
}

struct hub_process hub_process_start(const char *store_path, size_t members, size_t cluster_size)
{
    struct hub_process process = {0};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        err(1, "socketpair");
    process.pid = fork();
    if (process.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        if (CRYPTO_set_mem_functions(tls_malloc, tls_realloc, tls_free) != 1 || secret_init() != 0)
            errx(1, "the cryptographic libraries can not be started");
        serve(ends[1], store_path, members, cluster_size);
        _exit(0);
    }
    close(ends[1]);
    process.control = ends[0];
    if (process.pid < 0 || read(process.control, &process.port, sizeof(process.port)) != sizeof(process.port))
        errx(1, "the hub did not start");
    return process;
}

void hub_process_stop(const struct hub_process *process)
{
    close(process->control);
    waitpid(process->pid, NULL, 0);
}

void hub_process_ask(const struct hub_process *process, size_t cluster, size_t logs)
{
    const struct command command = {.cluster = cluster, .logs = logs};
    if (logs > LOGS_MAX || write(process->control, &command, sizeof(command)) != sizeof(command))
        errx(1, "the hub is gone");
}

struct hub_process_state hub_process_answer(const struct hub_process *process)
{
    struct hub_process_state state;
    if (read(process->control, &state, sizeof(state)) != sizeof(state))
        errx(1, "the hub is gone");
    return state;
}

struct hub_process_state hub_process_append(const struct hub_process *process, size_t cluster, size_t logs)
{
    hub_process_ask(process, cluster, logs);
    return hub_process_answer(process);
}

struct hub_process_state hub_process_state(const struct hub_process *process)
{
    return hub_process_append(process, 0, 0);
}
