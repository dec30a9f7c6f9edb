#include "indexer/hub.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/socket.h"
#include "indexer/session.h"

#define SWEEP_MS 250
#define CLOSING_MS 5000 /* for the last words */
#define BACKLOG 4096

uint64_t hub_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- Frames that many get: shared, freed by the last queue that lets go ---- */

struct shared {
    size_t holders;
    size_t len;
    uint8_t bytes[];
};

static struct shared *shared_new(const uint8_t *bytes, size_t len)
{
    struct shared *shared = malloc(sizeof(*shared) + len);
    if (!shared)
        return NULL;
    *shared = (struct shared){.holders = 1, .len = len};
    memcpy(shared->bytes, bytes, len);
    return shared;
}

static void shared_drop(struct shared *shared)
{
    if (--shared->holders == 0)
        free(shared);
}

static void on_shared_sent(const void *bytes, size_t len, void *user)
{
    (void)bytes, (void)len;
    shared_drop(user);
}

static bool shared_queue(struct shared *shared, struct evbuffer *queue)
{
    if (evbuffer_add_reference(queue, shared->bytes, shared->len, on_shared_sent, shared) != 0)
        return false;
    shared->holders++;
    return true;
}

/* ---- Fan-out ---- */

/* Past a queue that is empty: with it, a frame costs as much again in events as its record does. What the
 * socket does not take is sent by the queue, which goes on with the very same bytes. */
static bool send_at_once(const struct session *session, const struct shared *frame)
{
    SSL *const ssl = bufferevent_openssl_get_ssl(session->stream);
    if (frame->len > SSL3_RT_MAX_PLAIN_LENGTH)
        return false;
    if (SSL_write(ssl, frame->bytes, (int)frame->len) > 0)
        return true;
    ERR_clear_error();
    return false;
}

static bool pass_on(const struct session *session, struct shared *frame)
{
    struct evbuffer *queue = bufferevent_get_output(session->stream);
    const size_t waiting = evbuffer_get_length(queue);
    if (waiting == 0 && send_at_once(session, frame))
        return true;
    return waiting + frame->len <= HUB_QUEUE_MAX && shared_queue(frame, queue);
}

/* One that can not take it now reads it from the store later. */
static void push(struct session *session, struct shared *frame, const struct store_log *log)
{
    struct hub_status *status = &session->hub->status;
    if (!session->live || !session_may_see(session, log))
        return;
    if (!pass_on(session, frame)) {
        session->live = false;
        status->live--;
        status->fallbacks++;
        return;
    }
    status->pushes++;
    status->bytes += frame->len;
    session->at = log->at;
    if (session_is_ended_by(session, log))
        session_refuse(session, indexer_RefusalCode_REFUSAL_REMOVED, "this member was removed");
}

static void fan_out(struct hub *hub, const struct store_log *log)
{
    struct room *room = rooms_find(&hub->rooms, &log->cluster);
    struct shared *frame = room ? shared_new(log->frame, log->frame_len) : NULL;
    if (!room)
        return;
    for (struct room_seat *seat = LIST_FIRST(&room->seats), *next; seat; seat = next) {
        struct session *session = session_of_seat(seat);
        next = LIST_NEXT(seat, link);
        if (frame) {
            push(session, frame, log);
        } else if (session->live) {
            session->live = false;
            hub->status.live--;
            hub->status.fallbacks++;
        }
    }
    if (frame)
        shared_drop(frame);
}

void hub_tell_appended(struct hub *hub, const struct store_tip *tip, uint64_t tip_time,
                       const struct store_log *logs, size_t logs_len)
{
    hub->tip =
        (struct wire_checkpoint){.block = tip->number, .block_hash = tip->hash, .block_time = tip_time};
    for (size_t i = 0; i < logs_len; i++)
        fan_out(hub, &logs[i]);
}

void hub_tell_retracted(struct hub *hub, const struct address *cluster, const struct wire_cursor *block)
{
    const struct wire_retraction retraction = {.chain_id = hub->config.chain_id,
                                               .cluster = *cluster,
                                               .block = block->block,
                                               .block_hash = block->block_hash};
    uint8_t frame[WIRE_SMALL_MAX];
    struct room *room = rooms_find(&hub->rooms, cluster);
    const size_t len = room ? wire_build_retraction(hub->config.seed, &retraction, frame) : 0;
    if (!room)
        return;
    struct room_seat *seat;
    LIST_FOREACH(seat, &room->seats, link)
    {
        struct session *session = session_of_seat(seat);
        if (session->at.block < block->block)
            continue;
        evbuffer_add(bufferevent_get_output(session->stream), frame, len);
        session->at = (struct wire_cursor){.block = block->block - 1, .log_index = UINT32_MAX};
        hub->status.retractions++;
    }
}

/* ---- Listening ---- */

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
                      void *user)
{
    struct hub *hub = user;
    (void)listener, (void)address, (void)len;
    const bool is_full = hub->connections >= hub->connections_max;
    if (hub->stopping || (is_full && hub->status.strangers == 0)) {
        hub->status.refused++;
        close(fd);
        return;
    }
    if (is_full || hub->status.strangers >= HUB_STRANGERS_MAX) {
        hub->status.refused++;
        session_free(TAILQ_FIRST(&hub->strangers));
    }
    if (session_new(hub, fd))
        hub->status.accepted++;
}

/* Out of files, say: not tried again before the next sweep. */
static void on_accept_failed(struct evconnlistener *listener, void *user)
{
    (void)user;
    log_warn("hub.accept_failed", log_text("reason", strerror(errno)));
    evconnlistener_disable(listener);
}

static uint64_t connections_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= HUB_CONNECTIONS_MAX + HUB_FILES_RESERVED)
        return HUB_CONNECTIONS_MAX;
    return limit.rlim_cur > HUB_FILES_RESERVED ? limit.rlim_cur - HUB_FILES_RESERVED : 1;
}

static void on_sweep(evutil_socket_t fd, short what, void *user)
{
    static const struct timeval interval = {0, SWEEP_MS * 1000};
    struct hub *hub = user;
    const uint64_t now_ms = hub_now_ms();
    struct session *session;
    (void)fd, (void)what;
    while ((session = TAILQ_FIRST(&hub->strangers)) && now_ms - session->stamp_ms >= HUB_HELLO_S * 1000) {
        hub->status.refused++;
        session_free(session);
    }
    while ((session = TAILQ_FIRST(&hub->closing)) && now_ms - session->stamp_ms >= CLOSING_MS)
        session_free(session);
    while ((session = TAILQ_FIRST(&hub->members)) && now_ms - session->stamp_ms >= HUB_CHECKPOINT_MS)
        session_checkpoint(session, now_ms);
    evconnlistener_enable(hub->listener);
    evtimer_add(hub->sweep, &interval);
}

static int listen_on(struct hub *hub, const char *host, uint16_t port, struct am_err *err)
{
    struct sockaddr_storage address = {0};
    int len = sizeof(address);
    char text[80];
    evutil_snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port ? port : 1);
    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&address, &len) != 0)
        return am_fail(err, AM_ECONFIG, "LISTEN_ADDR: %s is no numeric address", host);
    if (port == 0)
        ((struct sockaddr_in *)&address)->sin_port = 0;
    errno = 0;
    hub->listener = evconnlistener_new_bind(hub->base, on_accept, hub,
                                            LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                            BACKLOG, (struct sockaddr *)&address, len);
    if (hub->listener) {
        evconnlistener_set_error_cb(hub->listener, on_accept_failed);
        return 0;
    }
    const int code = errno ? -errno : -EADDRNOTAVAIL;
    return am_fail(err, code, "LISTEN_ADDR: can not listen on %s: %s", text, strerror(-code));
}

/* ---- Life ---- */

int hub_new(struct event_base *base, const struct hub_config *config, struct hub **out, struct am_err *err)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    if (!hub)
        return am_fail(err, -ENOMEM, "out of memory");
    hub->base = base;
    hub->config = *config;
    hub->connections_max = connections_max();
    TAILQ_INIT(&hub->strangers);
    TAILQ_INIT(&hub->members);
    TAILQ_INIT(&hub->closing);
    hub->welcome = malloc(config->welcome_len);
    hub->sweep = evtimer_new(base, on_sweep, hub);
    if (!hub->welcome || !hub->sweep) {
        hub_free(hub);
        return am_fail(err, -ENOMEM, "out of memory");
    }
    memcpy(hub->welcome, config->welcome, config->welcome_len);
    struct store_tip tip;
    bool has_tip;
    int code = store_read_tip(config->store, &tip, &has_tip, err);
    if (code == 0) {
        hub->tip = (struct wire_checkpoint){.block = tip.number, .block_hash = tip.hash};
        code = listen_on(hub, config->host, config->port, err);
    }
    if (code) {
        hub_free(hub);
        return code;
    }
    on_sweep(-1, 0, hub);
    *out = hub;
    return 0;
}

static void free_all(struct session_list *list)
{
    while (!TAILQ_EMPTY(list))
        session_free(TAILQ_FIRST(list));
}

void hub_free(struct hub *hub)
{
    if (!hub)
        return;
    free_all(&hub->strangers);
    free_all(&hub->members);
    free_all(&hub->closing);
    if (hub->listener)
        evconnlistener_free(hub->listener);
    if (hub->sweep)
        event_free(hub->sweep);
    free(hub->welcome);
    free(hub);
}

void hub_stop(struct hub *hub)
{
    hub->stopping = true;
    free_all(&hub->strangers);
    while (!TAILQ_EMPTY(&hub->members))
        session_refuse(TAILQ_FIRST(&hub->members), indexer_RefusalCode_REFUSAL_STOPPING,
                       "the indexer ends; resume with the next");
}

uint16_t hub_port(const struct hub *hub)
{
    return socket_port(evconnlistener_get_fd(hub->listener));
}

void hub_status(const struct hub *hub, struct hub_status *out)
{
    *out = hub->status;
}

size_t hub_count(const struct hub *hub, const struct address *cluster)
{
    const struct room *const room = rooms_find(&hub->rooms, cluster);
    return room ? room->count : 0;
}

bool hub_serves(const struct hub *hub, const struct address *cluster, const struct bytes32 *member_id)
{
    return rooms_find_member(&hub->rooms, cluster, member_id);
}
