#include "agent/meshctl/act.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/backend.h"
#include "agent/meshctl/show.h"
#include "crypto/secret.h"

#define ROTATION_LOOK_US 200000
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

/* Shows every state that the rotation comes into, to its end. */
static int follow_rotation(const struct invocation *invocation, api_Rotation rotation)
{
    static api_Response answer;
    struct am_err err;
    const api_Request request = {.id = 2, .which_body = api_Request_get_status_tag};
    for (api_Rotation_State shown = api_Rotation_State_UNSPECIFIED;;) {
        if (rotation.state != shown)
            (invocation->json ? show_rotation_json : show_rotation_text)(&rotation);
        shown = rotation.state;
        if (shown == api_Rotation_State_DONE || shown == api_Rotation_State_FAILED)
            return shown == api_Rotation_State_DONE ? EXIT_OK : EXIT_ERROR;
        usleep(ROTATION_LOOK_US);
        if (command_ask(invocation->client, &request, api_Response_status_tag, &answer, &err))
            return command_fail(&err);
        rotation = answer.body.status.rotation;
    }
}

int act_rotate_wg_key(const struct invocation *invocation)
{
    static api_Response answer;
    struct am_err err;
    const api_Request request = {.id = 1, .which_body = api_Request_rotate_wireguard_key_tag};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (command_ask(invocation->client, &request, api_Response_rotation_tag, &answer, &err))
        return command_fail(&err);
    return follow_rotation(invocation, answer.body.rotation);
}

/* Where the device is: as the agent is configured, if it is; else as these two variables say. */
static int find_device(const struct invocation *invocation, char interface[IFNAMSIZ],
                       enum wg_backend_kind *backend, struct am_err *err)
{
    const char *name = getenv("WG_INTERFACE"), *kind = getenv("WG_BACKEND");
    struct config *config;
    if (config_load(invocation->config, environ, &config, err) == 0) {
        snprintf(interface, IFNAMSIZ, "%s", config->wg_interface);
        *backend = backend_kind(config->wg_backend);
        config_free(config);
        return 0;
    }
    snprintf(interface, IFNAMSIZ, "%s", name && *name ? name : INTERFACE_DEFAULT);
    if (wg_backend_parse(kind && *kind ? kind : "auto", backend))
        return 0;
    return am_fail(err, AM_ECONFIG, "WG_BACKEND has a wrong value; allowed: kernel, userspace or auto");
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
    char interface[IFNAMSIZ];
    if (find_device(invocation, interface, &backend, &err) != 0)
        return command_fail(&err);
    if (agent_is_running(invocation->socket)) {
        am_fail(&err, -EBUSY, "the agent on %s is running; stop it first", invocation->socket);
        return command_fail(&err);
    }
    if (secret_init() != 0) { /* the device's private key passes through its dump */
        am_fail(&err, -1, "the cryptographic library does not start");
        return command_fail(&err);
    }
    struct reconciler *reconciler = reconciler_new(backend, interface, &err);
    const int code = reconciler ? reconciler_remove(reconciler, &err) : err.code;
    reconciler_free(reconciler);
    return code ? command_fail(&err) : EXIT_OK;
}
