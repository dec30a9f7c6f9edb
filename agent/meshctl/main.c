/* meshctl: the operator's view of the node's agent, over its application socket. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/api/client.h"
#include "agent/meshctl/show.h"
#include "crypto/secret.h"
#include "netlink/reconcile.h"

#define ANSWER_TIMEOUT_MS 5000
#define SOCKET_DEFAULT "/run/attestmesh/agent.sock"
#define INTERFACE_DEFAULT "attestmesh0"

enum { EXIT_OK, EXIT_ERROR, EXIT_USAGE, EXIT_UNHEALTHY };

struct options {
    const char *socket;
    bool json;
    bool follow;
    bool check;
    bool yes;
};

static const char usage[] =
    "usage: meshctl [--socket PATH] [--json] COMMAND\n"
    "\n"
    "  status [--check]    what the node is and does; --check: exit 3 unless it is healthy\n"
    "  peers               the other members: address, state, transport, traffic\n"
    "  events [--follow]   the peers as an application is told of them; --follow: and every change from now "
    "on\n"
    "  ops                 this node's operations: purpose, outcome, gas, cost, sponsor\n"
    "  csk [--yes]         print the cluster shared key; asks first, unless --yes\n"
    "  down                remove the WireGuard device of an agent that was stopped\n"
    "\n"
    "  --socket PATH       the agent's socket (AGENT_SOCKET, else " SOCKET_DEFAULT ")\n"
    "  --json              one JSON object per line\n"
    "  --help              this text\n"
    "\n"
    "down takes the device from WG_INTERFACE (else " INTERFACE_DEFAULT ") and WG_BACKEND (else auto).\n"
    "Exit code: 0 done, 1 failed, 2 wrong usage, 3 not healthy.\n";

static int fail(const struct am_err *err)
{
    fflush(stdout);
    fprintf(stderr, "meshctl: %s\n", err->text);
    return EXIT_ERROR;
}

/* Sends a request and waits for its answer, which must be of the kind `expected`. */
static int call(struct api_client *client, const api_Request *request, pb_size_t expected,
                api_Response *response, struct am_err *err)
{
    int code = api_client_send(client, request, err);
    if (code == 0)
        code = api_client_receive(client, ANSWER_TIMEOUT_MS, response, err);
    if (code == 0 && (response->which_body != expected || response->id != request->id))
        code = am_fail(err, AM_EFORMAT, "the agent's answer is not of the kind that was asked for");
    return code;
}

static int run_status(struct api_client *client, const struct options *options)
{
    static api_Response answer, self;
    struct am_err err;
    const api_Request ask_status = {.id = 1, .which_body = api_Request_get_status_tag};
    const api_Request ask_self = {.id = 2, .which_body = api_Request_get_self_tag};
    if (call(client, &ask_status, api_Response_status_tag, &answer, &err))
        return fail(&err);
    const int code = call(client, &ask_self, api_Response_self_tag, &self, &err);
    const bool unknown = code == AM_EREMOTE && self.body.error.code == api_Error_Code_UNAVAILABLE;
    if (code && !unknown)
        return fail(&err);
    const api_Status *status = &answer.body.status;
    (options->json ? show_status_json : show_status_text)(status, unknown ? NULL : &self.body.self);
    return options->check && status->phase != api_Status_Phase_HEALTHY ? EXIT_UNHEALTHY : EXIT_OK;
}

static int run_peers(struct api_client *client, const struct options *options)
{
    static api_Response answer;
    struct am_err err;
    api_Request request = {.id = 1, .which_body = api_Request_list_peers_tag};
    const api_PeerPage *page = &answer.body.peer_page;
    if (!options->json)
        show_peers_header();
    do {
        if (call(client, &request, api_Response_peer_page_tag, &answer, &err))
            return fail(&err);
        for (pb_size_t i = 0; i < page->peers_count; i++)
            (options->json ? show_peer_json : show_peer_text)(&page->peers[i]);
        if (page->next_index && page->next_index <= request.body.list_peers.first_index) {
            am_fail(&err, AM_EFORMAT, "the agent's pages do not move on");
            return fail(&err);
        }
        request.body.list_peers.first_index = page->next_index;
    } while (page->next_index);
    return EXIT_OK;
}

static int run_ops(struct api_client *client, const struct options *options)
{
    static api_Response answer;
    struct am_err err;
    const api_Request request = {.id = 1, .which_body = api_Request_list_operations_tag};
    if (call(client, &request, api_Response_operation_list_tag, &answer, &err))
        return fail(&err);
    if (!options->json)
        show_operations_header();
    const api_OperationList *list = &answer.body.operation_list;
    for (pb_size_t i = 0; i < list->operations_count; i++)
        (options->json ? show_operation_json : show_operation_text)(&list->operations[i]);
    return EXIT_OK;
}

static int run_events(struct api_client *client, const struct options *options)
{
    static api_Response answer;
    struct am_err err;
    const api_Request request = {.id = 1, .which_body = api_Request_subscribe_peer_events_tag};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (api_client_send(client, &request, &err))
        return fail(&err);
    bool synced = false;
    while (!synced || options->follow) {
        if (api_client_receive(client, synced ? -1 : ANSWER_TIMEOUT_MS, &answer, &err))
            return fail(&err);
        if (answer.which_body != api_Response_peer_event_tag)
            continue;
        (options->json ? show_event_json : show_event_text)(&answer.body.peer_event);
        synced = synced || answer.body.peer_event.kind == api_PeerEvent_Kind_SYNCED;
    }
    return EXIT_OK;
}

/* Whether the person at the terminal agrees; nobody there is a no. */
static bool confirm(const char *question)
{
    char answer[8];
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    fprintf(stderr, "%s [y/N] ", question);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int run_csk(struct api_client *client, const struct options *options)
{
    static api_Response answer;
    struct am_err err;
    const api_Request request = {.id = 1, .which_body = api_Request_get_cluster_shared_key_tag};
    if (!options->yes &&
        !confirm("Whoever sees the cluster shared key can read what the cluster keeps secret "
                 "with it. Print it?")) {
        fprintf(stderr, "meshctl: not printed; csk --yes prints it without asking\n");
        return EXIT_ERROR;
    }
    if (call(client, &request, api_Response_cluster_shared_key_tag, &answer, &err))
        return fail(&err);
    (options->json ? show_csk_json : show_csk_text)(&answer.body.cluster_shared_key);
    secret_wipe(&answer, sizeof(answer));
    return EXIT_OK;
}

static const char *environment_or(const char *name, const char *fallback)
{
    const char *const value = getenv(name);
    return value && *value ? value : fallback;
}

/* A running agent would make the device again at once. */
static bool agent_is_running(const char *path)
{
    struct api_client *client;
    const bool running = api_client_new(path, &client, NULL) == 0;
    if (running)
        api_client_free(client);
    return running;
}

static int run_down(const struct options *options)
{
    struct am_err err;
    enum wg_backend_kind backend;
    const char *const interface = environment_or("WG_INTERFACE", INTERFACE_DEFAULT);
    if (!wg_backend_parse(environment_or("WG_BACKEND", "auto"), &backend)) {
        fprintf(stderr, "meshctl: WG_BACKEND has a wrong value; allowed: kernel, userspace or auto\n");
        return EXIT_USAGE;
    }
    if (agent_is_running(options->socket)) {
        fprintf(stderr, "meshctl: the agent on %s is running; stop it first\n", options->socket);
        return EXIT_ERROR;
    }
    if (secret_init()) { /* the device's private key passes through its dump */
        fprintf(stderr, "meshctl: the cryptographic library does not start\n");
        return EXIT_ERROR;
    }
    struct reconciler *reconciler = reconciler_new(backend, interface, &err);
    const int code = reconciler ? reconciler_remove(reconciler, &err) : err.code;
    reconciler_free(reconciler);
    return code ? fail(&err) : EXIT_OK;
}

static const struct {
    const char *name;
    int (*run)(struct api_client *client, const struct options *options);
} commands[] = {
    {"status", run_status}, {"peers", run_peers}, {"events", run_events}, {"ops", run_ops}, {"csk", run_csk},
};

static int run_command(const char *name, const struct options *options)
{
    struct am_err err;
    struct api_client *client;
    if (strcmp(name, "down") == 0)
        return run_down(options);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (api_client_new(options->socket, &client, &err))
            return fail(&err);
        const int code = commands[i].run(client, options);
        api_client_free(client);
        return code;
    }
    fprintf(stderr, "meshctl: there is no command %s\n\n%s", name, usage);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"follow", no_argument, NULL, 'f'},
        {"check", no_argument, NULL, 'c'},
        {"yes", no_argument, NULL, 'y'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.socket = environment_or("AGENT_SOCKET", SOCKET_DEFAULT)};
    for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        switch (option) {
        case 's':
            options.socket = optarg;
            break;
        case 'j':
            options.json = true;
            break;
        case 'f':
            options.follow = true;
            break;
        case 'c':
            options.check = true;
            break;
        case 'y':
            options.yes = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_OK;
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind != argc - 1) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return run_command(argv[optind], &options);
}
