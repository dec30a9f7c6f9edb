#include "agent/shell/endpoints.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/view.h"
#include "agent/log.h"
#include "agent/message/endpoint.h"
#include "agent/message/envelope.h"
#include "agent/transport/transport.h"

#define KNOWN_MAX 1024 /* members that tell an unusual endpoint; those beyond are dialed as usual */

_Static_assert(ENDPOINT_HOST_SIZE == TRANSPORT_HOST_SIZE, "one room for host names");

/* What a member told last. */
struct known {
    struct known *next;
    bool fresh; /* not committed yet */
    struct endpoint endpoint;
};

struct endpoints {
    const struct config *config;
    const struct core *core;
    struct onchain *onchain;
    struct archive_reader *reader;
    struct event *refused; /* answers what could not even begin */
    bool read_refused, send_refused;
    struct bytes32 recipient; /* of the envelope under way */
    struct known *known;
    size_t known_len;
    struct endpoints_counters counters;
    endpoints_answer_fn answer;
    void *user;
};

/* ---- This node's ---- */

static void own_endpoint(const struct endpoints *endpoints, uint64_t issued_ms, struct endpoint *out)
{
    struct core_status status;
    core_status(endpoints->core, &status);
    *out = (struct endpoint){.member_id = status.identity.member_id,
                             .port = endpoints->config->gateway_port,
                             .issued_ms = issued_ms};
    transport_host_name(&status.identity.member_contract, endpoints->config->wg_tcp_port,
                        endpoints->config->gateway_domain, out->host);
}

struct bytes32 endpoints_envelope_id(const struct endpoints *endpoints, const struct bytes32 *recipient,
                                     uint64_t issued_ms)
{
    struct endpoint own;
    own_endpoint(endpoints, issued_ms, &own);
    return endpoint_envelope_id(&own, recipient);
}

static void answer(struct endpoints *endpoints, enum core_event_type type)
{
    endpoints->answer(endpoints->user, &(struct core_event){.type = type});
}

static void answer_failed(struct endpoints *endpoints, const char *reason)
{
    endpoints->counters.failed++;
    log_warn("endpoint.send_failed", log_bytes("recipient", endpoints->recipient.b, 32),
             log_text("reason", reason));
    answer(endpoints, CORE_EVENT_ENVELOPE_FAILED);
}

static void on_operation(void *user, const struct operation_result *result)
{
    struct endpoints *endpoints = user;
    const bool already = result->code == AM_EREVERT && strstr(result->error, "DuplicateEnvelope");
    if (result->code != 0 && !already) {
        answer_failed(endpoints, result->error);
        return;
    }
    endpoints->counters.sent++;
    log_info("endpoint.sent", log_bytes("recipient", endpoints->recipient.b, 32),
             log_bool("already", already));
    answer(endpoints, CORE_EVENT_ENVELOPE_SENT);
}

static bool start_send(struct endpoints *endpoints, const struct core_record *recipient, uint64_t issued_ms)
{
    uint8_t plaintext[ENDPOINT_BYTES_MAX], ciphertext[ENVELOPE_CIPHERTEXT_MAX];
    struct endpoint own;
    size_t len;
    own_endpoint(endpoints, issued_ms, &own);
    const struct bytes32 id = endpoint_envelope_id(&own, &recipient->member_id);
    endpoints->recipient = recipient->member_id;
    return envelope_seal(&recipient->x_pubkey, ENVELOPE_PROTOCOL, plaintext, endpoint_build(&own, plaintext),
                         ciphertext, &len) == 0 &&
           onchain_send_envelope(endpoints->onchain, "endpoint", &recipient->member_id, &id, ciphertext, len,
                                 on_operation, endpoints);
}

void endpoints_send(struct endpoints *endpoints, uint32_t index, uint64_t issued_ms)
{
    struct core_member member;
    if (core_member_at(endpoints->core, index, &member) && start_send(endpoints, &member.record, issued_ms))
        return;
    endpoints->send_refused = true;
    event_active(endpoints->refused, EV_TIMEOUT, 0);
}

/* ---- What the chain has of it ---- */

static void answer_read_failed(struct endpoints *endpoints, const char *reason)
{
    log_warn("endpoint.read_failed", log_text("reason", reason));
    endpoints->answer(endpoints->user,
                      &(struct core_event){.type = CORE_EVENT_READ_FAILED,
                                           .read_failure = {.what = CORE_READ_SENT, .text = reason}});
}

static void on_sent(void *user, const struct archive_message *message)
{
    struct endpoints *endpoints = user;
    const struct core_sent sent = {.recipient = message->recipient, .envelope_id = message->envelope_id};
    if (!envelope_id_is_application(&message->envelope_id))
        endpoints->answer(endpoints->user, &(struct core_event){.type = CORE_EVENT_SENT_ENVELOPES,
                                                                .sent = {.items = &sent, .len = 1}});
}

static void on_sent_read(void *user, const char *error)
{
    struct endpoints *endpoints = user;
    if (error)
        answer_read_failed(endpoints, error);
    else
        answer(endpoints, CORE_EVENT_SENT_READ);
}

void endpoints_read_sent(struct endpoints *endpoints, struct archive *archive, uint64_t from, uint64_t to)
{
    if (archive && !endpoints->reader)
        endpoints->reader = archive_reader_new(archive, ARCHIVE_SENT);
    if (endpoints->reader &&
        archive_reader_start(endpoints->reader, from, to, on_sent, on_sent_read, endpoints) == 0)
        return;
    endpoints->read_refused = true;
    event_active(endpoints->refused, EV_TIMEOUT, 0);
}

static void on_refused(evutil_socket_t fd, short what, void *user)
{
    static const char reason[] = "out of memory, or too many requests under way";
    struct endpoints *endpoints = user;
    const bool send_refused = endpoints->send_refused, read_refused = endpoints->read_refused;
    (void)fd, (void)what;
    endpoints->send_refused = endpoints->read_refused = false;
    if (send_refused)
        answer_failed(endpoints, reason);
    if (read_refused)
        answer_read_failed(endpoints, reason);
}

/* ---- The others' ---- */

static void forget(struct endpoints *endpoints, const struct bytes32 *member_id, bool fresh)
{
    for (struct known **at = &endpoints->known; *at;) {
        struct known *known = *at;
        if (known->fresh == fresh && (!member_id || bytes32_equal(&known->endpoint.member_id, member_id))) {
            *at = known->next;
            free(known);
            endpoints->known_len--;
        } else {
            at = &known->next;
        }
    }
}

void endpoints_begin(struct endpoints *endpoints)
{
    forget(endpoints, NULL, true);
}

int endpoints_take(struct endpoints *endpoints, const struct bytes32 *sender, const uint8_t *payload,
                   size_t len, struct am_err *err)
{
    struct endpoint endpoint;
    const int code = endpoint_take(payload, len, &endpoint, err);
    if (code)
        return code;
    if (!bytes32_equal(&endpoint.member_id, sender))
        return am_fail(err, AM_EAUTH, "the endpoint is of another member than who sent it");
    forget(endpoints, sender, true);
    struct known *known = endpoints->known_len < KNOWN_MAX ? malloc(sizeof(*known)) : NULL;
    if (!known)
        return am_fail(err, -ENOMEM, "no room for another endpoint");
    *known = (struct known){.next = endpoints->known, .fresh = true, .endpoint = endpoint};
    endpoints->known = known;
    endpoints->known_len++;
    return 0;
}

/* Whether a member only tells what follows from the gateway anyway. */
static bool is_usual(const struct endpoints *endpoints, const struct core_member *member,
                     const struct endpoint *endpoint)
{
    char usual[TRANSPORT_HOST_SIZE];
    const struct config *config = endpoints->config;
    return config->gateway_domain && endpoint->port == config->gateway_port &&
           transport_host_name(&member->record.member_contract, config->wg_tcp_port, config->gateway_domain,
                               usual) == 0 &&
           strcmp(usual, endpoint->host) == 0;
}

void endpoints_apply(const struct endpoints *endpoints, struct transport *transport, uint32_t index)
{
    struct core_member member;
    if (!core_member_at(endpoints->core, index, &member))
        return;
    for (const struct known *known = endpoints->known; known; known = known->next) {
        const struct endpoint *endpoint = &known->endpoint;
        if (known->fresh || !bytes32_equal(&endpoint->member_id, &member.record.member_id))
            continue;
        const bool usual = is_usual(endpoints, &member, endpoint);
        if (transport_set_endpoint(transport, index, usual ? NULL : endpoint->host, endpoint->port) == 0 &&
            !usual)
            log_info("endpoint.used", log_uint("index", index), log_text("host", endpoint->host),
                     log_uint("port", endpoint->port));
        return;
    }
}

void endpoints_commit(struct endpoints *endpoints, struct transport *transport)
{
    for (struct known *known = endpoints->known; known; known = known->next) {
        if (!known->fresh)
            continue;
        forget(endpoints, &known->endpoint.member_id, false);
        known->fresh = false;
        endpoints->counters.received++;
        const uint32_t index = core_find_member(endpoints->core, &known->endpoint.member_id);
        if (transport && index != CORE_NO_INDEX)
            endpoints_apply(endpoints, transport, index);
    }
}

void endpoints_counters(const struct endpoints *endpoints, struct endpoints_counters *out)
{
    *out = endpoints->counters;
}

/* ---- Life ---- */

struct endpoints *endpoints_new(struct event_base *base, const struct config *config, const struct core *core,
                                struct onchain *onchain, endpoints_answer_fn answer_fn, void *user)
{
    struct endpoints *endpoints = calloc(1, sizeof(*endpoints));
    if (!endpoints)
        return NULL;
    *endpoints = (struct endpoints){
        .config = config, .core = core, .onchain = onchain, .answer = answer_fn, .user = user};
    endpoints->refused = evtimer_new(base, on_refused, endpoints);
    if (endpoints->refused)
        return endpoints;
    endpoints_free(endpoints);
    return NULL;
}

void endpoints_free(struct endpoints *endpoints)
{
    if (!endpoints)
        return;
    archive_reader_free(endpoints->reader);
    forget(endpoints, NULL, true);
    forget(endpoints, NULL, false);
    if (endpoints->refused)
        event_free(endpoints->refused);
    free(endpoints);
}
