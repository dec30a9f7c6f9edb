#include "agent/api/session.h"

#include <event2/buffer.h>
#include <pb_encode.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/log.h"
#include "agent/utf8.h"
#include "crypto/secret.h"

_Static_assert(api_Response_size <= API_FRAME_MAX, "every answer fits a frame");
_Static_assert(sizeof(((api_PeerPage *)0)->peers) / sizeof(api_Peer) == API_PAGE_MAX, "agent.options agrees");

/* ---- Answers ---- */

size_t session_queue_len(const struct session *session)
{
    return evbuffer_get_length(bufferevent_get_output(session->stream));
}

/* A cleared answer to fill in. */
static api_Response *new_response(struct api_server *server, uint64_t id, pb_size_t which)
{
    server->response = (api_Response){.id = id, .which_body = which};
    return &server->response;
}

size_t session_encode_response(struct api_server *server)
{
    pb_ostream_t out = pb_ostream_from_buffer(server->frame, sizeof(server->frame));
    return pb_encode_ex(&out, api_Response_fields, &server->response, PB_ENCODE_DELIMITED) ? out.bytes_written
                                                                                           : 0;
}

static void send_response(struct session *session)
{
    const size_t len = session_encode_response(session->server);
    if (len == 0 || bufferevent_write(session->stream, session->server->frame, len))
        log_error("api.answer_dropped", log_uint("id", session->server->response.id));
}

void session_set_error(struct api_server *server, uint64_t id, api_Error_Code code, const char *text)
{
    api_Response *response = new_response(server, id, api_Response_error_tag);
    response->body.error.code = code;
    snprintf(response->body.error.text, sizeof(response->body.error.text), "%s", text);
}

static void send_error(struct session *session, uint64_t id, api_Error_Code code, const char *text)
{
    session_set_error(session->server, id, code, text);
    send_response(session);
}

/* ---- Peer events ---- */

static uint64_t unix_ms_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool get_peer(struct api_server *server, uint32_t index, api_Peer *out)
{
    *out = (api_Peer)api_Peer_init_zero;
    if (!server->source.get_peer(server->source.user, index, out))
        return false;
    utf8_make_valid(out->problem);
    return true;
}

static api_PeerEvent *new_peer_event(struct session *session, api_PeerEvent_Kind kind)
{
    api_Response *response =
        new_response(session->server, session->subscription, api_Response_peer_event_tag);
    response->body.peer_event.kind = kind;
    response->body.peer_event.unix_ms = unix_ms_now();
    return &response->body.peer_event;
}

static void send_present_peer(struct session *session, uint32_t index)
{
    api_PeerEvent *event = new_peer_event(session, api_PeerEvent_Kind_PRESENT);
    event->has_peer = get_peer(session->server, index, &event->peer);
    if (event->has_peer && !event->peer.removed)
        send_response(session);
}

void session_serve_events(struct session *session)
{
    const struct api_source *source = &session->server->source;
    while (session->subscribed && !session->synced && session_queue_len(session) < QUEUE_LOW) {
        if (session->next_index < source->peer_count(source->user)) {
            send_present_peer(session, session->next_index++);
            continue;
        }
        session->synced = true;
        new_peer_event(session, api_PeerEvent_Kind_SYNCED);
        send_response(session);
    }
    if (session->subscribed && session->lost && session_queue_len(session) < QUEUE_LOW) {
        new_peer_event(session, api_PeerEvent_Kind_LOST)->lost = session->lost;
        session->lost = 0;
        send_response(session);
    }
}

static void tell_peer_event(struct session *session, api_PeerEvent_Kind kind, const api_Peer *peer)
{
    /* What the present state has not reached yet will be in it. */
    if (!session->subscribed || (!session->synced && peer->index >= session->next_index))
        return;
    /* Once something is lost, nothing more is told before the client knows of it. */
    if (session->lost || session_queue_len(session) > API_CLIENT_QUEUE_MAX) {
        session->lost++;
        session->server->counters.events_lost++;
        return;
    }
    api_PeerEvent *event = new_peer_event(session, kind);
    event->has_peer = true;
    event->peer = *peer;
    send_response(session);
}

void api_server_peer_event(struct api_server *server, uint32_t index, api_PeerEvent_Kind kind)
{
    api_Peer peer;
    if (!get_peer(server, index, &peer))
        return;
    for (struct session *session = server->sessions; session; session = session->next)
        tell_peer_event(session, kind, &peer);
}

/* ---- Key events ---- */

void session_serve_key(struct session *session)
{
    const struct api_source *source = &session->server->source;
    uint64_t generation;
    if (!session->keys_subscribed || !session->key_untold || session_queue_len(session) >= QUEUE_LOW)
        return;
    session->key_untold = false;
    if (!source->key_generation(source->user, &generation))
        return;
    api_Response *response =
        new_response(session->server, session->keys_subscription, api_Response_key_event_tag);
    response->body.key_event = (api_KeyEvent){.generation = generation, .unix_ms = unix_ms_now()};
    send_response(session);
}

void api_server_key_event(struct api_server *server)
{
    for (struct session *session = server->sessions; session; session = session->next) {
        session->key_untold = true;
        session_serve_key(session);
    }
}

/* ---- Requests ---- */

static void answer_get_status(struct session *session, const api_Request *request)
{
    struct api_server *server = session->server;
    api_Status *status = &new_response(server, request->id, api_Response_status_tag)->body.status;
    server->source.get_status(server->source.user, status);
    utf8_make_valid(status->reason);
    utf8_make_valid(status->chain_error);
    utf8_make_valid(status->device_error);
    utf8_make_valid(status->indexer.error);
    utf8_make_valid(status->csk_error);
    utf8_make_valid(status->inbox_error);
    utf8_make_valid(status->rotation.error);
    send_response(session);
}

static void answer_get_self(struct session *session, const api_Request *request)
{
    struct api_server *server = session->server;
    api_Response *response = new_response(server, request->id, api_Response_self_tag);
    if (server->source.get_self(server->source.user, &response->body.self))
        send_response(session);
    else
        send_error(session, request->id, api_Error_Code_UNAVAILABLE, "the node does not know yet who it is");
}

static void answer_list_peers(struct session *session, const api_Request *request)
{
    struct api_server *server = session->server;
    const uint32_t wanted = request->body.list_peers.limit;
    const uint32_t limit = wanted == 0 || wanted > API_PAGE_MAX ? API_PAGE_MAX : wanted;
    const uint32_t count = server->source.peer_count(server->source.user);
    api_PeerPage *page = &new_response(server, request->id, api_Response_peer_page_tag)->body.peer_page;
    uint32_t index = request->body.list_peers.first_index;
    for (; index < count && page->peers_count < limit; index++) {
        api_Peer *peer = &page->peers[page->peers_count];
        if (get_peer(server, index, peer) && !peer->removed)
            page->peers_count++;
    }
    page->next_index = index < count ? index : 0;
    send_response(session);
}

static void answer_subscribe_peer_events(struct session *session, const api_Request *request)
{
    if (session->subscribed) {
        send_error(session, request->id, api_Error_Code_FAILED_PRECONDITION,
                   "this connection has a subscription already");
        return;
    }
    session->subscribed = true;
    session->synced = false;
    session->subscription = request->id;
    session->next_index = 0;
    session->lost = 0;
    session_serve_events(session);
}

static void answer_subscribe_key_events(struct session *session, const api_Request *request)
{
    if (session->keys_subscribed) {
        send_error(session, request->id, api_Error_Code_FAILED_PRECONDITION,
                   "this connection has a subscription to keys already");
        return;
    }
    session->keys_subscribed = session->key_untold = true;
    session->keys_subscription = request->id;
    session_serve_key(session);
}

static void answer_get_cluster_shared_key(struct session *session, const api_Request *request)
{
    struct api_server *server = session->server;
    const api_GetClusterSharedKey *wanted = &request->body.get_cluster_shared_key;
    const struct api_source *source = &server->source;
    uint64_t generation = wanted->generation;
    if (!wanted->has_generation && !source->key_generation(source->user, &generation)) {
        send_error(session, request->id, api_Error_Code_UNAVAILABLE, "no cluster shared key is held yet");
        return;
    }
    api_Response *response = new_response(server, request->id, api_Response_cluster_shared_key_tag);
    const api_Error_Code code = source->get_key(source->user, generation, &response->body.cluster_shared_key);
    if (code == api_Error_Code_UNSPECIFIED)
        send_response(session);
    else
        send_error(session, request->id, code,
                   code == api_Error_Code_UNAVAILABLE ? "the node is not healthy"
                                                      : "this generation is not held");
    secret_wipe(&server->response, sizeof(server->response));
    secret_wipe(server->frame, sizeof(server->frame));
}

static void answer_send_message(struct session *session, const api_Request *request)
{
    char text[API_TEXT_MAX] = "";
    const struct api_source *source = &session->server->source;
    const struct api_ticket ticket = {.session = session->number, .request = request->id};
    const api_Error_Code code =
        source->send_message(source->user, &request->body.send_message, &ticket, text);
    if (code != api_Error_Code_UNSPECIFIED)
        send_error(session, request->id, code, text);
}

static struct session *find_session(struct api_server *server, uint64_t number)
{
    struct session *session = server->sessions;
    while (session && session->number != number)
        session = session->next;
    return session;
}

void api_server_message_sent(struct api_server *server, const struct api_ticket *ticket,
                             const struct bytes32 *envelope_id, const struct bytes32 *tx_hash)
{
    struct session *session = find_session(server, ticket->session);
    if (!session)
        return;
    api_MessageSent *sent =
        &new_response(server, ticket->request, api_Response_message_sent_tag)->body.message_sent;
    memcpy(sent->envelope_id, envelope_id->b, sizeof(sent->envelope_id));
    if (tx_hash) {
        memcpy(sent->tx_hash.bytes, tx_hash->b, sizeof(tx_hash->b));
        sent->tx_hash.size = sizeof(tx_hash->b);
    }
    send_response(session);
}

void api_server_fail(struct api_server *server, const struct api_ticket *ticket, api_Error_Code code,
                     const char *text)
{
    struct session *session = find_session(server, ticket->session);
    if (session)
        send_error(session, ticket->request, code, text);
}

/* ---- Messages to this node ---- */

static struct api_ticket messages_ticket(const struct session *session)
{
    return (struct api_ticket){.session = session->number, .request = session->messages_subscription};
}

static void answer_subscribe_messages(struct session *session, const api_Request *request)
{
    const api_SubscribeMessages *wanted = &request->body.subscribe_messages;
    const struct api_source *source = &session->server->source;
    if (session->messages_subscribed) {
        send_error(session, request->id, api_Error_Code_FAILED_PRECONDITION,
                   "this connection has a subscription to messages already");
        return;
    }
    session->messages_subscribed = true;
    session->messages_subscription = request->id;
    const struct api_ticket ticket = messages_ticket(session);
    if (source->subscribe_messages(source->user, &ticket, wanted->has_after ? &wanted->after : NULL))
        return;
    session->messages_subscribed = false;
    send_error(session, request->id, api_Error_Code_RESOURCE_EXHAUSTED, "the agent is out of memory");
}

void session_resume_messages(struct session *session)
{
    const struct api_source *source = &session->server->source;
    const struct api_ticket ticket = messages_ticket(session);
    if (session->messages_subscribed)
        source->resume_messages(source->user, &ticket);
}

void session_unsubscribe_messages(struct session *session)
{
    const struct api_source *source = &session->server->source;
    const struct api_ticket ticket = messages_ticket(session);
    if (session->messages_subscribed)
        source->unsubscribe_messages(source->user, &ticket);
    session->messages_subscribed = false;
}

bool api_server_message_event(struct api_server *server, const struct api_ticket *ticket,
                              const api_MessageEvent *event)
{
    struct session *session = find_session(server, ticket->session);
    if (!session || session_queue_len(session) > QUEUE_LOW)
        return false;
    new_response(server, ticket->request, api_Response_message_event_tag)->body.message_event = *event;
    send_response(session);
    secret_wipe(&server->response, sizeof(server->response));
    return true;
}

static void answer_list_operations(struct session *session, const api_Request *request)
{
    struct api_server *server = session->server;
    const struct api_source *source = &server->source;
    api_OperationList *list =
        &new_response(server, request->id, api_Response_operation_list_tag)->body.operation_list;
    while (list->operations_count < API_OPERATIONS_MAX) {
        api_Operation *operation = &list->operations[list->operations_count];
        if (!source->get_operation(source->user, list->operations_count, operation))
            break;
        utf8_make_valid(operation->problem);
        list->operations_count++;
    }
    send_response(session);
}

static const char *rotation_refusal(api_Error_Code code)
{
    if (code == api_Error_Code_FAILED_PRECONDITION)
        return "a rotation is under way";
    return code == api_Error_Code_UNAVAILABLE ? "the node is not registered yet"
                                              : "the last generation of the key is in use";
}

static void answer_rotate_wireguard_key(struct session *session, const api_Request *request)
{
    struct api_server *server = session->server;
    api_Rotation rotation = api_Rotation_init_zero;
    if (!session->owner) {
        send_error(session, request->id, api_Error_Code_PERMISSION_DENIED,
                   "only root and the agent's user may rotate the key");
        return;
    }
    const api_Error_Code code = server->source.rotate_wireguard_key(server->source.user, &rotation);
    if (code != api_Error_Code_UNSPECIFIED) {
        send_error(session, request->id, code, rotation_refusal(code));
        return;
    }
    new_response(server, request->id, api_Response_rotation_tag)->body.rotation = rotation;
    send_response(session);
}

static void answer_explain_peer(struct session *session, const api_Request *request)
{
    struct api_server *server = session->server;
    api_PeerPath *path = &new_response(server, request->id, api_Response_peer_path_tag)->body.peer_path;
    const api_Error_Code code =
        server->source.explain_peer(server->source.user, request->body.explain_peer.name, path);
    utf8_make_valid(path->peer.problem);
    utf8_make_valid(path->device_error);
    utf8_make_valid(path->stream_error);
    if (code == api_Error_Code_UNSPECIFIED)
        send_response(session);
    else
        send_error(session, request->id, code,
                   code == api_Error_Code_NOT_FOUND ? "the registry has no such member"
                                                    : "several members are called so, or none can be");
}

static void answer_cancel(struct session *session, const api_Request *request)
{
    const uint64_t id = request->body.cancel.id;
    if (session->subscribed && session->subscription == id) {
        session->subscribed = false;
    } else if (session->keys_subscribed && session->keys_subscription == id) {
        session->keys_subscribed = false;
    } else if (session->messages_subscribed && session->messages_subscription == id) {
        session_unsubscribe_messages(session);
    } else {
        send_error(session, request->id, api_Error_Code_NOT_FOUND, "there is no such subscription");
        return;
    }
    new_response(session->server, request->id, api_Response_done_tag);
    send_response(session);
}

static const struct {
    pb_size_t which;
    void (*answer)(struct session *session, const api_Request *request);
} handlers[] = {
    {api_Request_get_status_tag, answer_get_status},
    {api_Request_get_self_tag, answer_get_self},
    {api_Request_list_peers_tag, answer_list_peers},
    {api_Request_subscribe_peer_events_tag, answer_subscribe_peer_events},
    {api_Request_list_operations_tag, answer_list_operations},
    {api_Request_get_cluster_shared_key_tag, answer_get_cluster_shared_key},
    {api_Request_subscribe_key_events_tag, answer_subscribe_key_events},
    {api_Request_send_message_tag, answer_send_message},
    {api_Request_subscribe_messages_tag, answer_subscribe_messages},
    {api_Request_rotate_wireguard_key_tag, answer_rotate_wireguard_key},
    {api_Request_explain_peer_tag, answer_explain_peer},
    {api_Request_cancel_tag, answer_cancel},
};

void session_answer(struct session *session, const api_Request *request)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (handlers[i].which == request->which_body) {
            handlers[i].answer(session, request);
            return;
        }
    }
    send_error(session, request->id, api_Error_Code_INVALID_ARGUMENT, "this agent does not know the request");
}
