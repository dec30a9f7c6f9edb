#include "agent/peer/csk_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/peer/mesh_socket.h"

#define BACKLOG 64
#define LIFETIME_S 5

struct session {
    struct csk_server *server;
    struct bufferevent *stream;
    struct event *end;
    uint32_t source_ip;
    struct session *next;
};

struct csk_server {
    struct event_base *base;
    struct evconnlistener *listener;
    struct csk_source source;
    struct session *sessions;
    size_t sessions_len;
};

static void session_free(struct session *session)
{
    struct session **at = &session->server->sessions;
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    session->server->sessions_len--;
    event_free(session->end);
    bufferevent_free(session->stream);
    free(session);
}

/* Looks again whether the source is a member: a removal may have come since the connection did. */
static void session_answer(struct session *session, uint64_t generation)
{
    const struct csk_source *source = &session->server->source;
    struct csk_response response = {.generation = generation};
    uint8_t frame[CSK_FRAME_MAX];
    bufferevent_disable(session->stream, EV_READ);
    if (!source->is_member(source->user, session->source_ip)) {
        session_free(session);
        return;
    }
    response.held = source->seal(source->user, session->source_ip, generation, response.sealed);
    if (bufferevent_write(session->stream, frame, csk_response_build(&response, frame)) != 0)
        session_free(session);
}

static void on_readable(struct bufferevent *stream, void *user)
{
    struct evbuffer *input = bufferevent_get_input(stream);
    const size_t len = evbuffer_get_length(input);
    uint64_t generation;
    const int found = csk_request_take(evbuffer_pullup(input, (ssize_t)len), len, &generation);
    if (found > 0)
        session_answer(user, generation);
    else if (found < 0 || len >= CSK_FRAME_MAX)
        session_free(user);
}

/* The answer is on its way. */
static void on_drained(struct bufferevent *stream, void *user)
{
    if (!(bufferevent_get_enabled(stream) & EV_READ))
        session_free(user);
}

static void on_ended(struct bufferevent *stream, short events, void *user)
{
    (void)stream, (void)events;
    session_free(user);
}

static void on_lifetime(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    session_free(user);
}

static void session_start(struct csk_server *server, int fd, uint32_t source_ip)
{
    static const struct timeval lifetime = {.tv_sec = LIFETIME_S};
    struct session *session = calloc(1, sizeof(*session));
    struct event *end = session ? evtimer_new(server->base, on_lifetime, session) : NULL;
    struct bufferevent *stream = end ? bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
    if (!stream) {
        if (end)
            event_free(end);
        free(session);
        close(fd);
        return;
    }
    *session = (struct session){
        .server = server, .stream = stream, .end = end, .source_ip = source_ip, .next = server->sessions};
    server->sessions = session;
    server->sessions_len++;
    evtimer_add(end, &lifetime);
    bufferevent_setcb(stream, on_readable, on_drained, on_ended, session);
    bufferevent_setwatermark(stream, EV_READ, 0, CSK_FRAME_MAX);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                          int len, void *user)
{
    struct csk_server *server = user;
    (void)listener;
    const struct sockaddr_in *source = (const struct sockaddr_in *)(const void *)address;
    const bool wanted = len == (int)sizeof(*source) && server->sessions_len < CSK_CONNECTIONS_MAX &&
                        server->source.is_member(server->source.user, ntohl(source->sin_addr.s_addr));
    if (wanted)
        session_start(server, fd, ntohl(source->sin_addr.s_addr));
    else
        close(fd);
}

struct csk_server *csk_server_new(struct event_base *base, uint32_t mesh_ip, const struct csk_source *source,
                                  struct am_err *err)
{
    struct csk_server *server = calloc(1, sizeof(*server));
    if (!server) {
        am_fail(err, -ENOMEM, "out of memory");
        return NULL;
    }
    server->base = base;
    server->source = *source;
    const int fd = mesh_socket_bind(SOCK_STREAM, mesh_ip, CSK_PORT, err);
    if (fd >= 0)
        server->listener = evconnlistener_new(base, on_connection, server,
                                              LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
    if (server->listener)
        return server;
    if (fd >= 0) {
        am_fail(err, -ENOMEM, "the port of the cluster shared key can not be listened on");
        close(fd);
    }
    free(server);
    return NULL;
}

void csk_server_free(struct csk_server *server)
{
    if (!server)
        return;
    while (server->sessions)
        session_free(server->sessions); /* leaves the list: NOLINT(clang-analyzer-unix.Malloc) */
    evconnlistener_free(server->listener);
    free(server);
}
