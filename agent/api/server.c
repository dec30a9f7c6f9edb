#include "agent/api/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <pb_decode.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/api/listen.h"
#include "agent/api/session.h"
#include "agent/log.h"

#define BACKLOG 16
#define ACCEPT_PAUSE_S 1

/* ---- Connections ---- */

static void session_free(struct session *session)
{
    struct session **at = &session->server->sessions;
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    session->server->counters.clients--;
    session_unsubscribe_messages(session);
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
    api_Request *request = &session->server->request;
    *request = (api_Request)api_Request_init_zero;
    pb_istream_t in = pb_istream_from_buffer(frame.message, frame.message_len);
    if (!pb_decode(&in, api_Request_fields, request))
        return AM_EFORMAT;
    evbuffer_drain(input, frame.len);
    session_answer(session, request);
    return 1;
}

/* Answers what has been asked, unless the answers are not read. */
static void on_readable(struct bufferevent *stream, void *user)
{
    struct session *session = user;
    int served = 1;
    while (served > 0 && session_queue_len(session) < API_CLIENT_QUEUE_MAX)
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
    session_serve_events(session);
    session_serve_key(session);
    session_resume_messages(session);
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

static bool session_start(struct api_server *server, int fd, uid_t uid)
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
    *session = (struct session){.server = server,
                                .stream = stream,
                                .next = server->sessions,
                                .number = ++server->numbered,
                                .owner = uid == 0 || uid == geteuid()};
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
    session_set_error(server, 0, code, text);
    const size_t len = session_encode_response(server);
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
    } else if (session_start(server, fd, uid)) {
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
        session_free(server->sessions); /* leaves the list: NOLINT(clang-analyzer-unix.Malloc) */
    if (server->listener)
        evconnlistener_free(server->listener);
    if (server->resume)
        event_free(server->resume);
    if (server->path)
        unlink(server->path);
    free(server->path);
    free(server);
}
