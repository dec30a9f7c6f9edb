/* cluster-mesh-agent: reads the configuration, then runs the shell until a signal or a reason to give up. */
#include <event2/event.h>
#include <event2/thread.h>
#include <getopt.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/config_variable.h"
#include "agent/confine.h"
#include "agent/log.h"
#include "agent/program.h"
#include "agent/shell/shell.h"
#include "crypto/secret.h"

static void print_help(void)
{
    printf("Usage: cluster-mesh-agent [--config FILE] [--check] [--help] [--version]\n"
           "\n"
           "Joins this confidential VM to its AttestMesh cluster and keeps it there.\n"
           "\n"
           "  --config FILE  read variables from FILE instead of " CONFIG_FILE_DEFAULT "\n"
           "  --check        check the configuration and exit\n"
           "\n"
           "Variables, from the environment or the file (the environment wins):\n\n");
    for (size_t i = 0; i < config_variables_len; i++) {
        const struct config_variable *variable = &config_variables[i];
        printf("  %-20s %s", variable->name, variable->allowed);
        if (variable->required)
            printf(" (required)");
        else if (variable->fallback)
            printf(" (default %s)", variable->fallback);
        printf("\n");
    }
    printf("\nExit status: 0 after SIGTERM or SIGINT, 78 when the operator must change something, 1 "
           "otherwise.\n");
}

static void on_signal(evutil_socket_t signal_number, short what, void *user)
{
    (void)what;
    log_info("agent.stopping", log_int("signal", signal_number));
    event_base_loopexit(user, NULL);
}

static void warn_of_unlocked_secrets(void)
{
    const uint64_t limit = secret_lock_limit();
    if (limit < SECRET_LOCKED_MAX)
        log_warn("agent.secrets_unlocked", log_uint("memlock", limit), log_uint("wanted", SECRET_LOCKED_MAX),
                 log_text("remedy", "raise RLIMIT_MEMLOCK (containers: --ulimit memlock), or have no swap"));
}

/* What is left opens a port, sets up the device and enlarges UDP buffers. */
static int give_up_privileges(const struct config *config, const struct shell *shell, struct am_err *err)
{
    struct confine_options options = {.capabilities = CONFINE_CAPABILITY(CAP_NET_ADMIN),
                                      .starts_programs = shell_starts_programs(shell)};
    if (config->wg_tcp_port < IPPORT_RESERVED || config->wg_listen_port < IPPORT_RESERVED)
        options.capabilities |= CONFINE_CAPABILITY(CAP_NET_BIND_SERVICE);
    return confine_process(&options, err);
}

static int run(const struct config *config)
{
    struct am_err err = {.code = -1, .text = "out of memory"};
    struct event_base *base = event_base_new();
    struct program_signals signals = {0};
    const bool watched = base && program_signals_watch(&signals, base, on_signal, base) == 0;
    struct event *refused = NULL;
    struct shell *shell = watched ? shell_new(base, config, &err) : NULL;
    int status;
    if (shell && give_up_privileges(config, shell, &err) == 0)
        refused = confine_watch(base);
    if (refused) {
        warn_of_unlocked_secrets();
        log_info("agent.started", log_text("version", ATTESTMESH_VERSION));
        shell_start(shell);
        event_base_dispatch(base);
        status = program_exit_status(shell_exit_code(shell));
    } else {
        status = program_refuse_start("agent.not_started", &err);
    }
    shell_free(shell);
    if (refused)
        event_free(refused);
    program_signals_clear(&signals);
    if (base)
        event_base_free(base);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    const char *path = CONFIG_FILE_DEFAULT;
    bool check_only = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'c': path = optarg; break;
        case 'n': check_only = true; break;
        case 'h': print_help(); return EXIT_SUCCESS;
        case 'v': printf("cluster-mesh-agent %s\n", ATTESTMESH_VERSION); return EXIT_SUCCESS;
        default: return EX_USAGE;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "cluster-mesh-agent: unexpected argument %s\n", argv[optind]);
        return EX_USAGE;
    }

    struct am_err err = {.code = -1, .text = "out of memory"};
    struct config *config;
    signal(SIGPIPE, SIG_IGN);
    program_log_libevent();
    if (secret_init() != 0 || evthread_use_pthreads() != 0) {
        am_fail(&err, -1, "the cryptographic library or core dump protection can not be set up");
        return program_refuse_start("agent.not_started", &err);
    }
    if (config_load(path, environ, &config, &err) != 0)
        return program_refuse_start("agent.not_started", &err);
    log_configure(config->log_level, config->log_format);
    const int status = check_only ? EXIT_SUCCESS : run(config);
    config_free(config);
    return status;
}
