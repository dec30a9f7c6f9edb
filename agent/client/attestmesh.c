#include "agent/client/attestmesh.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/client.h"
#include "agent/client/answer.h"

_Static_assert(ATTESTMESH_IDEMPOTENCY_KEY_MAX == sizeof(((api_SendMessage *)0)->idempotency_key.bytes),
               "the header says so");

struct attestmesh {
    struct api_client *client;
    uint64_t last_id;
    api_Response response;
    struct answer answer;
};

/* The project's own codes mean nothing outside of it. */
static int errno_of(int code)
{
    return code <= AM_EFORMAT ? -EPROTO : code;
}

int attestmesh_open(const char *path, struct attestmesh **out)
{
    if (!path)
        path = secure_getenv("AGENT_SOCKET");
    struct attestmesh *mesh = calloc(1, sizeof(*mesh));
    if (!mesh)
        return -ENOMEM;
    const int code = api_client_new(path && *path ? path : ATTESTMESH_SOCKET_DEFAULT, &mesh->client, NULL);
    if (code != 0) {
        attestmesh_close(mesh);
        return code;
    }
    *out = mesh;
    return 0;
}

void attestmesh_close(struct attestmesh *mesh)
{
    if (!mesh)
        return;
    api_client_free(mesh->client);
    explicit_bzero(mesh, sizeof(*mesh));
    free(mesh);
}

int attestmesh_fd(const struct attestmesh *mesh)
{
    return api_client_fd(mesh->client);
}

short attestmesh_poll_events(const struct attestmesh *mesh)
{
    return api_client_wants_write(mesh->client) ? POLLIN | POLLOUT : POLLIN;
}

/* ---- Answers ---- */

static void wipe_key(struct attestmesh *mesh)
{
    if (mesh->answer.public.kind != ATTESTMESH_KEY)
        return;
    explicit_bzero(&mesh->answer.public.key, sizeof(mesh->answer.public.key));
    explicit_bzero(&mesh->response.body.cluster_shared_key, sizeof(mesh->response.body.cluster_shared_key));
}

int attestmesh_next(struct attestmesh *mesh, const struct attestmesh_answer **out)
{
    wipe_key(mesh);
    const int found = api_client_next(mesh->client, &mesh->response, NULL);
    if (found <= 0)
        return errno_of(found);
    answer_set(&mesh->answer, &mesh->response);
    *out = &mesh->answer.public;
    return 1;
}

int attestmesh_wait(struct attestmesh *mesh, int timeout_ms, const struct attestmesh_answer **out)
{
    for (;;) {
        const int found = attestmesh_next(mesh, out);
        if (found != 0)
            return found;
        struct pollfd ready = {.fd = attestmesh_fd(mesh), .events = attestmesh_poll_events(mesh)};
        const int count = poll(&ready, 1, timeout_ms);
        if (count <= 0)
            return count == 0 ? 0 : -errno;
    }
}

/* ---- Requests ---- */

static int ask(struct attestmesh *mesh, api_Request *request, uint64_t *id)
{
    request->id = ++mesh->last_id;
    if (id)
        *id = request->id;
    return errno_of(api_client_send(mesh->client, request, NULL));
}

int attestmesh_get_status(struct attestmesh *mesh, uint64_t *id)
{
    return ask(mesh, &(api_Request){.which_body = api_Request_get_status_tag}, id);
}

int attestmesh_get_self(struct attestmesh *mesh, uint64_t *id)
{
    return ask(mesh, &(api_Request){.which_body = api_Request_get_self_tag}, id);
}

int attestmesh_list_peers(struct attestmesh *mesh, uint32_t first_index, uint32_t limit, uint64_t *id)
{
    api_Request request = {.which_body = api_Request_list_peers_tag};
    request.body.list_peers = (api_ListPeers){.first_index = first_index, .limit = limit};
    return ask(mesh, &request, id);
}

int attestmesh_subscribe_peer_events(struct attestmesh *mesh, uint64_t *id)
{
    return ask(mesh, &(api_Request){.which_body = api_Request_subscribe_peer_events_tag}, id);
}

int attestmesh_get_key(struct attestmesh *mesh, uint64_t *id)
{
    return ask(mesh, &(api_Request){.which_body = api_Request_get_cluster_shared_key_tag}, id);
}

int attestmesh_get_key_of(struct attestmesh *mesh, uint64_t generation, uint64_t *id)
{
    api_Request request = {.which_body = api_Request_get_cluster_shared_key_tag};
    request.body.get_cluster_shared_key =
        (api_GetClusterSharedKey){.has_generation = true, .generation = generation};
    return ask(mesh, &request, id);
}

int attestmesh_subscribe_key_events(struct attestmesh *mesh, uint64_t *id)
{
    return ask(mesh, &(api_Request){.which_body = api_Request_subscribe_key_events_tag}, id);
}

int attestmesh_send_message(struct attestmesh *mesh, const uint8_t recipient[32], const void *payload,
                            size_t payload_len, const void *key, size_t key_len, uint64_t *id)
{
    api_Request request = {.which_body = api_Request_send_message_tag};
    api_SendMessage *message = &request.body.send_message;
    if (payload_len > ATTESTMESH_PAYLOAD_MAX || key_len > ATTESTMESH_IDEMPOTENCY_KEY_MAX)
        return -EINVAL;
    message->recipient.size = 32;
    memcpy(message->recipient.bytes, recipient, 32);
    message->payload.size = (pb_size_t)payload_len;
    if (payload_len > 0)
        memcpy(message->payload.bytes, payload, payload_len);
    message->idempotency_key.size = (pb_size_t)key_len;
    if (key_len > 0)
        memcpy(message->idempotency_key.bytes, key, key_len);
    return ask(mesh, &request, id);
}

int attestmesh_subscribe_messages(struct attestmesh *mesh, const struct attestmesh_cursor *after,
                                  uint64_t *id)
{
    api_Request request = {.which_body = api_Request_subscribe_messages_tag};
    api_SubscribeMessages *subscribe = &request.body.subscribe_messages;
    subscribe->has_after = after != NULL;
    if (after)
        subscribe->after = (api_Cursor){.block = after->block, .log_index = after->log_index};
    return ask(mesh, &request, id);
}

int attestmesh_cancel(struct attestmesh *mesh, uint64_t subscription, uint64_t *id)
{
    api_Request request = {.which_body = api_Request_cancel_tag};
    request.body.cancel.id = subscription;
    return ask(mesh, &request, id);
}
