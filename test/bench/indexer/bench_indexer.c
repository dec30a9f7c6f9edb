/* The hub's figures, as `name value` lines: memory at rest, fan-out beside nats-server, replay.
 *
 *   bench_indexer SUBSCRIBERS CLUSTER_SIZE ROUNDS REPLAY_LOGS NATS_PORT STORE_PATH
 *
 * The hub is a process of its own; this one holds all the subscribers. Each round sends one event of one
 * cluster to its members, then the same bytes to as many subscribers of nats-server, both over TLS. */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "test/bench/indexer/crowd.h"
#include "test/bench/indexer/hub_process.h"

#define REPLAY_BLOCK_LOGS 1000
#define SETTLE_MS 2000
#define JOIN_PAUSE 100 /* connections between looks at what came */

struct bench {
    size_t subscribers, cluster_size, rounds, replay_logs;
    uint16_t nats_port;
    struct hub_process hub;
    struct wire_cursor tip; /* when all were registered */
    struct secret *seed;
};

static void join_hub(const struct bench *bench, struct crowd *crowd, size_t number)
{
    struct wire_hello hello = hub_process_hello(number, bench->cluster_size, bench->seed);
    hello.has_cursor = true;
    hello.cursor = bench->tip;
    crowd_join_hub(crowd, bench->hub.port, bench->seed, &hello);
}

static struct crowd *gather_members(const struct bench *bench, size_t from, size_t to)
{
    struct crowd *crowd = crowd_new(crowd_take_hub, to - from);
    for (size_t i = from; i < to; i++) {
        join_hub(bench, crowd, i);
        if (i % JOIN_PAUSE == 0)
            crowd_read(crowd, 0);
    }
    return crowd;
}

/* The members of the other clusters, in a process of its own: a process may hold so many files only. */
static pid_t gather_others(const struct bench *bench)
{
    const pid_t pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct crowd *crowd = gather_members(bench, bench->cluster_size, bench->subscribers);
    for (;;)
        crowd_read(crowd, SETTLE_MS);
}

/* Everybody; the first cluster's members are the result. */
static struct crowd *gather(const struct bench *bench, pid_t *others)
{
    *others = gather_others(bench);
    struct crowd *crowd = gather_members(bench, 0, bench->cluster_size);
    while (hub_process_state(&bench->hub).live < bench->subscribers)
        crowd_read(crowd, SETTLE_MS);
    crowd_read(crowd, SETTLE_MS);
    return crowd;
}

static struct crowd *gather_nats(const struct bench *bench, SSL **publisher)
{
    struct crowd *crowd = crowd_new(crowd_take_nats, bench->cluster_size);
    for (size_t i = 0; i < bench->cluster_size; i++)
        *publisher = crowd_join_nats(crowd, bench->nats_port);
    crowd_read(crowd, SETTLE_MS);
    return crowd;
}

/* ---- Memory ---- */

static void print_memory(const struct bench *bench, const struct hub_process_state *before)
{
    const struct hub_process_state full = hub_process_state(&bench->hub);
    const double grown = (double)(full.rss_bytes - before->rss_bytes);
    const double tls = (double)(full.tls_bytes - before->tls_bytes);
    const double kb = 1024.0 * (double)bench->subscribers;
    printf("subscribers %llu\n", (unsigned long long)full.sessions);
    printf("subscriber_kb %.1f\n", (grown - tls) / kb);
    printf("subscriber_tls_kb %.1f\n", tls / kb);
    printf("indexer_rss_mb %.0f\n", (double)full.rss_bytes / (1 << 20));
}

/* ---- Fan-out ---- */

static int compare(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void note_delays(const struct bench *bench, const struct crowd *crowd, uint64_t since_ns,
                        uint64_t *delays_ns)
{
    const uint64_t *const arrivals_ns = crowd_arrivals(crowd);
    for (size_t i = 0; i < bench->cluster_size; i++)
        delays_ns[i] = arrivals_ns[i] - since_ns;
}

/* A frame as long as the hub's for such an event. */
static size_t publication(char *out, size_t size)
{
    enum { PUSH_SIZE = 590 };
    const int len = snprintf(out, size, "PUB e %d\r\n%0*d\r\n", PUSH_SIZE, PUSH_SIZE, 0);
    return (size_t)len;
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static uint64_t percentile(uint64_t *values, size_t len, size_t percent)
{
    qsort(values, len, sizeof(*values), compare);
    return values[len * percent / 100];
}

static void measure_fanout(const struct bench *bench, struct crowd *hub_crowd)
{
    const size_t size = bench->cluster_size;
    SSL *publisher = NULL;
    struct crowd *nats_crowd = gather_nats(bench, &publisher);
    uint64_t *ours_ns = calloc(size * bench->rounds, sizeof(*ours_ns));
    uint64_t *theirs_ns = calloc(size * bench->rounds, sizeof(*theirs_ns));
    uint64_t ours_total_ns = 0, theirs_total_ns = 0;
    char words[1024];
    const size_t words_len = publication(words, sizeof(words));
    if (!ours_ns || !theirs_ns)
        err(1, "fanout");
    for (size_t round = 0; round < bench->rounds; round++) {
        crowd_reset(hub_crowd);
        hub_process_ask(&bench->hub, 0, 1);
        crowd_await(hub_crowd, size);
        const uint64_t ours_end_ns = crowd_now_ns();
        const uint64_t ours_at_ns = hub_process_answer(&bench->hub).at_ns;
        note_delays(bench, hub_crowd, ours_at_ns, ours_ns + round * size);
        ours_total_ns += ours_end_ns - ours_at_ns;

        crowd_reset(nats_crowd);
        const uint64_t theirs_at_ns = crowd_now_ns();
        crowd_write(publisher, words, words_len);
        crowd_await(nats_crowd, size);
        note_delays(bench, nats_crowd, theirs_at_ns, theirs_ns + round * size);
        theirs_total_ns += crowd_now_ns() - theirs_at_ns;
    }
    printf("fanout_p99_ms %.1f\n", ms(percentile(ours_ns, size * bench->rounds, 99)));
    printf("nats_fanout_p99_ms %.1f\n", ms(percentile(theirs_ns, size * bench->rounds, 99)));
    printf("fanout_vs_nats %.2f\n", (double)theirs_total_ns / (double)ours_total_ns);
    free(ours_ns);
    free(theirs_ns);
    crowd_free(nats_crowd);
}

/* ---- Replay ---- */

/* The last member is alone in its cluster. */
static void measure_replay(const struct bench *bench)
{
    const size_t number = bench->subscribers, cluster = number / bench->cluster_size;
    struct crowd *crowd = crowd_new(crowd_take_hub, 1);
    for (size_t logs = 0; logs < bench->replay_logs; logs += REPLAY_BLOCK_LOGS)
        hub_process_append(&bench->hub, cluster, REPLAY_BLOCK_LOGS);
    const uint64_t since_ns = crowd_now_ns();
    join_hub(bench, crowd, number);
    crowd_await(crowd, bench->replay_logs);
    printf("replay_logs_per_s %.0f\n",
           1e9 * (double)bench->replay_logs / (double)(crowd_now_ns() - since_ns));
    crowd_free(crowd);
}

/* ---- All ---- */

int main(int argc, char **argv)
{
    if (argc != 7)
        errx(2, "bench_indexer SUBSCRIBERS CLUSTER_SIZE ROUNDS REPLAY_LOGS NATS_PORT STORE_PATH");
    struct bench bench = {
        .subscribers = strtoul(argv[1], NULL, 10),
        .cluster_size = strtoul(argv[2], NULL, 10),
        .rounds = strtoul(argv[3], NULL, 10),
        .replay_logs = strtoul(argv[4], NULL, 10),
        .nats_port = (uint16_t)strtoul(argv[5], NULL, 10),
    };
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench.hub = hub_process_start(argv[6], bench.subscribers + 1, bench.cluster_size);
    if (secret_init() != 0 || !(bench.seed = secret_new()))
        errx(1, "the cryptographic library can not be started");
    const struct hub_process_state before = hub_process_state(&bench.hub);
    bench.tip = before.tip;
    pid_t others;
    struct crowd *crowd = gather(&bench, &others);
    print_memory(&bench, &before);
    measure_fanout(&bench, crowd);
    crowd_free(crowd);
    kill(others, SIGKILL);
    measure_replay(&bench);
    secret_free(bench.seed);
    hub_process_stop(&bench.hub);
    return 0;
}
