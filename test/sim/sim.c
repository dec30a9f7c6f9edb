/* Runs meshes of real cores in made-up worlds, one per seed.
 *
 *     sim [--seed S] [--seeds N] [--nodes N | --nodes LOW..HIGH] [--jobs J] [--trace]
 *     sim --breaks
 *
 * Runs the seeds S to S + N - 1 (default: 1, one), in J processes. Of a range, each seed draws its number of
 * nodes, small ones more often: large meshes take longer than they find more. Prints figures, one `name
 * value` per line, and a closing line. Exits 0 when all passed, 1 when one failed, 2 for a wrong call.
 * --trace tells what happens, --breaks shows that every check can fail. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/sim/world.h"

#define SIM_NODES_MAX 1000
#define SIM_JOBS_MAX 64
#define SIM_REPLAY_MAX 200 /* nodes; larger meshes are not run twice */

struct options {
    uint64_t seed;
    uint64_t seeds;
    uint32_t nodes_low;
    uint32_t nodes_high;
    uint32_t jobs;
    bool traced;
    bool breaks;
};

struct totals {
    uint64_t passed;
    uint64_t failed;
    uint64_t events;
    uint64_t simulated_ms;
    uint64_t heal_ms_max;
    uint64_t heal_ms_sum;
    uint64_t nodes_max;
};

static bool parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *out >= low && *out <= high;
}

/* A number, or two with ".." between them. */
static bool parse_nodes(const char *text, struct options *options)
{
    char low[16];
    const char *dots = strstr(text, "..");
    size_t len = dots ? (size_t)(dots - text) : strlen(text);
    uint64_t first, last;

    if (len >= sizeof(low))
        return false;
    memcpy(low, text, len);
    low[len] = '\0';
    if (!parse_number(low, 2, SIM_NODES_MAX, &first) ||
        !parse_number(dots ? dots + 2 : low, first, SIM_NODES_MAX, &last))
        return false;
    options->nodes_low = (uint32_t)first;
    options->nodes_high = (uint32_t)last;
    return true;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'c'},
        {"nodes", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'},
        {"trace", no_argument, NULL, 't'},
        {"breaks", no_argument, NULL, 'b'},
        {0},
    };
    uint64_t number;
    int option;

    *options = (struct options){.seed = 1, .seeds = 1, .nodes_low = 3, .nodes_high = 3, .jobs = 1};
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 's' && parse_number(optarg, 0, UINT64_MAX / 2, &number))
            options->seed = number;
        else if (option == 'c' && parse_number(optarg, 1, UINT32_MAX, &number))
            options->seeds = number;
        else if (option == 'j' && parse_number(optarg, 1, SIM_JOBS_MAX, &number))
            options->jobs = (uint32_t)number;
        else if (option == 'n' && parse_nodes(optarg, options))
            continue;
        else if (option == 't')
            options->traced = true;
        else if (option == 'b')
            options->breaks = true;
        else
            return false;
    }
    return optind == argc;
}

/* The least of a few draws. */
static uint32_t draw_nodes(const struct options *options, uint64_t seed)
{
    struct rng rng = {.state = seed};
    uint64_t nodes = options->nodes_high;

    for (int i = 0; i < 4; i++) {
        uint64_t draw = rng_between(&rng, options->nodes_low, options->nodes_high);
        nodes = draw < nodes ? draw : nodes;
    }
    return (uint32_t)nodes;
}

static void take_outcome(const struct world *world, struct totals *totals)
{
    const uint64_t quiet_ms = world->faults.quiet_ms;

    totals->events += world->events;
    totals->simulated_ms += world->now_ms;
    if (totals->nodes_max < world->nodes_len)
        totals->nodes_max = world->nodes_len;
    if (world->failure[0] != '\0') {
        totals->failed++;
        printf("seed %llu failed %s\n  replay: sim --seed %llu --nodes %u --trace\n",
               (unsigned long long)world->seed, world->failure, (unsigned long long)world->seed,
               world->nodes_len);
        return;
    }
    const uint64_t heal_ms = world->healed_ms > quiet_ms ? world->healed_ms - quiet_ms : 0;
    totals->passed++;
    totals->heal_ms_sum += heal_ms;
    if (totals->heal_ms_max < heal_ms)
        totals->heal_ms_max = heal_ms;
}

/* Returns the hash of all that happened. */
static uint64_t run_seed(const struct options *options, uint64_t seed, struct totals *totals)
{
    struct world world = {.seed = seed, .nodes_len = draw_nodes(options, seed), .traced = options->traced};

    world_run(&world);
    take_outcome(&world, totals);
    const uint64_t trace = world.trace;
    world_free(&world);
    return trace;
}

/* A run can only be replayed when nothing but the seed decides it. */
static void check_replay(const struct options *options, uint64_t trace, struct totals *totals)
{
    struct options quiet = *options;
    struct totals again = {0};

    quiet.traced = false;
    if (run_seed(&quiet, options->seed, &again) == trace)
        return;
    printf("seed %llu does not replay\n", (unsigned long long)options->seed);
    totals->failed++;
}

/* Every seed of one job. */
static struct totals run_job(const struct options *options, uint32_t job)
{
    struct totals totals = {0};

    for (uint64_t i = job; i < options->seeds; i += options->jobs) {
        const uint64_t trace = run_seed(options, options->seed + i, &totals);
        if (i == 0 && draw_nodes(options, options->seed) <= SIM_REPLAY_MAX)
            check_replay(options, trace, &totals);
        fflush(stdout);
    }
    return totals;
}

static void add_totals(struct totals *sum, const struct totals *part)
{
    sum->passed += part->passed;
    sum->failed += part->failed;
    sum->events += part->events;
    sum->simulated_ms += part->simulated_ms;
    sum->heal_ms_sum += part->heal_ms_sum;
    if (sum->heal_ms_max < part->heal_ms_max)
        sum->heal_ms_max = part->heal_ms_max;
    if (sum->nodes_max < part->nodes_max)
        sum->nodes_max = part->nodes_max;
}

/* Starts a process for a job, which writes its totals into the pipe. */
static void start_job(const struct options *options, uint32_t job, const int ends[2])
{
    const pid_t pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid > 0)
        return;
    const struct totals totals = run_job(options, job);
    const bool told = write(ends[1], &totals, sizeof(totals)) == sizeof(totals);
    _exit(told ? 0 : 1);
}

/* A job that dies leaves no totals: its seeds are missed in the sum. */
static struct totals run_jobs(const struct options *options)
{
    struct totals totals = {0}, part;
    int ends[2];

    if (pipe(ends) < 0) {
        perror("pipe");
        exit(1);
    }
    for (uint32_t job = 0; job < options->jobs; job++)
        start_job(options, job, ends);
    close(ends[1]);
    while (read(ends[0], &part, sizeof(part)) == sizeof(part))
        add_totals(&totals, &part);
    close(ends[0]);
    while (wait(NULL) > 0)
        continue;
    if (totals.passed + totals.failed < options->seeds)
        totals.failed += options->seeds - totals.passed - totals.failed;
    return totals;
}

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_figures(const struct options *options, const struct totals *totals, double seconds)
{
    printf("seeds %llu\n", (unsigned long long)options->seeds);
    printf("nodes_max %llu\n", (unsigned long long)totals->nodes_max);
    printf("events %llu\n", (unsigned long long)totals->events);
    printf("events_per_s %.0f\n", (double)totals->events / seconds);
    printf("simulated_seconds %llu\n", (unsigned long long)(totals->simulated_ms / 1000));
    printf("heal_ms_mean %llu\n",
           (unsigned long long)(totals->passed != 0 ? totals->heal_ms_sum / totals->passed : 0));
    printf("heal_ms_max %llu\n", (unsigned long long)totals->heal_ms_max);
    printf("sim: %llu passed, %llu failed\n", (unsigned long long)totals->passed,
           (unsigned long long)totals->failed);
}

int main(int argc, char **argv)
{
    struct options options;

    if (!parse_options(argc, argv, &options)) {
        fprintf(stderr,
                "usage: sim [--seed S] [--seeds N] [--nodes N | --nodes LOW..HIGH] [--jobs J] [--trace]\n"
                "       sim --breaks\n"
                "nodes 2 to %d\n",
                SIM_NODES_MAX);
        return 2;
    }
    if (secret_init() < 0)
        return 1;
    if (options.breaks)
        return breaks_prove() == 0 ? 0 : 1;
    const double began = seconds_now();
    const struct totals totals = options.jobs == 1 ? run_job(&options, 0) : run_jobs(&options);
    print_figures(&options, &totals, seconds_now() - began);
    return totals.failed == 0 ? 0 : 1;
}
