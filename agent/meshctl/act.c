#include "agent/meshctl/act.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/meshctl/show.h"
#include "crypto/secret.h"
#include "netlink/reconcile.h"

#define INTERFACE_DEFAULT "attestmesh0"

int act_csk(const struct invocation *invocation)
{
    static api_Response answer;
    struct am_err err;
    const api_Request request = {.id = 1, .which_body = api_Request_get_cluster_shared_key_tag};
    if (!invocation->yes &&
        !command_confirm("Whoever sees the cluster shared key can read what the cluster keeps "
                         "secret with it. Print it?")) {
        fprintf(stderr, "meshctl: not printed; csk --yes prints it without asking\n");
        return EXIT_ERROR;
    }
    if (command_ask(invocation->client, &request, api_Response_cluster_shared_key_tag, &answer, &err))
        return command_fail(&err);
    (invocation->json ? show_csk_json : show_csk_text)(&answer.body.cluster_shared_key);
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

int act_down(const struct invocation *invocation)
{
    struct am_err err;
    enum wg_backend_kind backend;
    const char *const interface = environment_or("WG_INTERFACE", INTERFACE_DEFAULT);
    if (!wg_backend_parse(environment_or("WG_BACKEND", "auto"), &backend)) {
        fprintf(stderr, "meshctl: WG_BACKEND has a wrong value; allowed: kernel, userspace or auto\n");
        return EXIT_USAGE;
    }
    if (agent_is_running(invocation->socket)) {
        fprintf(stderr, "meshctl: the agent on %s is running; stop it first\n", invocation->socket);
        return EXIT_ERROR;
    }
    if (secret_init()) { /* the device's private key passes through its dump */
        fprintf(stderr, "meshctl: the cryptographic library does not start\n");
        return EXIT_ERROR;
    }
    struct reconciler *reconciler = reconciler_new(backend, interface, &err);
    const int code = reconciler ? reconciler_remove(reconciler, &err) : err.code;
    reconciler_free(reconciler);
    return code ? command_fail(&err) : EXIT_OK;
}
