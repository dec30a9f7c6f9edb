/* Runs meshes of real cores in made-up worlds, one per seed.
 *
 *     sim [--seed S] [--seeds N] [--nodes N | --nodes LOW..HIGH] [--verbose]
 *
 * Runs the seeds S to S + N - 1 (default: 1, one). Of a range, each seed draws its number of nodes, small
 * ones more often: large meshes take longer than they find more. Prints figures, one `name value` per line,
 * and a closing line. Exits 0 when all passed, 1 when one failed, 2 for a wrong call. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/world.h"

#define SIM_NODES_MAX 200

struct options {
    uint64_t seed;
    uint64_t seeds;
    uint32_t nodes_low;
    uint32_t nodes_high;
    bool verbose;
};

struct totals {
    uint64_t passed;
    uint64_t failed;
    uint64_t events;
    uint64_t simulated_ms;
    uint64_t heal_ms_max;
    uint64_t heal_ms_sum;
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
        {"verbose", no_argument, NULL, 'v'},
        {0},
    };
    uint64_t number;
    int option;

    *options = (struct options){.seed = 1, .seeds = 1, .nodes_low = 3, .nodes_high = 3};
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 's' && parse_number(optarg, 0, UINT64_MAX / 2, &number))
            options->seed = number;
        else if (option == 'c' && parse_number(optarg, 1, UINT32_MAX, &number))
            options->seeds = number;
        else if (option == 'n' && parse_nodes(optarg, options))
            continue;
        else if (option == 'v')
            options->verbose = true;
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

/* Returns the trace of the run. */
static uint64_t run_seed(const struct options *options, uint64_t seed, struct totals *totals)
{
    struct world world = {.seed = seed, .nodes_len = draw_nodes(options, seed), .verbose = options->verbose};

    world_run(&world);
    if (world.failure[0] != '\0') {
        totals->failed++;
        printf("seed %llu failed %s\n  replay: sim --seed %llu --nodes %u --verbose\n",
               (unsigned long long)seed, world.failure, (unsigned long long)seed, world.nodes_len);
    } else {
        uint64_t heal_ms =
            world.healed_ms > world.faults.quiet_ms ? world.healed_ms - world.faults.quiet_ms : 0;
        totals->passed++;
        totals->heal_ms_sum += heal_ms;
        if (totals->heal_ms_max < heal_ms)
            totals->heal_ms_max = heal_ms;
    }
    totals->events += world.events;
    totals->simulated_ms += world.now_ms;
    const uint64_t trace = world.trace;
    world_free(&world);
    return trace;
}

/* A run can only be replayed when nothing but the seed decides it. */
static void check_replay(const struct options *options, uint64_t trace, struct totals *totals)
{
    struct options quiet = *options;
    struct totals again = {0};

    quiet.verbose = false;
    if (run_seed(&quiet, options->seed, &again) == trace)
        return;
    printf("seed %llu does not replay\n", (unsigned long long)options->seed);
    totals->failed++;
}

static void print_figures(const struct options *options, const struct totals *totals)
{
    printf("sim_nodes %u\n", options->nodes_high);
    printf("sim_events %llu\n", (unsigned long long)totals->events);
    printf("sim_simulated_seconds %llu\n", (unsigned long long)(totals->simulated_ms / 1000));
    printf("sim_heal_ms_mean %llu\n",
           (unsigned long long)(totals->passed != 0 ? totals->heal_ms_sum / totals->passed : 0));
    printf("sim_heal_ms_max %llu\n", (unsigned long long)totals->heal_ms_max);
    printf("sim: %llu passed, %llu failed\n", (unsigned long long)totals->passed,
           (unsigned long long)totals->failed);
}

int main(int argc, char **argv)
{
    struct options options;
    struct totals totals = {0};

    if (!parse_options(argc, argv, &options)) {
        fprintf(
            stderr,
            "usage: sim [--seed S] [--seeds N] [--nodes N | --nodes LOW..HIGH] [--verbose], nodes 2 to %d\n",
            SIM_NODES_MAX);
        return 2;
    }
    for (uint64_t i = 0; i < options.seeds; i++) {
        uint64_t trace = run_seed(&options, options.seed + i, &totals);
        if (i == 0)
            check_replay(&options, trace, &totals);
    }
    print_figures(&options, &totals);
    return totals.failed == 0 ? 0 : 1;
}
