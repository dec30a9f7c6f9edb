#include "agent/transport/ingress.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/transport/clock.h"
#include "agent/transport/pacer.h"

#define BACKLOG 1024
#define PAUSE_S 1 /* after accept has failed, for want of descriptors for example */

/* FREE -> SILENT -> DUE -> STREAM */
enum pending_state {
    PENDING_FREE,
    PENDING_SILENT, /* nothing has arrived: costs a descriptor and an event */
    PENDING_DUE,    /* bytes are there; waits for the pacer */
    PENDING_STREAM
};

struct pending {
    enum pending_state state;
    struct ingress *ingress;
    int fd;                 /* SILENT, DUE */
    struct event *readable; /* SILENT */
    struct stream *stream;  /* STREAM */
    struct in6_addr source;
    uint64_t since; /* rises by one with each connection */
};

struct ingress {
    struct stream_host *host;
    struct ingress_events events;
    void *user;
    struct evconnlistener *listener;
    struct event *resume;
    struct pacer pacer;
    struct event *turn; /* the pacer may allow again */
    uint64_t accepted;
    struct pending pending[INGRESS_PENDING_MAX];
};

static struct in6_addr source_address(const struct sockaddr *from)
{
    struct in6_addr address = IN6ADDR_ANY_INIT;
    if (from->sa_family == AF_INET6) {
        address = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
    } else if (from->sa_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const void *)from;
        memcpy(&address.s6_addr[12], &ipv4->sin_addr, sizeof(ipv4->sin_addr));
    }
    return address;
}

static struct pending *ingress_find_place(struct ingress *ingress)
{
    for (size_t i = 0; i < INGRESS_PENDING_MAX; i++) {
        if (ingress->pending[i].state == PENDING_FREE)
            return &ingress->pending[i];
    }
    return NULL;
}

static void ingress_forget_stream(struct ingress *ingress, const struct stream *stream)
{
    for (size_t i = 0; i < INGRESS_PENDING_MAX; i++) {
        if (ingress->pending[i].state == PENDING_STREAM && ingress->pending[i].stream == stream)
            ingress->pending[i].state = PENDING_FREE;
    }
}

/* Leaves the descriptor alone. */
static void pending_release(struct pending *pending)
{
    if (pending->readable)
        event_free(pending->readable);
    pending->readable = NULL;
    pending->state = PENDING_FREE;
}

static void pending_close(struct pending *pending, const char *reason)
{
    if (pending->state == PENDING_STREAM) {
        stream_close(pending->stream, reason);
        return;
    }
    close(pending->fd);
    pending_release(pending);
    pending->ingress->events.refuse(pending->ingress->user, reason);
}

static struct pending *older(struct pending *a, struct pending *b)
{
    return a && a->since < b->since ? a : b;
}

/* Makes sure that a connection from `source` fits the bounds. */
static void ingress_make_room(struct ingress *ingress, const struct in6_addr *source)
{
    struct pending *oldest = NULL;
    struct pending *oldest_of_source = NULL;
    size_t total = 0;
    size_t of_source = 0;
    for (size_t i = 0; i < INGRESS_PENDING_MAX; i++) {
        struct pending *at = &ingress->pending[i];
        if (at->state == PENDING_FREE)
            continue;
        total++;
        oldest = older(oldest, at);
        if (memcmp(&at->source, source, sizeof(*source)) == 0) {
            of_source++;
            oldest_of_source = older(oldest_of_source, at);
        }
    }
    if (of_source >= INGRESS_PENDING_PER_SOURCE)
        pending_close(oldest_of_source, "too many connections of one address wait for authentication");
    else if (total >= INGRESS_PENDING_MAX)
        pending_close(oldest, "too many connections wait for authentication");
}

static bool on_identify(void *owner, const struct bytes32 *member_id, struct transport_peer *out)
{
    struct ingress *ingress = owner;
    return ingress->events.identify(ingress->user, member_id, out);
}

static void on_verified(void *owner, struct stream *stream)
{
    struct ingress *ingress = owner;
    ingress_forget_stream(ingress, stream);
    ingress->events.admit(ingress->user, stream);
}

static void on_closed(void *owner, struct stream *stream, const char *reason)
{
    struct ingress *ingress = owner;
    ingress_forget_stream(ingress, stream);
    ingress->events.refuse(ingress->user, reason);
}

static const struct stream_events pending_stream_events = {
    .identify = on_identify, .verified = on_verified, .closed = on_closed};

static void pending_start(struct pending *pending)
{
    struct ingress *ingress = pending->ingress;
    const int fd = pending->fd;
    pending_release(pending);
    struct stream *stream = stream_new_accepted(ingress->host, fd, &pending_stream_events, ingress);
    if (!stream) {
        ingress->events.refuse(ingress->user, "out of memory");
        return;
    }
    pending->stream = stream;
    pending->state = PENDING_STREAM;
}

static struct pending *ingress_oldest_due(struct ingress *ingress)
{
    struct pending *oldest = NULL;
    for (size_t i = 0; i < INGRESS_PENDING_MAX; i++) {
        if (ingress->pending[i].state == PENDING_DUE)
            oldest = older(oldest, &ingress->pending[i]);
    }
    return oldest;
}

/* Starts the handshakes whose turn it is. */
static void ingress_start_due(struct ingress *ingress)
{
    static const struct timeval interval = {.tv_usec = PACER_INTERVAL_MS * 1000};
    struct pending *pending;
    while ((pending = ingress_oldest_due(ingress))) {
        if (!pacer_take(&ingress->pacer, clock_monotonic_ms())) {
            evtimer_add(ingress->turn, &interval);
            return;
        }
        pending_start(pending);
    }
}

static void on_turn(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    ingress_start_due(user);
}

static void on_first_bytes(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    struct pending *pending = user;
    if (what & EV_TIMEOUT) {
        pending_close(pending, "no TLS handshake in time");
        return;
    }
    pending->state = PENDING_DUE;
    ingress_start_due(pending->ingress);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int from_len, void *user)
{
    static const struct timeval patience = {.tv_sec = STREAM_HANDSHAKE_TIMEOUT_S};
    (void)listener;
    (void)from_len;
    struct ingress *ingress = user;
    const struct in6_addr source = source_address(from);
    ingress_make_room(ingress, &source);
    struct pending *pending = ingress_find_place(ingress);
    *pending =
        (struct pending){.state = PENDING_SILENT,
                         .ingress = ingress,
                         .fd = fd,
                         .readable = event_new(ingress->host->base, fd, EV_READ, on_first_bytes, pending),
                         .source = source,
                         .since = ++ingress->accepted};
    if (!pending->readable || event_add(pending->readable, &patience))
        pending_close(pending, "out of memory");
}

static void on_accept_error(struct evconnlistener *listener, void *user)
{
    struct ingress *ingress = user;
    const struct timeval pause = {.tv_sec = PAUSE_S};
    evconnlistener_disable(listener);
    evtimer_add(ingress->resume, &pause);
    ingress->events.refuse(ingress->user, strerror(errno));
}

static void on_resume(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct ingress *ingress = user;
    evconnlistener_enable(ingress->listener);
}

static int ingress_listen(struct ingress *ingress, const char *address, uint16_t port, struct am_err *err)
{
    struct sockaddr_storage bind_to = {0};
    struct sockaddr_in *ipv4 = (void *)&bind_to;
    struct sockaddr_in6 *ipv6 = (void *)&bind_to;
    socklen_t size = sizeof(*ipv4);
    if (!address)
        address = "0.0.0.0";
    if (inet_pton(AF_INET, address, &ipv4->sin_addr) == 1) {
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons(port);
    } else if (inet_pton(AF_INET6, address, &ipv6->sin6_addr) == 1) {
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons(port);
        size = sizeof(*ipv6);
    } else {
        return am_fail(err, AM_ECONFIG, "ingress: \"%s\" is not an IP address", address);
    }
    ingress->listener =
        evconnlistener_new_bind(ingress->host->base, on_accept, ingress,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, BACKLOG,
                                (const struct sockaddr *)&bind_to, (int)size);
    if (!ingress->listener)
        return am_fail(err, -errno, "ingress: TCP %s port %u: %s", address, port, strerror(errno));
    evconnlistener_set_error_cb(ingress->listener, on_accept_error);
    return 0;
}

struct ingress *ingress_new(struct stream_host *host, const char *address, uint16_t port,
                            const struct ingress_events *events, void *user, struct am_err *err)
{
    struct ingress *ingress = calloc(1, sizeof(*ingress));
    if (!ingress) {
        am_fail(err, -ENOMEM, "ingress: out of memory");
        return NULL;
    }
    ingress->host = host;
    ingress->events = *events;
    ingress->user = user;
    ingress->resume = evtimer_new(host->base, on_resume, ingress);
    ingress->turn = evtimer_new(host->base, on_turn, ingress);
    if (!ingress->resume || !ingress->turn)
        am_fail(err, -ENOMEM, "ingress: out of memory");
    else if (!ingress_listen(ingress, address, port, err))
        return ingress;
    ingress_free(ingress);
    return NULL;
}

void ingress_free(struct ingress *ingress)
{
    if (!ingress)
        return;
    if (ingress->listener)
        evconnlistener_free(ingress->listener);
    for (size_t i = 0; i < INGRESS_PENDING_MAX; i++) {
        if (ingress->pending[i].state != PENDING_FREE)
            pending_close(&ingress->pending[i], "the ingress closes");
    }
    if (ingress->turn)
        event_free(ingress->turn);
    if (ingress->resume)
        event_free(ingress->resume);
    free(ingress);
}
