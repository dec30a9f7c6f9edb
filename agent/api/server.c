#include "agent/api/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/api/frame.h"
#include "agent/api/listen.h"
#include "agent/log.h"
#include "agent/utf8.h"
#include "crypto/secret.h"

#define BACKLOG 16
#define QUEUE_LOW (API_CLIENT_QUEUE_MAX / 4) /* below this, a slow reader is served again */
#define ACCEPT_PAUSE_S 1
#define FRAME_SIZE (api_Response_size + FRAME_PREFIX_MAX)

_Static_assert(api_Response_size <= API_FRAME_MAX, "every answer fits a frame");
_Static_assert(sizeof(((api_PeerPage *)0)->peers) / sizeof(api_Peer) == API_PAGE_MAX, "agent.options agrees");

struct session {
    struct api_server *server;
    struct bufferevent *stream;
    struct session *next;

    /* The subscription: its id, how far the present state has been told, and what a slow reader missed. */
    bool subscribed;
    bool synced;
    uint64_t subscription;
    uint32_t next_index;
    uint64_t lost;

    /* The subscription to keys, and whether its newest event is still to be told. */
    bool keys_subscribed;
    bool key_untold;
    uint64_t keys_subscription;
};

struct api_server {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *resume; /* accepts again after a shortage of descriptors */
    struct api_source source;
    char *path;
    gid_t gid;
    struct session *sessions;
    struct api_server_counters counters;
    /* One answer at a time is built and encoded; both are large. */
    api_Response response;
    uint8_t frame[FRAME_SIZE];
};

/* ---- Answers ---- */

static size_t queue_len(const struct session *session)
{
    return evbuffer_get_length(bufferevent_get_output(session->stream));
}

/* A cleared answer to fill in. */
static api_Response *new_response(struct api_server *server, uint64_t id, pb_size_t which)
{
    server->response = (api_Response){.id = id, .which_body = which};
    return &server->response;
}

/* Encodes server->response into server->frame; returns the length, 0 when it is not encodable. */
static size_t encode_response(struct api_server *server)
{
    pb_ostream_t out = pb_ostream_from_buffer(server->frame, sizeof(server->frame));
    return pb_encode_ex(&out, api_Response_fields, &server->response, PB_ENCODE_DELIMITED) ? out.bytes_written
                                                                                           : 0;
}

static void send_response(struct session *session)
{
    const size_t len = encode_response(session->server);
    if (len == 0 || bufferevent_write(session->stream, session->server->frame, len))
        log_error("api.answer_dropped", log_uint("id", session->server->response.id));
}

static void set_error(struct api_server *server, uint64_t id, api_Error_Code code, const char *text)
{
    api_Response *response = new_response(server, id, api_Response_error_tag);
    response->body.error.code = code;
    snprintf(response->body.error.text, sizeof(response->body.error.text), "%s", text);
}

static void send_error(struct session *session, uint64_t id, api_Error_Code code, const char *text)
{
    set_error(session->server, id, code, text);
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

/* Tells as much of the present state, or of what was lost, as the queue takes. */
static void serve_subscription(struct session *session)
{
    const struct api_source *source = &session->server->source;
    while (session->subscribed && !session->synced && queue_len(session) < QUEUE_LOW) {
        if (session->next_index < source->peer_count(source->user)) {
            send_present_peer(session, session->next_index++);
            continue;
        }
        session->synced = true;
        new_peer_event(session, api_PeerEvent_Kind_SYNCED);
        send_response(session);
    }
    if (session->subscribed && session->lost && queue_len(session) < QUEUE_LOW) {
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
    if (session->lost || queue_len(session) > API_CLIENT_QUEUE_MAX) {
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

static void serve_key_event(struct session *session)
{
    const struct api_source *source = &session->server->source;
    uint64_t generation;
    if (!session->keys_subscribed || !session->key_untold || queue_len(session) >= QUEUE_LOW)
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
        serve_key_event(session);
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
    serve_subscription(session);
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

static void answer_subscribe_key_events(struct session *session, const api_Request *request)
{
    if (session->keys_subscribed) {
        send_error(session, request->id, api_Error_Code_FAILED_PRECONDITION,
                   "this connection has a subscription to keys already");
        return;
    }
    session->keys_subscribed = session->key_untold = true;
    session->keys_subscription = request->id;
    serve_key_event(session);
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

static void answer_cancel(struct session *session, const api_Request *request)
{
    const uint64_t id = request->body.cancel.id;
    if (session->subscribed && session->subscription == id) {
        session->subscribed = false;
    } else if (session->keys_subscribed && session->keys_subscription == id) {
        session->keys_subscribed = false;
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
    {api_Request_cancel_tag, answer_cancel},
};

static void answer_request(struct session *session, const api_Request *request)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (handlers[i].which == request->which_body) {
            handlers[i].answer(session, request);
            return;
        }
    }
    send_error(session, request->id, api_Error_Code_INVALID_ARGUMENT, "this agent does not know the request");
}

/* ---- Connections ---- */

static void session_free(struct session *session)
{
    struct session **at = &session->server->sessions;
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    session->server->counters.clients--;
    bufferevent_free(session->stream);
    free(session);
}

/* Takes one frame off the input and answers it. Returns 1, 0 when there is none whole, AM_EFORMAT. */
static int serve_frame(struct session *session)
{
    struct evbuffer *input = bufferevent_get_input(session->stream);
    const size_t len = evbuffer_get_length(input);
    struct frame frame;
    const int found = frame_parse(evbuffer_pullup(input, (ssize_t)len), len, API_FRAME_MAX, &frame);
    if (found <= 0)
        return found;
    api_Request request = api_Request_init_zero;
    pb_istream_t in = pb_istream_from_buffer(frame.message, frame.message_len);
    if (!pb_decode(&in, api_Request_fields, &request))
        return AM_EFORMAT;
    evbuffer_drain(input, frame.len);
    answer_request(session, &request);
    return 1;
}

/* Answers what has been asked, unless the answers are not read. */
static void on_readable(struct bufferevent *stream, void *user)
{
    struct session *session = user;
    int served = 1;
    while (served > 0 && queue_len(session) < API_CLIENT_QUEUE_MAX)
        served = serve_frame(session);
    if (served < 0) {
        session->server->counters.malformed++;
        log_warn("api.client_malformed");
        session_free(session);
    } else if (served > 0) {
        bufferevent_disable(stream, EV_READ);
    }
}

/* The queue has become short again. */
static void on_drained(struct bufferevent *stream, void *user)
{
    struct session *session = user;
    serve_subscription(session);
    serve_key_event(session);
    if (!(bufferevent_get_enabled(stream) & EV_READ)) {
        bufferevent_enable(stream, EV_READ);
        on_readable(stream, user);
    }
}

static void on_ended(struct bufferevent *stream, short events, void *user)
{
    (void)stream;
    (void)events;
    session_free(user);
}

static bool session_start(struct api_server *server, int fd)
{
    struct session *session = calloc(1, sizeof(*session));
    struct bufferevent *stream = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!session || !stream) {
        free(session);
        if (stream)
            bufferevent_free(stream);
        else
            close(fd);
        return false;
    }
    *session = (struct session){.server = server, .stream = stream, .next = server->sessions};
    server->sessions = session;
    server->counters.clients++;
    bufferevent_setcb(stream, on_readable, on_drained, on_ended, session);
    bufferevent_setwatermark(stream, EV_READ, 0, API_FRAME_MAX + FRAME_PREFIX_MAX);
    bufferevent_setwatermark(stream, EV_WRITE, QUEUE_LOW, 0);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
    return true;
}

static void refuse(struct api_server *server, int fd, api_Error_Code code, const char *text)
{
    set_error(server, 0, code, text);
    const size_t len = encode_response(server);
    server->counters.refused++;
    /* What does not fit an empty socket buffer is not worth waiting for. */
    if (send(fd, server->frame, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_debug("api.refusal_unsent");
    close(fd);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                          int len, void *user)
{
    (void)listener;
    (void)address;
    (void)len;
    struct api_server *server = user;
    uid_t uid = (uid_t)-1;
    pid_t pid = 0;
    const bool allowed = listen_peer_is_allowed(fd, server->gid, &uid, &pid);
    if (!allowed) {
        log_warn("api.client_refused", log_uint("uid", uid), log_int("pid", pid));
        refuse(server, fd, api_Error_Code_PERMISSION_DENIED,
               "the socket is for root, the agent's user and its group");
    } else if (server->counters.clients >= API_CLIENTS_MAX) {
        log_warn("api.too_many_clients", log_uint("uid", uid), log_int("pid", pid));
        refuse(server, fd, api_Error_Code_RESOURCE_EXHAUSTED, "too many connections");
    } else if (session_start(server, fd)) {
        server->counters.accepted++;
        log_debug("api.client", log_uint("uid", uid), log_int("pid", pid));
    }
}

/* Without descriptors, accepting would be tried again at once and for ever. */
static void on_accept_error(struct evconnlistener *listener, void *user)
{
    struct api_server *server = user;
    const struct timeval pause = {.tv_sec = ACCEPT_PAUSE_S};
    log_warn("api.accept_failed", log_text("error", strerror(errno)));
    evconnlistener_disable(listener);
    event_add(server->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short events, void *user)
{
    (void)fd;
    (void)events;
    evconnlistener_enable(((struct api_server *)user)->listener);
}

int api_server_new(struct event_base *base, const char *path, const char *group,
                   const struct api_source *source, struct api_server **out, struct am_err *err)
{
    struct api_server *server = calloc(1, sizeof(*server));
    if (!server)
        return am_fail(err, -ENOMEM, "application socket: out of memory");
    server->base = base;
    server->source = *source;
    const int fd = listen_bind_unix(path, group, &server->gid, err);
    if (fd < 0) {
        api_server_free(server);
        return fd;
    }
    server->path = strdup(path);
    server->resume = evtimer_new(base, on_resume, server);
    server->listener = evconnlistener_new(base, on_connection, server,
                                          LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
    if (!server->path || !server->resume || !server->listener) {
        if (!server->listener)
            close(fd);
        unlink(path);
        api_server_free(server);
        return am_fail(err, -ENOMEM, "application socket: out of memory");
    }
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    *out = server;
    return 0;
}

void api_server_counters(const struct api_server *server, struct api_server_counters *out)
{
    *out = server->counters;
}

void api_server_free(struct api_server *server)
{
    if (!server)
        return;
    while (server->sessions)
        session_free(server->sessions);
    if (server->listener)
        evconnlistener_free(server->listener);
    if (server->resume)
        event_free(server->resume);
    if (server->path)
        unlink(server->path);
    free(server->path);
    free(server);
}
