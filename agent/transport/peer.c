#include "agent/transport/peer.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transport/clock.h"
#include "agent/transport/frame.h"

#define RTT_INTERVAL_MS 1000

static void counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    const uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

static uint64_t counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct peer *peer_new(const struct transport_peer *info)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    if (!peer)
        return NULL;
    peer->info = *info;
    peer->mail.index = info->index;
    return peer;
}

void peer_free(struct peer *peer)
{
    tls_ticket_clear(&peer->ticket);
    free(atomic_load(&peer->offered));
    free(peer->endpoint);
    free(peer);
}

int peer_offer_endpoint(struct peer *peer, const struct peer_endpoint *endpoint)
{
    struct peer_endpoint *copy = malloc(sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    *copy = *endpoint;
    free(atomic_exchange(&peer->offered, copy));
    return 0;
}

bool peer_is(const struct peer *peer, const struct transport_peer *info)
{
    return peer->info.index == info->index && bytes32_equal(&peer->info.member_id, &info->member_id) &&
           address_equal(&peer->info.member_contract, &info->member_contract) &&
           bytes32_equal(&peer->info.ed25519_pubkey, &info->ed25519_pubkey);
}

void peer_read_counters(const struct peer *peer, struct transport_counters *out)
{
    const struct peer_counters *counters = &peer->counters;
    *out = (struct transport_counters){
        .sent = counter_read(&counters->sent),
        .sent_bytes = counter_read(&counters->sent_bytes),
        .received = counter_read(&counters->received),
        .received_bytes = counter_read(&counters->received_bytes),
        .dropped_late = counter_read(&counters->dropped_late),
        .dropped_full = counter_read(&counters->dropped_full),
        .dropped_down = counter_read(&counters->dropped_down),
        .dropped_malformed = counter_read(&counters->dropped_malformed),
        .streams = counter_read(&counters->streams),
        .rtt_us = atomic_load_explicit(&counters->rtt_us, memory_order_relaxed),
    };
}

static void peer_report(struct peer *peer, enum mail_report report, const char *reason)
{
    mailbox_report(peer->host->mailbox, &peer->mail, report, reason);
}

/* What has waited in front of us waits no longer; all else the stream's queue decides. */
static enum queue_verdict peer_pass(const struct peer *peer, const uint8_t *data, size_t len,
                                    uint64_t waited_ms)
{
    if (waited_ms > QUEUE_LATE_MS && !frame_is_urgent(data, len))
        return QUEUE_LATE;
    return stream_send(peer->current, data, len, clock_monotonic_ms());
}

void peer_send(struct peer *peer, const uint8_t *data, size_t len, uint64_t waited_ms)
{
    struct peer_counters *counters = &peer->counters;
    if (!frame_is_wireguard(data, len)) {
        counter_add(&counters->dropped_malformed, 1);
        return;
    }
    if (!peer->current) {
        counter_add(&counters->dropped_down, 1);
        return;
    }
    switch (peer_pass(peer, data, len, waited_ms)) {
    case QUEUE_TAKEN:
        counter_add(&counters->sent, 1);
        counter_add(&counters->sent_bytes, len);
        break;
    case QUEUE_FULL: counter_add(&counters->dropped_full, 1); break;
    case QUEUE_LATE: counter_add(&counters->dropped_late, 1); break;
    }
}

static void on_datagram(void *owner, const uint8_t *data, size_t len)
{
    struct peer *peer = owner;
    if (frame_is_wireguard(data, len))
        bridge_send(peer->host->bridge, peer->info.index, data, len);
    else
        counter_add(&peer->counters.dropped_malformed, 1);
}

/* Once in a while: the kernel keeps an average anyway. */
static void peer_note_rtt(struct peer *peer, uint64_t now_ms)
{
    if (!peer->current || now_ms - peer->rtt_read_ms < RTT_INTERVAL_MS)
        return;
    peer->rtt_read_ms = now_ms;
    atomic_store_explicit(&peer->counters.rtt_us, stream_rtt_us(peer->current), memory_order_relaxed);
}

static void on_batch_end(void *owner)
{
    struct peer *peer = owner;
    bridge_flush(peer->host->bridge);
    peer_note_rtt(peer, clock_monotonic_ms());
}

void peer_count_handed(struct peer *peer, uint64_t count, uint64_t bytes, int error)
{
    if (error) {
        counter_add(&peer->counters.dropped_full, count);
        return;
    }
    counter_add(&peer->counters.received, count);
    counter_add(&peer->counters.received_bytes, bytes);
}

static bool dialed_by_lower(const struct peer *peer, const struct stream *stream)
{
    const struct bytes32 *self = &peer->host->streams.member_id;
    const bool self_is_lower = memcmp(self->b, peer->info.member_id.b, sizeof(self->b)) < 0;
    return self_is_lower == (stream_direction(stream) == TRANSPORT_DIALED);
}

static bool peer_prefers(const struct peer *peer, const struct stream *stream)
{
    if (!peer->current || stream_direction(peer->current) == stream_direction(stream))
        return true;
    const uint64_t age_ms = clock_monotonic_ms() - peer->current_since_ms;
    return age_ms > PEER_SIMULTANEOUS_MS || dialed_by_lower(peer, stream);
}

static void peer_drain_stream(struct peer *peer, struct stream *stream)
{
    if (peer->draining)
        stream_close(peer->draining, "replaced by another stream");
    peer->draining = stream;
    stream_retire(stream);
}

static void peer_take_stream(struct peer *peer, struct stream *stream)
{
    const bool dialed = stream_direction(stream) == TRANSPORT_DIALED;
    if (peer->dialing == stream)
        peer->dialing = NULL;
    if (!peer_prefers(peer, stream)) {
        peer_drain_stream(peer, stream);
        if (dialed)
            peer_report(peer, MAIL_DIAL_FAILED, "the stream that the peer dialed at the same moment serves");
        return;
    }
    if (peer->current)
        peer_drain_stream(peer, peer->current);
    peer->current = stream;
    peer->current_since_ms = clock_monotonic_ms();
    counter_add(&peer->counters.streams, 1);
    peer_report(peer, dialed ? MAIL_UP_DIALED : MAIL_UP_ACCEPTED, NULL);
}

static void on_open(void *owner, struct stream *stream)
{
    peer_take_stream(owner, stream);
}

static void on_closed(void *owner, struct stream *stream, const char *reason)
{
    struct peer *peer = owner;
    if (stream == peer->current) {
        peer->current = NULL;
        peer_report(peer, MAIL_DOWN, reason);
    } else if (stream == peer->draining) {
        peer->draining = NULL;
    } else if (stream == peer->dialing) {
        peer->dialing = NULL;
        peer_report(peer, MAIL_DIAL_FAILED, reason);
    }
}

static const struct stream_events peer_stream_events = {
    .open = on_open, .datagram = on_datagram, .batch_end = on_batch_end, .closed = on_closed};

void peer_adopt_stream(struct peer *peer, struct stream *stream)
{
    if (stream_attach(stream, &peer->host->streams, &peer_stream_events, peer))
        peer_take_stream(peer, stream);
}

static bool peer_has_endpoint(const struct peer *peer)
{
    return peer->endpoint && peer->endpoint->host[0];
}

/* Returns 0, or -EINVAL when there is no name to dial. */
static int peer_host_name(const struct peer *peer, char out[TRANSPORT_HOST_SIZE])
{
    const struct peer_host *host = peer->host;
    if (peer_has_endpoint(peer)) {
        memcpy(out, peer->endpoint->host, TRANSPORT_HOST_SIZE);
        return 0;
    }
    if (!host->gateway_domain[0])
        return -EINVAL;
    return transport_host_name(&peer->info.member_contract, host->ingress_port, host->gateway_domain, out);
}

static void on_dialed(void *user, int fd, const char *reason)
{
    struct peer *peer = user;
    char name[TRANSPORT_HOST_SIZE];
    peer->dial = NULL;
    if (fd < 0) {
        peer_report(peer, MAIL_DIAL_FAILED, reason);
        return;
    }
    (void)peer_host_name(peer, name); /* fitted when the dial began */
    peer->dialing = stream_new_dialed(&peer->host->streams, fd, name, &peer->info, &peer->ticket,
                                      &peer_stream_events, peer);
    if (!peer->dialing)
        peer_report(peer, MAIL_DIAL_FAILED, "out of memory");
}

static void peer_start_dial(struct peer *peer)
{
    struct peer_host *host = peer->host;
    char name[TRANSPORT_HOST_SIZE];
    struct peer_endpoint *offered = atomic_exchange(&peer->offered, NULL);
    if (offered) {
        free(peer->endpoint);
        peer->endpoint = offered;
    }
    if (peer_host_name(peer, name)) {
        peer_report(peer, MAIL_DIAL_FAILED,
                    "no gateway domain is configured, and the peer has told no endpoint");
        return;
    }
    const uint16_t port = peer_has_endpoint(peer) ? peer->endpoint->port : host->gateway_port;
    peer->dial = dial_start(host->streams.base, resolver_dns(host->resolver), name, port, peer->dials++,
                            on_dialed, peer);
    if (!peer->dial)
        peer_report(peer, MAIL_DIAL_FAILED, "out of memory");
}

static void peer_leave_due(struct peer *peer)
{
    peer->dial_due = false;
    TAILQ_REMOVE(&peer->host->dials_due, peer, due_link);
}

/* Starts the dials whose turn it is. */
static void peer_host_dial(struct peer_host *host)
{
    static const struct timeval interval = {.tv_usec = PACER_INTERVAL_MS * 1000};
    struct peer *peer;
    while ((peer = TAILQ_FIRST(&host->dials_due))) {
        if (!pacer_take(&host->dial_pacer, clock_monotonic_ms())) {
            event_add(host->dial_turn, &interval);
            return;
        }
        peer_leave_due(peer);
        peer_start_dial(peer);
    }
}

static void on_dial_turn(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    peer_host_dial(user);
}

int peer_host_init(struct peer_host *host)
{
    TAILQ_INIT(&host->dials_due);
    host->dial_turn = evtimer_new(host->streams.base, on_dial_turn, host);
    return host->dial_turn ? 0 : -ENOMEM;
}

void peer_host_clear(struct peer_host *host)
{
    if (host->dial_turn)
        event_free(host->dial_turn);
    host->dial_turn = NULL;
}

void peer_dial(struct peer *peer)
{
    if (peer->dial || peer->dialing || peer->dial_due)
        return;
    peer->dial_due = true;
    TAILQ_INSERT_TAIL(&peer->host->dials_due, peer, due_link);
    peer_host_dial(peer->host);
}

void peer_hangup(struct peer *peer, const char *reason)
{
    if (peer->dial || peer->dial_due) {
        dial_cancel(peer->dial);
        peer->dial = NULL;
        if (peer->dial_due)
            peer_leave_due(peer);
        peer_report(peer, MAIL_DIAL_FAILED, reason);
    }
    if (peer->dialing)
        stream_close(peer->dialing, reason);
    if (peer->draining)
        stream_close(peer->draining, reason);
    if (peer->current)
        stream_close(peer->current, reason);
}
