/* attestmesh-indexer: reads the configuration, then serves until a signal or a reason to give up. */
#include <event2/event.h>
#include <getopt.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "agent/confine.h"
#include "agent/program.h"
#include "crypto/secret.h"
#include "indexer/hub.h"
#include "indexer/service.h"

#define STOP_S 1 /* for the last words to the subscribers */

struct program {
    struct event_base *base;
    struct service *service;
};

static void print_help(void)
{
    printf("Usage: attestmesh-indexer [--check] [--help] [--version]\n"
           "\n"
           "Follows every AttestMesh cluster of one chain and pushes each member its cluster's events.\n"
           "\n"
           "  --check  check the configuration and exit\n"
           "\n"
           "Variables, from the environment:\n\n");
    indexer_config_print();
    printf("\nExit status: 0 after SIGTERM or SIGINT, 78 when the operator must change something, 1 "
           "otherwise.\n");
}

static void on_signal(evutil_socket_t signal_number, short what, void *user)
{
    static const struct timeval delay = {STOP_S, 0};
    struct program *program = user;
    (void)what;
    log_info("indexer.stopping", log_int("signal", signal_number));
    service_stop(program->service);
    event_base_loopexit(program->base, &delay);
}

/* Each subscriber is a file. Beyond the hard limit only CAP_SYS_RESOURCE leads, which is given up later. */
static void raise_file_limit(void)
{
    const rlim_t wanted = HUB_CONNECTIONS_MAX + HUB_FILES_RESERVED;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    const rlim_t hard = limit.rlim_max;
    limit.rlim_cur = wanted;
    limit.rlim_max = hard > wanted ? hard : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return;
    limit.rlim_cur = limit.rlim_max = hard;
    setrlimit(RLIMIT_NOFILE, &limit);
    log_warn("indexer.files_limited", log_uint("files", hard),
             log_text("remedy", "raise the hard limit of open files (ulimit -Hn): each subscriber is one"));
}

/* Subscribers are accepted later, once the key is known. */
static int give_up_privileges(const struct indexer_config *config, struct am_err *err)
{
    struct confine_options options = {0};
    if (config->listen_port < IPPORT_RESERVED)
        options.capabilities = CONFINE_CAPABILITY(CAP_NET_BIND_SERVICE);
    return confine_process(&options, err);
}

static int run(const struct indexer_config *config)
{
    struct am_err err = {.code = -1, .text = "out of memory"};
    struct program program = {.base = event_base_new()};
    struct program_signals signals = {0};
    struct event *refused = NULL;
    int status;
    const bool watched =
        program.base && program_signals_watch(&signals, program.base, on_signal, &program) == 0;
    program.service = watched ? service_new(program.base, config, &err) : NULL;
    if (program.service && give_up_privileges(config, &err) == 0)
        refused = confine_watch(program.base);
    if (refused) {
        log_info("indexer.started", log_text("version", ATTESTMESH_VERSION));
        event_base_dispatch(program.base);
        status = program_exit_status(service_exit_code(program.service));
    } else {
        status = program_refuse_start("indexer.not_started", &err);
    }
    service_free(program.service);
    if (refused)
        event_free(refused);
    program_signals_clear(&signals);
    if (program.base)
        event_base_free(program.base);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"check", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    bool check_only = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'n': check_only = true; break;
        case 'h': print_help(); return EXIT_SUCCESS;
        case 'v': printf("attestmesh-indexer %s\n", ATTESTMESH_VERSION); return EXIT_SUCCESS;
        default: return EX_USAGE;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "attestmesh-indexer: unexpected argument %s\n", argv[optind]);
        return EX_USAGE;
    }

    struct am_err err = {.code = -1, .text = "the cryptographic library can not be started"};
    struct indexer_config config;
    signal(SIGPIPE, SIG_IGN);
    program_log_libevent();
    if (secret_init() != 0 || indexer_config_load(&config, &err) != 0)
        return program_refuse_start("indexer.not_started", &err);
    log_configure(config.log_level, config.log_format);
    raise_file_limit();
    const int status = check_only ? EXIT_SUCCESS : run(&config);
    indexer_config_clear(&config);
    return status;
}
