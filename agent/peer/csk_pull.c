#include "agent/peer/csk_pull.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/peer/mesh_socket.h"

static const struct timeval connect_timeout = {.tv_sec = 1}, answer_timeout = {.tv_sec = 2};

struct csk_pull {
    struct bufferevent *stream;
    struct event *timeout;
    bool connected;
    uint64_t generation;
    csk_pull_fn done;
    void *user;
};

void csk_pull_cancel(struct csk_pull *pull)
{
    if (!pull)
        return;
    if (pull->stream)
        bufferevent_free(pull->stream);
    if (pull->timeout)
        event_free(pull->timeout);
    free(pull);
}

static void end(struct csk_pull *pull, const struct csk_response *response, const char *error)
{
    const csk_pull_fn done = pull->done;
    void *const user = pull->user;
    csk_pull_cancel(pull);
    done(user, response, error);
}

static void on_readable(struct bufferevent *stream, void *user)
{
    struct csk_pull *pull = user;
    struct evbuffer *input = bufferevent_get_input(stream);
    const size_t len = evbuffer_get_length(input);
    struct csk_response response;
    const int found = csk_response_take(evbuffer_pullup(input, (ssize_t)len), len, &response);
    if (found == 0 && len < CSK_FRAME_MAX)
        return;
    if (found <= 0 || response.generation != pull->generation)
        end(pull, NULL, "its answer is malformed");
    else if (!response.held)
        end(pull, NULL, "it does not hold the key");
    else
        end(pull, &response, NULL);
}

static void on_event(struct bufferevent *stream, short events, void *user)
{
    struct csk_pull *pull = user;
    uint8_t frame[CSK_FRAME_MAX];
    if (!(events & BEV_EVENT_CONNECTED)) {
        end(pull, NULL, pull->connected ? "it closes the connection" : strerror(EVUTIL_SOCKET_ERROR()));
        return;
    }
    pull->connected = true;
    evtimer_add(pull->timeout, &answer_timeout);
    bufferevent_write(stream, frame, csk_request_build(pull->generation, frame));
}

static void on_timeout(evutil_socket_t fd, short what, void *user)
{
    struct csk_pull *pull = user;
    (void)fd, (void)what;
    end(pull, NULL, pull->connected ? "no answer within 2 s" : "no connection within 1 s");
}

struct csk_pull *csk_pull_start(struct event_base *base, uint32_t own_ip, uint32_t peer_ip,
                                uint64_t generation, csk_pull_fn done, void *user)
{
    const struct sockaddr_in address = mesh_socket_address(peer_ip, CSK_PORT);
    struct csk_pull *pull = calloc(1, sizeof(*pull));
    const int fd = pull ? mesh_socket_bind(SOCK_STREAM, own_ip, 0, NULL) : -1;
    if (fd < 0) {
        free(pull);
        return NULL;
    }
    pull->generation = generation;
    pull->done = done;
    pull->user = user;
    pull->timeout = evtimer_new(base, on_timeout, pull);
    /* Deferred, so that a connection refused at once is not told from within this call. */
    pull->stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!pull->stream)
        close(fd);
    if (!pull->stream || !pull->timeout)
        goto failed;
    bufferevent_setcb(pull->stream, on_readable, NULL, on_event, pull);
    bufferevent_setwatermark(pull->stream, EV_READ, 0, CSK_FRAME_MAX);
    bufferevent_enable(pull->stream, EV_READ | EV_WRITE);
    evtimer_add(pull->timeout, &connect_timeout);
    if (bufferevent_socket_connect(pull->stream, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return pull;
failed:
    csk_pull_cancel(pull);
    return NULL;
}
