#include "agent/indexer/subscription.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <inttypes.h>
#include <openssl/ssl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/frame.h"
#include "agent/indexer/bookmark.h"
#include "agent/indexer/sample.h"
#include "agent/log.h"
#include "agent/transport/resolver.h"
#include "evm/chain.h"
#include "indexer/wire/event_kind.h"
#include "indexer/wire/wire.h"

#define BACKOFF_FLOOR_MS 1000u
#define BACKOFF_CEILING_MS 60000u

struct subscription {
    struct event_base *base;
    struct subscription_config config;
    subscription_fn changed;
    void *user;
    SSL_CTX *tls;
    struct resolver *resolver;
    struct event *attempt;
    struct chain_read *lookup;
    struct bufferevent *stream;
    struct sample *sample;
    struct wire_cursor cursor; /* of the last event taken */
    bool has_cursor;
    bool unsaved;        /* events since the bookmark was written */
    bool woken;          /* by what is being read */
    bool told_caught_up; /* and `changed` knows of no end since */
    uint32_t failures;   /* in a row */
    struct subscription_status status;
};

static const char *const state_names[] = {
    [SUBSCRIPTION_WAITING] = "waiting",     [SUBSCRIPTION_FINDING] = "finding",
    [SUBSCRIPTION_DIALING] = "dialing",     [SUBSCRIPTION_READING] = "reading",
    [SUBSCRIPTION_CAUGHT_UP] = "caught up",
};

const char *subscription_state_name(enum subscription_state state)
{
    return state_names[state];
}

static bool is_caught_up(const struct subscription *subscription)
{
    return subscription->status.state == SUBSCRIPTION_CAUGHT_UP;
}

/* ---- The cursor from one run to the next: without it, all since the registration is pushed again ---- */

static struct bookmark bookmark_of(const struct subscription *subscription)
{
    const struct subscription_config *config = &subscription->config;
    return (struct bookmark){.chain_id = config->chain_id,
                             .cluster = config->cluster,
                             .member_id = config->member_id,
                             .cursor = subscription->cursor};
}

static void load_cursor(struct subscription *subscription)
{
    struct bookmark bookmark = bookmark_of(subscription);
    subscription->has_cursor = bookmark_load(subscription->config.folder, &bookmark);
    subscription->cursor = bookmark.cursor;
}

static void save_cursor(struct subscription *subscription)
{
    const struct bookmark bookmark = bookmark_of(subscription);
    struct am_err err;
    if (subscription->unsaved && bookmark_save(subscription->config.folder, &bookmark, &err) != 0)
        log_warn("indexer.cursor_not_kept", log_text("reason", err.text));
    subscription->unsaved = false;
}

/* ---- The end of a session ---- */

static void close_stream(struct subscription *subscription)
{
    chain_read_cancel(subscription->lookup);
    sample_cancel(subscription->sample);
    if (subscription->stream)
        bufferevent_free(subscription->stream);
    subscription->lookup = NULL;
    subscription->sample = NULL;
    subscription->stream = NULL;
}

/* Once for all that was read: a long replay does not mean a poll per event. */
static void tell(struct subscription *subscription)
{
    const bool caught_up = is_caught_up(subscription), woken = subscription->woken;
    if (!woken && caught_up == subscription->told_caught_up)
        return;
    subscription->woken = false;
    subscription->told_caught_up = caught_up;
    subscription->changed(subscription->user, caught_up, woken);
}

static void wait_for(struct subscription *subscription, uint64_t delay_ms)
{
    const struct timeval delay = {(time_t)(delay_ms / 1000), (suseconds_t)(delay_ms % 1000 * 1000)};
    close_stream(subscription);
    subscription->status.state = SUBSCRIPTION_WAITING;
    evtimer_add(subscription->attempt, &delay);
    tell(subscription);
}

/* Ends the session; the next follows after a while. */
static void fail(struct subscription *subscription, const char *text)
{
    const uint32_t doublings = subscription->failures < 6 ? subscription->failures : 6;
    const uint32_t most_ms = BACKOFF_FLOOR_MS << doublings;
    const uint32_t delay_ms = most_ms < BACKOFF_CEILING_MS ? most_ms : BACKOFF_CEILING_MS;
    snprintf(subscription->status.error, sizeof(subscription->status.error), "%s", text);
    log_info("indexer.lost", log_text("reason", text), log_uint("again_ms", delay_ms));
    subscription->failures++;
    wait_for(subscription, delay_ms / 2 + randombytes_uniform(delay_ms / 2 + 1));
}

static void distrust(struct subscription *subscription, const char *reason)
{
    snprintf(subscription->status.error, sizeof(subscription->status.error), "%s", reason);
    log_error("indexer.alarm", log_text("reason", reason),
              log_text("endpoint", subscription->status.indexer.endpoint),
              log_uint("left_alone_s", SUBSCRIPTION_DISTRUST_S));
    subscription->status.alarms++;
    wait_for(subscription, SUBSCRIPTION_DISTRUST_S * 1000);
}

/* ---- Frames ---- */

static void on_sampled(void *user, enum sample_verdict verdict)
{
    struct subscription *subscription = user;
    subscription->sample = NULL;
    switch (verdict) {
    case SAMPLE_CONFIRMED: subscription->status.checked++; return;
    case SAMPLE_UNANSWERED: subscription->status.unchecked++; return;
    case SAMPLE_DENIED: distrust(subscription, "it pushed a log that our RPC does not have"); return;
    }
}

/* False, with `err` set, when the indexer can not be trusted. */
static bool take_push(struct subscription *subscription, const struct wire_server_frame *frame,
                      struct am_err *err)
{
    const struct subscription_config *config = &subscription->config;
    struct wire_event event;
    if (wire_verify_push(&frame->push, &subscription->status.indexer.key, &event, err) != 0)
        return false;
    if (event.chain_id != config->chain_id || !address_equal(&event.cluster, &config->cluster)) {
        am_fail(err, AM_EMISMATCH, "it pushed an event of another chain or cluster");
        return false;
    }
    subscription->status.pushes++;
    subscription->has_cursor = subscription->unsaved = subscription->woken = true;
    subscription->cursor = (struct wire_cursor){
        .block = event.log.block, .log_index = event.log.index, .block_hash = event.log.block_hash};
    log_debug("indexer.push", log_text("event", event_kind_name(event.kind)),
              log_uint("block", event.log.block), log_uint("index", event.log.index));
    if (!subscription->sample && randombytes_uniform((uint32_t)config->sample) == 0)
        subscription->sample = sample_start(config->node, &event.log, on_sampled, subscription);
    return true;
}

static bool take_retraction(struct subscription *subscription, const struct wire_server_frame *frame,
                            struct am_err *err)
{
    const struct subscription_config *config = &subscription->config;
    struct wire_retraction retraction;
    if (wire_verify_retraction(&frame->retraction, &subscription->status.indexer.key, &retraction, err) != 0)
        return false;
    if (retraction.chain_id != config->chain_id || !address_equal(&retraction.cluster, &config->cluster)) {
        am_fail(err, AM_EMISMATCH, "it retracted a block of another chain or cluster");
        return false;
    }
    subscription->status.retractions++;
    subscription->woken = true;
    return true;
}

static bool take_welcome(struct subscription *subscription, const struct wire_server_frame *frame,
                         struct am_err *err)
{
    const struct bytes32 wanted = wire_report_data(&subscription->status.indexer.key);
    const uint8_t *const found = wire_quote_report_data(frame->welcome.quote, frame->welcome.quote_len);
    if (!found || memcmp(found, wanted.b, sizeof(wanted.b)) != 0) {
        am_fail(err, AM_EMISMATCH, "its quote does not carry its key");
        return false;
    }
    subscription->status.state = SUBSCRIPTION_READING;
    log_info("indexer.subscribed", log_text("endpoint", subscription->status.indexer.endpoint),
             log_text("quote", "chain unverified"));
    return true;
}

static bool take_checkpoint(struct subscription *subscription, const struct wire_server_frame *frame,
                            struct am_err *err)
{
    (void)err;
    subscription->status.checkpoint_block = frame->checkpoint.block;
    subscription->status.checkpoint_time = frame->checkpoint.block_time;
    subscription->status.state = SUBSCRIPTION_CAUGHT_UP;
    subscription->status.error[0] = '\0';
    subscription->failures = 0;
    subscription->has_cursor = true;
    subscription->cursor = (struct wire_cursor){.block = frame->checkpoint.block,
                                                .log_index = UINT32_MAX,
                                                .block_hash = frame->checkpoint.block_hash};
    save_cursor(subscription);
    return true;
}

/* An ordinary end: its cause may pass. */
static void take_refusal(struct subscription *subscription, const struct wire_server_frame *frame)
{
    char text[AM_ERR_TEXT_MAX];
    snprintf(text, sizeof(text), "it refuses (%d): %s", (int)frame->refusal.code, frame->refusal.text);
    for (char *c = text; *c; c++) {
        if (*c < ' ' || *c > '~')
            *c = '?';
    }
    if (frame->refusal.code == indexer_RefusalCode_REFUSAL_CURSOR_AHEAD)
        subscription->has_cursor = false;
    fail(subscription, text);
}

/* False when the session is over. */
static bool take_frame(struct subscription *subscription, const uint8_t *message, size_t len)
{
    struct wire_server_frame frame;
    struct am_err err = {0};
    bool good;
    if (wire_parse_server(message, len, &frame, &err) != 0) {
        distrust(subscription, err.text);
        return false;
    }
    const bool greeted = subscription->status.state != SUBSCRIPTION_DIALING;
    if (frame.type == indexer_ServerFrame_refusal_tag) {
        take_refusal(subscription, &frame);
        return false;
    }
    if (greeted == (frame.type == indexer_ServerFrame_welcome_tag)) {
        distrust(subscription, "its Welcome does not come first, and once");
        return false;
    }
    if (frame.type == indexer_ServerFrame_welcome_tag)
        good = take_welcome(subscription, &frame, &err);
    else if (frame.type == indexer_ServerFrame_push_tag)
        good = take_push(subscription, &frame, &err);
    else if (frame.type == indexer_ServerFrame_retraction_tag)
        good = take_retraction(subscription, &frame, &err);
    else
        good = take_checkpoint(subscription, &frame, &err);
    if (!good)
        distrust(subscription, err.text);
    return good;
}

static void acknowledge(struct subscription *subscription)
{
    uint8_t frame[WIRE_HELLO_MAX];
    if (subscription->has_cursor)
        bufferevent_write(subscription->stream, frame, wire_build_ack(&subscription->cursor, frame));
}

static void on_read(struct bufferevent *stream, void *user)
{
    struct subscription *subscription = user;
    struct evbuffer *input = bufferevent_get_input(stream);
    for (;;) {
        const size_t len = evbuffer_get_length(input);
        struct frame frame;
        const int code = len ? frame_parse(evbuffer_pullup(input, -1), len, WIRE_FRAME_MAX, &frame) : 0;
        if (code == 0)
            break;
        if (code < 0) {
            distrust(subscription, "its frame is too long");
            return;
        }
        if (!take_frame(subscription, frame.message, frame.message_len))
            return;
        evbuffer_drain(input, frame.len);
    }
    acknowledge(subscription);
    tell(subscription);
}

/* ---- Dialing ---- */

static bool has_registered_key(SSL *ssl, const struct bytes32 *wanted)
{
    struct bytes32 key;
    size_t len = sizeof(key.b);
    X509 *const certificate = SSL_get1_peer_certificate(ssl);
    EVP_PKEY *const found = certificate ? X509_get0_pubkey(certificate) : NULL;
    const bool good = found && EVP_PKEY_get_id(found) == EVP_PKEY_ED25519 &&
                      EVP_PKEY_get_raw_public_key(found, key.b, &len) == 1 && len == sizeof(key.b) &&
                      bytes32_equal(&key, wanted);
    X509_free(certificate);
    return good;
}

static void say_hello(struct subscription *subscription)
{
    const struct subscription_config *config = &subscription->config;
    SSL *const ssl = bufferevent_openssl_get_ssl(subscription->stream);
    uint8_t exporter[WIRE_EXPORTER_SIZE], frame[WIRE_HELLO_MAX];
    struct wire_hello hello = {.protocol = WIRE_PROTOCOL,
                               .chain_id = config->chain_id,
                               .cluster = config->cluster,
                               .member_id = config->member_id,
                               .has_cursor = subscription->has_cursor,
                               .cursor = subscription->cursor};
    if (!has_registered_key(ssl, &subscription->status.indexer.key)) {
        fail(subscription, "its certificate does not have the registered key");
        return;
    }
    if (SSL_export_keying_material(ssl, exporter, sizeof(exporter), WIRE_EXPORTER_LABEL,
                                   sizeof(WIRE_EXPORTER_LABEL) - 1, NULL, 0, 0) != 1) {
        fail(subscription, "TLS gives no exporter");
        return;
    }
    bufferevent_write(subscription->stream, frame, wire_build_hello(config->seed, &hello, exporter, frame));
}

static void on_event(struct bufferevent *stream, short what, void *user)
{
    struct subscription *subscription = user;
    (void)stream;
    if (what & BEV_EVENT_CONNECTED)
        say_hello(subscription);
    else if (what & BEV_EVENT_TIMEOUT)
        fail(subscription, "it says nothing");
    else
        fail(subscription, subscription->status.state == SUBSCRIPTION_DIALING ? "it can not be reached"
                                                                              : "it closed the connection");
}

/* Splits host:port; an IPv6 host stands in brackets. */
static bool split_endpoint(const char *endpoint, char host[CLUSTER_ENDPOINT_MAX + 1], int *port)
{
    const char *const colon = strrchr(endpoint, ':');
    char *end;
    if (!colon || colon == endpoint)
        return false;
    const long number = strtol(colon + 1, &end, 10);
    const bool bracketed = endpoint[0] == '[' && colon[-1] == ']';
    const int len = (int)(colon - endpoint) - (bracketed ? 2 : 0);
    snprintf(host, CLUSTER_ENDPOINT_MAX + 1, "%.*s", len, endpoint + (bracketed ? 1 : 0));
    *port = (int)number;
    return *end == '\0' && end != colon + 1 && number > 0 && number <= UINT16_MAX && len > 0;
}

static bool open_stream(struct subscription *subscription, const char *host, int port)
{
    static const struct timeval silence = {SUBSCRIPTION_SILENCE_S, 0};
    SSL *const ssl = SSL_new(subscription->tls);
    if (!ssl)
        return false;
    SSL_set_tlsext_host_name(ssl, host);
    subscription->stream =
        bufferevent_openssl_socket_new(subscription->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
                                       BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!subscription->stream) {
        SSL_free(ssl);
        return false;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(subscription->stream, 1);
    bufferevent_setcb(subscription->stream, on_read, NULL, on_event, subscription);
    bufferevent_setwatermark(subscription->stream, EV_READ, 0, 2 * WIRE_FRAME_MAX);
    bufferevent_set_timeouts(subscription->stream, &silence, &silence);
    bufferevent_enable(subscription->stream, EV_READ | EV_WRITE);
    return bufferevent_socket_connect_hostname(subscription->stream, resolver_dns(subscription->resolver),
                                               AF_UNSPEC, host, port) == 0;
}

static void on_lookup(void *user, const struct chain_result *result)
{
    struct subscription *subscription = user;
    char host[CLUSTER_ENDPOINT_MAX + 1];
    int port;
    subscription->lookup = NULL;
    if (result->code) {
        fail(subscription, result->error);
        return;
    }
    subscription->status.indexer = result->indexer;
    if (bytes32_is_zero(&result->indexer.key)) {
        fail(subscription, "the registry names no indexer");
        return;
    }
    if (!split_endpoint(result->indexer.endpoint, host, &port)) {
        fail(subscription, "the registry's endpoint is not host:port");
        return;
    }
    subscription->status.state = SUBSCRIPTION_DIALING;
    if (!open_stream(subscription, host, port))
        fail(subscription, "it can not be dialed");
}

static void on_attempt(evutil_socket_t fd, short what, void *user)
{
    struct subscription *subscription = user;
    (void)fd, (void)what;
    subscription->status.state = SUBSCRIPTION_FINDING;
    subscription->lookup = chain_read_indexer(subscription->config.node, &subscription->config.registry,
                                              on_lookup, subscription);
    if (!subscription->lookup)
        fail(subscription, "out of memory");
}

/* ---- Life ---- */

/* The certificate is compared with the registry's key, which is all that counts about it. */
static SSL_CTX *context_new(void)
{
    SSL_CTX *const context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return NULL;
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
        SSL_CTX_set1_sigalgs_list(context, "ed25519") == 1)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

struct subscription *subscription_new(struct event_base *base, const struct subscription_config *config,
                                      subscription_fn changed, void *user)
{
    static const struct timeval now = {0, 0};
    struct subscription *subscription = calloc(1, sizeof(*subscription));
    if (!subscription)
        return NULL;
    subscription->base = base;
    subscription->config = *config;
    subscription->changed = changed;
    subscription->user = user;
    subscription->tls = context_new();
    subscription->resolver = resolver_new(base);
    subscription->attempt = evtimer_new(base, on_attempt, subscription);
    if (!subscription->tls || !subscription->resolver || !subscription->attempt) {
        subscription_free(subscription);
        return NULL;
    }
    load_cursor(subscription);
    evtimer_add(subscription->attempt, &now);
    return subscription;
}

void subscription_free(struct subscription *subscription)
{
    if (!subscription)
        return;
    close_stream(subscription);
    if (subscription->attempt)
        event_free(subscription->attempt);
    resolver_free(subscription->resolver);
    SSL_CTX_free(subscription->tls);
    free(subscription);
}

/* Whoever says this knows already that the indexer is not to be relied on. */
void subscription_distrust(struct subscription *subscription, const char *reason)
{
    subscription->told_caught_up = subscription->woken = false;
    distrust(subscription, reason);
}

void subscription_status(const struct subscription *subscription, struct subscription_status *out)
{
    *out = subscription->status;
}
