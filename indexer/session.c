#include "indexer/session.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/api/frame.h"
#include "agent/log.h"

bool session_may_see(const struct session *session, const struct store_log *log)
{
    return log->kind != indexer_EventKind_EVENT_MESSAGE_SENT ||
           bytes32_equal(&log->subject, &session->seat.member_id);
}

bool session_is_ended_by(const struct session *session, const struct store_log *log)
{
    return log->kind == indexer_EventKind_EVENT_MEMBER_REMOVED &&
           bytes32_equal(&log->subject, &session->seat.member_id);
}

static struct evbuffer *queue_of(const struct session *session)
{
    return bufferevent_get_output(session->stream);
}

/* ---- Ending ---- */

static struct session_list *list_of(const struct session *session)
{
    struct hub *hub = session->hub;
    if (session->closing)
        return &hub->closing;
    return session->is_member ? &hub->members : &hub->strangers;
}

static void leave_lists(struct session *session)
{
    struct hub_status *status = &session->hub->status;
    TAILQ_REMOVE(list_of(session), session, link);
    if (session->closing)
        return;
    rooms_leave(&session->seat);
    if (session->is_member)
        status->sessions--;
    else
        status->strangers--;
    if (session->live)
        status->live--;
}

void session_free(struct session *session)
{
    leave_lists(session);
    session->hub->connections--;
    bufferevent_free(session->stream);
    free(session);
}

void session_refuse(struct session *session, indexer_RefusalCode code, const char *text)
{
    uint8_t frame[WIRE_SMALL_MAX];
    if (session->closing)
        return;
    leave_lists(session);
    session->closing = true;
    session->stamp_ms = hub_now_ms();
    TAILQ_INSERT_TAIL(&session->hub->closing, session, link);
    session->hub->status.refused++;
    log_debug("session.refused", log_bytes("member", session->seat.member_id.b, 32),
              log_int("code", (int)code), log_text("reason", text));
    bufferevent_disable(session->stream, EV_READ);
    evbuffer_add(queue_of(session), frame, wire_build_refusal(code, text, frame));
}

/* ---- Replay ---- */

static bool replay_log(void *user, const struct store_log *log)
{
    struct session *session = user;
    struct hub_status *status = &session->hub->status;
    if (evbuffer_add(queue_of(session), log->frame, log->frame_len) != 0) {
        session_refuse(session, indexer_RefusalCode_REFUSAL_BUSY, "out of memory");
        return false;
    }
    status->pushes++;
    status->bytes += log->frame_len;
    session->at = log->at;
    if (session_is_ended_by(session, log)) {
        session_refuse(session, indexer_RefusalCode_REFUSAL_REMOVED, "this member was removed");
        return false;
    }
    return evbuffer_get_length(queue_of(session)) < HUB_REPLAY_CHUNK;
}

void session_replay(struct session *session)
{
    struct hub *hub = session->hub;
    struct am_err err;
    if (store_each_log(hub->config.store, &session->seat.room->cluster, &session->seat.member_id,
                       &session->at, replay_log, session, &err) != 0) {
        log_error("session.replay_failed", log_text("reason", err.text));
        session_refuse(session, indexer_RefusalCode_REFUSAL_BUSY, "the store can not be read");
        return;
    }
    if (session->closing || evbuffer_get_length(queue_of(session)) >= HUB_REPLAY_CHUNK)
        return;
    session->live = true;
    hub->status.live++;
    session_checkpoint(session, hub_now_ms());
}

void session_checkpoint(struct session *session, uint64_t now_ms)
{
    struct hub *hub = session->hub;
    uint8_t frame[WIRE_SMALL_MAX];
    TAILQ_REMOVE(&hub->members, session, link);
    TAILQ_INSERT_TAIL(&hub->members, session, link);
    session->stamp_ms = now_ms;
    if (!session->live) {
        if (evbuffer_get_length(queue_of(session)) == 0)
            session_replay(session);
        return;
    }
    if (bytes32_is_zero(&hub->tip.block_hash))
        return;
    evbuffer_add(queue_of(session), frame, wire_build_checkpoint(&hub->tip, frame));
    hub->status.checkpoints++;
}

/* ---- Hello ---- */

/* Where the session begins: behind what the member has, but never before it was registered, and never on a
 * fork that is gone. */
static struct wire_cursor begin_at(struct session *session, const struct wire_hello *hello,
                                   const struct store_member *member)
{
    struct wire_cursor floor = {.block = member->registered_block - 1, .log_index = UINT32_MAX};
    struct wire_cursor cursor = hello->cursor;
    if (!hello->has_cursor)
        return floor;
    if (!store_knows(session->hub->config.store, &hello->cluster, &cursor)) {
        const uint64_t back = STORE_BLOCKS_MAX + 1;
        cursor = (struct wire_cursor){.block = cursor.block > back ? cursor.block - back : 0};
    }
    return wire_cursor_compare(&cursor, &floor) > 0 ? cursor : floor;
}

static bool read_exporter(const struct session *session, uint8_t out[WIRE_EXPORTER_SIZE])
{
    SSL *const ssl = bufferevent_openssl_get_ssl(session->stream);
    return SSL_export_keying_material(ssl, out, WIRE_EXPORTER_SIZE, WIRE_EXPORTER_LABEL,
                                      sizeof(WIRE_EXPORTER_LABEL) - 1, NULL, 0, 0) == 1;
}

/* REFUSAL_UNSPECIFIED when the Hello is good. */
static indexer_RefusalCode judge_hello(const struct session *session, const struct wire_hello *hello,
                                       struct store_member *member, struct am_err *err)
{
    const struct hub *hub = session->hub;
    uint8_t exporter[WIRE_EXPORTER_SIZE];
    if (hello->protocol != WIRE_PROTOCOL || hello->chain_id != hub->config.chain_id) {
        am_fail(err, AM_EMISMATCH, "another protocol or chain is served here");
        return indexer_RefusalCode_REFUSAL_BAD_HELLO;
    }
    if (store_read_member(hub->config.store, &hello->cluster, &hello->member_id, member, err) != 0)
        return indexer_RefusalCode_REFUSAL_BUSY;
    if (!member->registered) {
        am_fail(err, AM_EAUTH, "no such member in this cluster, as far as the chain was read");
        return indexer_RefusalCode_REFUSAL_NOT_A_MEMBER;
    }
    if (!read_exporter(session, exporter) || wire_verify_hello(hello, &member->key, exporter, err) != 0)
        return indexer_RefusalCode_REFUSAL_BAD_SIGNATURE;
    if (member->removed) {
        am_fail(err, AM_EAUTH, "this member was removed");
        return indexer_RefusalCode_REFUSAL_REMOVED;
    }
    if (hello->has_cursor && hello->cursor.block > hub->tip.block) {
        am_fail(err, AM_EMISMATCH, "the cursor is ahead of what was read of the chain");
        return indexer_RefusalCode_REFUSAL_CURSOR_AHEAD;
    }
    return indexer_RefusalCode_REFUSAL_UNSPECIFIED;
}

/* One session for each member: the older may be one whose end was never heard. */
static void replace_older(struct hub *hub, const struct wire_hello *hello)
{
    struct room_seat *const seat = rooms_find_member(&hub->rooms, &hello->cluster, &hello->member_id);
    if (seat)
        session_refuse(session_of_seat(seat), indexer_RefusalCode_REFUSAL_REPLACED,
                       "this member began another session");
}

static void take_hello(struct session *session, const struct wire_hello *hello)
{
    struct hub *hub = session->hub;
    struct store_member member;
    struct am_err err = {0};
    const indexer_RefusalCode code = judge_hello(session, hello, &member, &err);
    if (code != indexer_RefusalCode_REFUSAL_UNSPECIFIED) {
        session_refuse(session, code, err.text);
        return;
    }
    replace_older(hub, hello);
    if (rooms_enter(&hub->rooms, &hello->cluster, &hello->member_id, &session->seat) != 0) {
        session_refuse(session, indexer_RefusalCode_REFUSAL_BUSY, "out of memory");
        return;
    }
    TAILQ_REMOVE(&hub->strangers, session, link);
    hub->status.strangers--;
    session->is_member = true;
    TAILQ_INSERT_TAIL(&hub->members, session, link);
    hub->status.sessions++;
    session->at = begin_at(session, hello, &member);
    session->stamp_ms = hub_now_ms();
    evbuffer_add(queue_of(session), hub->welcome, hub->config.welcome_len);
    session_replay(session);
}

/* ---- The stream ---- */

static void take_ack(struct session *session, const struct wire_cursor *ack)
{
    if (wire_cursor_compare(ack, &session->acked) > 0)
        session->acked = *ack;
    session->hub->status.acks++;
}

static void take_frame(struct session *session, const uint8_t *message, size_t len)
{
    struct wire_client_frame frame;
    struct am_err err;
    if (wire_parse_client(message, len, &frame, &err) != 0)
        session_refuse(session, indexer_RefusalCode_REFUSAL_BAD_FRAME, err.text);
    else if (frame.is_hello == session->is_member)
        session_refuse(session, indexer_RefusalCode_REFUSAL_BAD_FRAME, "Hello comes first, and once");
    else if (frame.is_hello)
        take_hello(session, &frame.hello);
    else
        take_ack(session, &frame.ack);
}

static void on_read(struct bufferevent *stream, void *user)
{
    struct session *session = user;
    struct evbuffer *input = bufferevent_get_input(stream);
    while (!session->closing && evbuffer_get_length(input) > 0) {
        struct frame frame;
        size_t len = evbuffer_get_length(input);
        if (len > WIRE_HELLO_MAX + FRAME_PREFIX_MAX)
            len = WIRE_HELLO_MAX + FRAME_PREFIX_MAX;
        const int code = frame_parse(evbuffer_pullup(input, (ev_ssize_t)len), len, WIRE_HELLO_MAX, &frame);
        if (code == 0)
            return;
        if (code < 0) {
            session_refuse(session, indexer_RefusalCode_REFUSAL_BAD_FRAME, "the frame is too long");
            return;
        }
        take_frame(session, frame.message, frame.message_len);
        evbuffer_drain(input, frame.len);
    }
}

static void on_written(struct bufferevent *stream, void *user)
{
    struct session *session = user;
    if (session->closing) {
        if (evbuffer_get_length(bufferevent_get_output(stream)) == 0)
            session_free(session);
    } else if (session->is_member && !session->live) {
        session_replay(session);
    }
}

static void on_event(struct bufferevent *stream, short what, void *user)
{
    struct session *session = user;
    (void)stream;
    if (what & BEV_EVENT_CONNECTED)
        return;
    if (what & BEV_EVENT_TIMEOUT)
        session->hub->status.stalled++;
    session_free(session);
}

struct session *session_new(struct hub *hub, int fd)
{
    static const struct timeval stall = {HUB_STALL_S, 0};
    static const unsigned gone_ms = HUB_GONE_S * 1000;
    struct session *session = calloc(1, sizeof(*session));
    SSL *const ssl = session ? SSL_new(hub->config.tls) : NULL;
    struct bufferevent *stream =
        ssl ? bufferevent_openssl_socket_new(hub->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                             BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS)
            : NULL;
    if (!stream) {
        SSL_free(ssl);
        free(session);
        close(fd);
        return NULL;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone_ms, sizeof(gone_ms));
    *session = (struct session){.hub = hub, .stream = stream, .stamp_ms = hub_now_ms()};
    TAILQ_INSERT_TAIL(&hub->strangers, session, link);
    hub->status.strangers++;
    hub->connections++;
    bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
    bufferevent_setcb(stream, on_read, on_written, on_event, session);
    bufferevent_setwatermark(stream, EV_READ, 0, 2 * (WIRE_HELLO_MAX + FRAME_PREFIX_MAX));
    bufferevent_setwatermark(stream, EV_WRITE, 0, 0);
    bufferevent_set_timeouts(stream, NULL, &stall);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
    return session;
}
