#include "agent/transport/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/transport/clock.h"
#include "agent/transport/frame.h"
#include "agent/transport/preface.h"

#define PREFACE_TIMEOUT_S 10
#define KEEPALIVE_S 60
#define SILENCE_TIMEOUT_S 150 /* two and a half keepalives */
#define STALL_TIMEOUT_S 20
#define DRAIN_S 2
#define RECORDS_PER_WAKE 16        /* then the other streams get their turn */
#define NOTSENT_LOWAT (128 * 1024) /* what waits longer waits in our queue, where its age is seen */

enum stream_state { STREAM_HANDSHAKE, STREAM_PREFACE, STREAM_VERIFIED, STREAM_OPEN, STREAM_DRAINING };

struct stream {
    struct stream_host *host;
    const struct stream_events *events;
    void *owner;
    struct transport_peer remote;
    enum transport_direction direction;
    enum stream_state state;
    int fd;
    SSL *ssl;     /* of an accepted stream: NULL until the first byte arrives */
    bool sound;   /* TLS is established and has not failed, so that a goodbye can be sent */
    bool blocked; /* waits for the socket to become writable */
    bool unflushed;
    TAILQ_ENTRY(stream) unflushed_link;
    struct event *readable;
    struct event *writable;
    struct event *timer;
    struct frame_reader reader;
    struct queue queue;
    uint8_t exporter[PREFACE_EXPORTER_SIZE];
};

static int stream_fail_tls(int ssl_error, const char *what, struct am_err *err)
{
    char text[160];
    return am_fail(err, -ECONNRESET, "%s: %s", what, tls_describe_failure(ssl_error, text, sizeof(text)));
}

static void stream_arm_timer(struct stream *stream, int seconds)
{
    const struct timeval delay = {.tv_sec = seconds};
    event_add(stream->timer, &delay);
}

static void stream_await_writable(struct stream *stream)
{
    const struct timeval stall = {.tv_sec = STALL_TIMEOUT_S};
    stream->blocked = true;
    event_add(stream->writable, &stall);
}

static void stream_mark_unflushed(struct stream *stream)
{
    if (stream->unflushed || stream->blocked)
        return;
    stream->unflushed = true;
    TAILQ_INSERT_TAIL(&stream->host->unflushed, stream, unflushed_link);
}

static void stream_unmark_unflushed(struct stream *stream)
{
    if (!stream->unflushed)
        return;
    stream->unflushed = false;
    TAILQ_REMOVE(&stream->host->unflushed, stream, unflushed_link);
}

/* Between on and off the kernel gathers records, so that they travel, and wake the other side, together. */
static void stream_cork(const struct stream *stream, int on)
{
    (void)setsockopt(stream->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* Writes until no more than `keep` bytes wait or the socket is full. */
static int stream_write_records(struct stream *stream, size_t keep, struct am_err *err)
{
    while (!stream->blocked && queue_len(&stream->queue) > keep) {
        ERR_clear_error();
        errno = 0;
        const size_t len = queue_commit(&stream->queue);
        const int written = SSL_write(stream->ssl, queue_head(&stream->queue), (int)len);
        if (written > 0) {
            queue_consume(&stream->queue, (size_t)written);
            continue;
        }
        const int error = SSL_get_error(stream->ssl, written);
        if (error == SSL_ERROR_WANT_READ)
            return 0; /* tried again when bytes arrive */
        if (error != SSL_ERROR_WANT_WRITE) {
            stream->sound = false;
            return stream_fail_tls(error, "writing", err);
        }
        stream_await_writable(stream);
    }
    return 0;
}

/* Writes what waits; while `more` is to come, less than a record may stay. */
static int stream_flush(struct stream *stream, bool more, struct am_err *err)
{
    const bool several = queue_len(&stream->queue) > QUEUE_RECORD_SIZE;
    if (several && !stream->blocked)
        stream_cork(stream, 1);
    const int rc = stream_write_records(stream, more ? QUEUE_RECORD_SIZE : 0, err);
    if (several)
        stream_cork(stream, 0);
    if (!more || stream->blocked)
        stream_unmark_unflushed(stream);
    return rc;
}

static int stream_send_preface(struct stream *stream, struct am_err *err)
{
    uint8_t frame[PREFACE_SIZE_MAX];
    size_t len;
    struct preface preface = {.cluster = stream->host->cluster,
                              .from = stream->host->member_id,
                              .to = stream->remote.member_id,
                              .unix_ms = clock_unix_ms()};
    const int rc = preface_build(&preface, stream->host->seed, stream->exporter, frame, &len);
    if (rc || queue_put_frame(&stream->queue, frame, len, clock_monotonic_ms()) != QUEUE_TAKEN)
        return am_fail(err, -ENOMEM, "our preface can not be sent: %s", am_error_name(-ENOMEM));
    return stream_flush(stream, false, err);
}

static int stream_verify_preface(struct stream *stream, const uint8_t *data, size_t len, struct am_err *err)
{
    struct preface preface;
    char hex[BYTES32_HEX_SIZE];
    const int rc = preface_parse(data, len, &preface, err);
    if (rc)
        return rc;
    if (stream->direction == TRANSPORT_ACCEPTED &&
        !stream->events->identify(stream->owner, &preface.from, &stream->remote))
        return am_fail(err, AM_EAUTH, "%s is not a live member of this cluster",
                       bytes32_hex(&preface.from, hex));
    return preface_check(&preface, &stream->host->cluster, &stream->remote.member_id,
                         &stream->host->member_id, &stream->remote.ed25519_pubkey, stream->exporter, err);
}

static void stream_become_open(struct stream *stream)
{
    const struct timeval silence = {.tv_sec = SILENCE_TIMEOUT_S};
    stream->state = STREAM_OPEN;
    stream->reader.limit = FRAME_PAYLOAD_MAX;
    event_add(stream->readable, &silence);
    stream_arm_timer(stream, KEEPALIVE_S);
}

static int stream_take_preface(struct stream *stream, const uint8_t *data, size_t len, struct am_err *err)
{
    const int rc = stream_verify_preface(stream, data, len, err);
    if (rc)
        return rc;
    if (stream->direction == TRANSPORT_ACCEPTED) {
        stream->state = STREAM_VERIFIED;
    } else {
        stream_become_open(stream);
        stream->events->open(stream->owner, stream);
    }
    return 0;
}

static int stream_take_frames(struct stream *stream, const uint8_t *data, size_t len, struct am_err *err)
{
    const uint8_t *payload;
    size_t payload_len;
    int rc;
    while ((rc = frame_reader_next(&stream->reader, &data, &len, &payload, &payload_len)) == 1) {
        if (stream->state >= STREAM_OPEN) {
            if (payload_len)
                stream->events->datagram(stream->owner, payload, payload_len);
        } else if (stream->state == STREAM_VERIFIED) {
            return am_fail(err, AM_EFORMAT, "more than a preface before our answer");
        } else if ((rc = stream_take_preface(stream, payload, payload_len, err))) {
            return rc;
        }
    }
    return rc ? am_fail(err, rc, "a frame can not be taken: %s", am_error_name(rc)) : 0;
}

/* What failed reading means. */
static int stream_end_reading(struct stream *stream, int len, struct am_err *err)
{
    const int error = SSL_get_error(stream->ssl, len);
    if (error == SSL_ERROR_WANT_READ)
        return 0;
    if (error == SSL_ERROR_WANT_WRITE) {
        stream_await_writable(stream);
        return 0;
    }
    stream->sound = error == SSL_ERROR_ZERO_RETURN;
    return stream_fail_tls(error, stream->state < STREAM_OPEN ? "before the preface" : "reading", err);
}

static int stream_read_records(struct stream *stream, struct am_err *err)
{
    for (unsigned records = 0; records < RECORDS_PER_WAKE; records++) {
        ERR_clear_error();
        errno = 0;
        const int len = SSL_read(stream->ssl, stream->host->scratch, STREAM_SCRATCH_SIZE);
        if (len <= 0)
            return stream_end_reading(stream, len, err);
        const int rc = stream_take_frames(stream, stream->host->scratch, (size_t)len, err);
        if (rc)
            return rc;
        if (stream->state == STREAM_VERIFIED || !SSL_has_pending(stream->ssl))
            return 0;
    }
    event_active(stream->readable, EV_READ,
                 0); /* the socket will not become readable for what is read ahead */
    return 0;
}

static int stream_receive(struct stream *stream, struct am_err *err)
{
    const int rc = stream_read_records(stream, err);
    if (stream->state >= STREAM_OPEN)
        stream->events->batch_end(stream->owner);
    return rc;
}

static int stream_begin_preface(struct stream *stream, struct am_err *err)
{
    static const char label[] = PREFACE_EXPORTER_LABEL;
    stream->sound = true;
    stream->state = STREAM_PREFACE;
    stream->reader.limit = PREFACE_SIZE_MAX;
    stream_arm_timer(stream, PREFACE_TIMEOUT_S);
    if (SSL_export_keying_material(stream->ssl, stream->exporter, sizeof(stream->exporter), label,
                                   sizeof(label) - 1, NULL, 0, 0) != 1)
        return stream_fail_tls(SSL_ERROR_SSL, "TLS exporter", err);
    return stream->direction == TRANSPORT_DIALED ? stream_send_preface(stream, err) : 0;
}

static int stream_handshake(struct stream *stream, struct am_err *err)
{
    if (!stream->ssl && !(stream->ssl = tls_accept(stream->host->tls, stream->fd)))
        return am_fail(err, -ENOMEM, "out of memory for a TLS session");
    ERR_clear_error();
    errno = 0;
    const int rc = SSL_do_handshake(stream->ssl);
    if (rc == 1)
        return stream_begin_preface(stream, err);
    const int error = SSL_get_error(stream->ssl, rc);
    if (error == SSL_ERROR_WANT_WRITE)
        stream_await_writable(stream);
    else if (error != SSL_ERROR_WANT_READ)
        return stream_fail_tls(error, "TLS handshake", err);
    return 0;
}

static void stream_free_events(struct stream *stream)
{
    if (stream->timer)
        event_free(stream->timer);
    if (stream->writable)
        event_free(stream->writable);
    if (stream->readable)
        event_free(stream->readable);
    stream->timer = stream->writable = stream->readable = NULL;
}

/* Hands the stream over. Another thread may have it before this returns. */
static void stream_pass_on(struct stream *stream)
{
    const struct stream_events *events = stream->events;
    stream_free_events(stream);
    stream->events = NULL; /* detached: nobody to tell */
    events->verified(stream->owner, stream);
}

/* Does what the state asks for after the socket has become ready. */
static void stream_proceed(struct stream *stream, bool may_read)
{
    struct am_err err = {0};
    int rc = 0;
    if (stream->state == STREAM_HANDSHAKE)
        rc = stream_handshake(stream, &err);
    if (!rc && stream->state > STREAM_HANDSHAKE && (may_read || SSL_has_pending(stream->ssl)))
        rc = stream_receive(stream, &err);
    if (!rc && stream->state == STREAM_VERIFIED) {
        stream_pass_on(stream);
        return;
    }
    if (!rc && stream->state > STREAM_HANDSHAKE)
        rc = stream_flush(stream, false, &err);
    if (rc)
        stream_close(stream, err.text);
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    struct stream *stream = user;
    if (what & EV_TIMEOUT)
        stream_close(stream, "nothing arrived for too long");
    else
        stream_proceed(stream, true);
}

static void on_writable(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    struct stream *stream = user;
    stream->blocked = false;
    if (what & EV_TIMEOUT)
        stream_close(stream, "no progress in writing for too long");
    else
        stream_proceed(stream, false);
}

static void stream_keep_alive(struct stream *stream)
{
    struct am_err err = {0};
    queue_trim(&stream->queue);
    (void)queue_put_frame(&stream->queue, NULL, 0, clock_monotonic_ms());
    stream_arm_timer(stream, KEEPALIVE_S);
    if (stream_flush(stream, false, &err))
        stream_close(stream, err.text);
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    static const char *const reasons[] = {[STREAM_HANDSHAKE] = "no TLS handshake in time",
                                          [STREAM_PREFACE] = "no preface in time",
                                          [STREAM_DRAINING] = "replaced by another stream"};
    struct stream *stream = user;
    if (stream->state == STREAM_OPEN)
        stream_keep_alive(stream);
    else
        stream_close(stream, reasons[stream->state]);
}

/* Best effort: a socket that is no TCP socket carries a stream as well. */
static void tune_socket(int fd)
{
    const int on = 1;
    const int lowat = NOTSENT_LOWAT;
    const unsigned patience_ms = STALL_TIMEOUT_S * 1000;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof(patience_ms));
}

static void stream_free(struct stream *stream)
{
    stream_unmark_unflushed(stream);
    stream_free_events(stream);
    if (stream->sound)
        (void)SSL_shutdown(stream->ssl);
    SSL_free(stream->ssl);
    ERR_clear_error();
    close(stream->fd);
    frame_reader_clear(&stream->reader);
    queue_clear(&stream->queue);
    free(stream);
}

static bool stream_make_events(struct stream *stream)
{
    struct event_base *base = stream->host->base;
    stream->readable = event_new(base, stream->fd, EV_READ | EV_PERSIST, on_readable, stream);
    stream->writable = event_new(base, stream->fd, EV_WRITE, on_writable, stream);
    stream->timer = evtimer_new(base, on_timer, stream);
    return stream->readable && stream->writable && stream->timer;
}

static struct stream *stream_new(struct stream_host *host, int fd, enum transport_direction direction,
                                 const struct stream_events *events, void *owner)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream) {
        close(fd);
        return NULL;
    }
    stream->host = host;
    stream->events = events;
    stream->owner = owner;
    stream->direction = direction;
    stream->fd = fd;
    stream->queue.budget = &host->queue_budget;
    tune_socket(fd);
    if (!stream_make_events(stream) || event_add(stream->readable, NULL)) {
        stream_free(stream);
        return NULL;
    }
    stream_arm_timer(stream, STREAM_HANDSHAKE_TIMEOUT_S);
    return stream;
}

struct stream *stream_new_accepted(struct stream_host *host, int fd, const struct stream_events *events,
                                   void *owner)
{
    return stream_new(host, fd, TRANSPORT_ACCEPTED, events, owner);
}

struct stream *stream_new_dialed(struct stream_host *host, int fd, const char *host_name,
                                 const struct transport_peer *remote, struct tls_ticket *ticket,
                                 const struct stream_events *events, void *owner)
{
    struct stream *stream = stream_new(host, fd, TRANSPORT_DIALED, events, owner);
    if (!stream)
        return NULL;
    stream->remote = *remote;
    stream->ssl = tls_connect(host->tls, fd, host_name, ticket);
    if (!stream->ssl) {
        stream_free(stream);
        return NULL;
    }
    stream_await_writable(stream);
    return stream;
}

bool stream_attach(struct stream *stream, struct stream_host *host, const struct stream_events *events,
                   void *owner)
{
    struct am_err err = {0};
    stream->host = host;
    stream->queue.budget = &host->queue_budget;
    stream->blocked = false;
    if (!stream_make_events(stream) || stream_send_preface(stream, &err)) {
        stream_free(stream);
        return false;
    }
    stream->events = events;
    stream->owner = owner;
    stream_become_open(stream);
    event_active(stream->readable, EV_READ, 0); /* what TLS has read ahead */
    return true;
}

enum transport_direction stream_direction(const struct stream *stream)
{
    return stream->direction;
}

const struct transport_peer *stream_remote(const struct stream *stream)
{
    return &stream->remote;
}

uint32_t stream_rtt_us(const struct stream *stream)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);
    return getsockopt(stream->fd, IPPROTO_TCP, TCP_INFO, &info, &size) ? 0 : info.tcpi_rtt;
}

enum queue_verdict stream_send(struct stream *stream, const uint8_t *data, size_t len, uint64_t now_ms)
{
    const enum queue_verdict verdict = frame_is_urgent(data, len)
                                           ? queue_put_urgent(&stream->queue, data, len, now_ms)
                                           : queue_put_frame(&stream->queue, data, len, now_ms);
    if (verdict == QUEUE_TAKEN)
        stream_mark_unflushed(stream);
    return verdict;
}

void stream_host_flush(struct stream_host *host, bool more)
{
    struct am_err err = {0};
    struct stream *next;
    for (struct stream *stream = TAILQ_FIRST(&host->unflushed); stream; stream = next) {
        next = TAILQ_NEXT(stream, unflushed_link);
        if (stream_flush(stream, more, &err))
            stream_close(stream, err.text);
    }
}

void stream_retire(struct stream *stream)
{
    stream->state = STREAM_DRAINING;
    stream_arm_timer(stream, DRAIN_S);
}

void stream_close(struct stream *stream, const char *reason)
{
    if (stream->events)
        stream->events->closed(stream->owner, stream, reason);
    stream_free(stream);
}
