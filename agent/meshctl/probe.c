#include "agent/meshctl/probe.h"

#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transport/dial.h"
#include "agent/transport/resolver.h"
#include "agent/transport/tls.h"
#include "agent/transport/transport.h"

struct probe {
    struct event_base *base;
    probe_done_fn done;
    void *user;
    struct resolver *resolver;
    struct dial *dial;
    struct tls tls;
    bool has_tls;
    struct tls_ticket ticket;
    struct bufferevent *stream;
    char host[TRANSPORT_HOST_SIZE];
};

static void on_event(struct bufferevent *stream, short what, void *user)
{
    struct probe *probe = user;
    char reason[128] = "the connection was closed";
    if (what & BEV_EVENT_CONNECTED) {
        probe->done(probe->user, PROBE_DONE, "");
        return;
    }
    const unsigned long error = bufferevent_get_openssl_error(stream);
    const char *const said = error != 0 ? ERR_reason_error_string(error) : NULL;
    if (said)
        snprintf(reason, sizeof(reason), "%s", said);
    else if (what & BEV_EVENT_ERROR && EVUTIL_SOCKET_ERROR() != 0)
        snprintf(reason, sizeof(reason), "%s", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    probe->done(probe->user, PROBE_HANDSHAKE, reason);
}

static void on_dialed(void *user, int fd, const char *reason)
{
    struct probe *probe = user;
    probe->dial = NULL;
    if (fd < 0) {
        probe->done(probe->user, PROBE_CONNECT, reason);
        return;
    }
    SSL *session = tls_connect(&probe->tls, fd, probe->host, &probe->ticket);
    if (session)
        probe->stream = bufferevent_openssl_socket_new(probe->base, fd, session, BUFFEREVENT_SSL_CONNECTING,
                                                       BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!probe->stream) {
        SSL_free(session);
        evutil_closesocket(fd);
        probe->done(probe->user, PROBE_CONNECT, "out of memory");
        return;
    }
    bufferevent_setcb(probe->stream, NULL, NULL, on_event, probe);
    bufferevent_enable(probe->stream, EV_READ | EV_WRITE);
}

struct probe *probe_start(struct event_base *base, const char *host, uint16_t port, probe_done_fn done,
                          void *user)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    struct am_err err;
    if (!probe)
        return NULL;
    probe->base = base;
    probe->done = done;
    probe->user = user;
    snprintf(probe->host, sizeof(probe->host), "%s", host);
    probe->resolver = resolver_new(base);
    probe->has_tls = tls_init(&probe->tls, &err) == 0;
    if (probe->resolver && probe->has_tls)
        probe->dial = dial_start(base, resolver_dns(probe->resolver), probe->host, port, 0, on_dialed, probe);
    if (probe->dial)
        return probe;
    probe_free(probe);
    return NULL;
}

void probe_free(struct probe *probe)
{
    if (!probe)
        return;
    dial_cancel(probe->dial);
    if (probe->stream)
        bufferevent_free(probe->stream);
    event_base_loop(probe->base, EVLOOP_NONBLOCK); /* a cancelled name request ends from the loop */
    resolver_free(probe->resolver);
    tls_ticket_clear(&probe->ticket);
    if (probe->has_tls)
        tls_clear(&probe->tls);
    free(probe);
}
