#include "agent/transport/dial.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REASON_SIZE 160

struct dial {
    dial_done_fn done;
    void *user;
    struct event_base *base;
    struct event *timer; /* the deadline; made active earlier to report a failure */
    struct event *writable;
    struct evdns_getaddrinfo_request *request;
    bool resolving; /* evdns will call back, even after a cancel: the object must live until then */
    bool abandoned; /* nobody waits any more */
    int fd;
    unsigned attempt;
    char reason[REASON_SIZE];
};

static void dial_free(struct dial *dial)
{
    if (dial->timer)
        event_free(dial->timer);
    if (dial->writable)
        event_free(dial->writable);
    if (dial->fd >= 0)
        close(dial->fd);
    free(dial);
}

void dial_cancel(struct dial *dial)
{
    if (!dial)
        return;
    if (!dial->resolving) {
        dial_free(dial);
        return;
    }
    dial->abandoned = true;
    event_del(dial->timer);
    if (dial->request)
        evdns_getaddrinfo_cancel(dial->request);
}

static void dial_report(struct dial *dial, const char *reason)
{
    const dial_done_fn done = dial->done;
    void *user = dial->user;
    const int fd = reason ? -1 : dial->fd;
    char text[REASON_SIZE];
    if (reason) {
        snprintf(text, sizeof(text), "%s", reason);
        reason = text;
    } else {
        dial->fd = -1;
    }
    dial_cancel(dial);
    done(user, fd, reason);
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct dial *dial = user;
    if (dial->reason[0])
        dial_report(dial, dial->reason);
    else if (dial->resolving)
        dial_report(dial, "the gateway's name does not resolve in time");
    else
        dial_report(dial, "the gateway does not answer in time");
}

/* From the loop, not from here, so that the caller of dial_start never meets its own callback. */
static void dial_fail(struct dial *dial, const char *what, const char *why)
{
    snprintf(dial->reason, sizeof(dial->reason), "%s: %s", what, why);
    event_active(dial->timer, EV_TIMEOUT, 0);
}

static void on_writable(evutil_socket_t fd, short what, void *user)
{
    (void)what;
    struct dial *dial = user;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
        error = errno;
    if (error)
        dial_fail(dial, "connect to the gateway", strerror(error));
    else
        dial_report(dial, NULL);
}

static void dial_open_socket(struct dial *dial, const struct evutil_addrinfo *address)
{
    dial->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0) {
        dial_fail(dial, "socket", strerror(errno));
        return;
    }
    if (connect(dial->fd, address->ai_addr, (socklen_t)address->ai_addrlen) && errno != EINPROGRESS) {
        dial_fail(dial, "connect to the gateway", strerror(errno));
        return;
    }
    dial->writable = event_new(dial->base, dial->fd, EV_WRITE, on_writable, dial);
    if (!dial->writable || event_add(dial->writable, NULL))
        dial_fail(dial, "connect to the gateway", strerror(ENOMEM));
}

static const struct evutil_addrinfo *pick_address(const struct evutil_addrinfo *list, unsigned attempt)
{
    unsigned count = 0;
    for (const struct evutil_addrinfo *at = list; at; at = at->ai_next)
        count++;
    const struct evutil_addrinfo *chosen = list;
    for (unsigned skip = count ? attempt % count : 0; skip; skip--)
        chosen = chosen->ai_next;
    return chosen;
}

static void on_resolved(int error, struct evutil_addrinfo *list, void *user)
{
    struct dial *dial = user;
    dial->resolving = false;
    dial->request = NULL;
    if (dial->abandoned)
        dial_free(dial);
    else if (error || !list)
        dial_fail(dial, "resolve the gateway's name", evutil_gai_strerror(error));
    else
        dial_open_socket(dial, pick_address(list, dial->attempt));
    if (list)
        evutil_freeaddrinfo(list);
}

struct dial *dial_start(struct event_base *base, struct evdns_base *dns, const char *host, uint16_t port,
                        unsigned attempt, dial_done_fn done, void *user)
{
    struct dial *dial = calloc(1, sizeof(*dial));
    if (!dial)
        return NULL;
    *dial = (struct dial){.done = done, .user = user, .base = base, .fd = -1, .attempt = attempt};
    const struct timeval timeout = {.tv_sec = DIAL_TIMEOUT_S};
    dial->timer = evtimer_new(base, on_timer, dial);
    if (!dial->timer || evtimer_add(dial->timer, &timeout)) {
        dial_free(dial);
        return NULL;
    }
    char service[6];
    snprintf(service, sizeof(service), "%u", port);
    const struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = EVUTIL_AI_ADDRCONFIG};
    dial->resolving = true;
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(dns, host, service, &hints, on_resolved, dial);
    if (dial->resolving)
        dial->request = request;
    return dial;
}
