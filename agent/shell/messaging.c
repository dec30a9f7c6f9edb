#include "agent/shell/messaging.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/view.h"
#include "agent/log.h"
#include "agent/message/envelope.h"
#include "agent/shell/archive.h"
#include "agent/shell/feed.h"
#include "crypto/keccak.h"

struct subscriber {
    struct subscriber *next;
    struct api_ticket ticket;
    bool has_after;
    api_Cursor after;
    struct feed *feed; /* NULL before this node's record is known */
};

struct messaging {
    struct event_base *base;
    const struct core *core;
    struct onchain *onchain;
    struct endpoints *endpoints;
    struct api_server *api;
    struct courier *courier;
    struct archive *archive; /* once this node's record is known */
    struct archive_reader *inbox;
    struct event *inbox_refusal; /* answers a read that could not even begin */
    struct subscriber *subscribers;
    uint64_t unreadable; /* messages */
    messaging_answer_fn answer;
    void *user;
};

/* ---- Sending ---- */

static api_Error_Code refuse(api_Error_Code code, const char *reason, char text[API_TEXT_MAX])
{
    snprintf(text, API_TEXT_MAX, "%s", reason);
    return code;
}

static bool find_recipient(const struct messaging *messaging, const uint8_t id[32], struct core_member *out)
{
    struct bytes32 member_id;
    memcpy(member_id.b, id, sizeof(member_id.b));
    return core_member_at(messaging->core, core_find_member(messaging->core, &member_id), out) &&
           !out->record.removed;
}

static api_Error_Code check_length(const api_SendMessage *message, char text[API_TEXT_MAX])
{
    if (message->recipient.size != sizeof(struct bytes32))
        return refuse(api_Error_Code_INVALID_ARGUMENT, "the recipient is not a member id of 32 bytes", text);
    if (message->payload.size <= ENVELOPE_PAYLOAD_MAX)
        return api_Error_Code_UNSPECIFIED;
    snprintf(text, API_TEXT_MAX, "the payload has %u bytes; %d are the most that fit a message",
             (unsigned)message->payload.size, ENVELOPE_PAYLOAD_MAX);
    return api_Error_Code_INVALID_ARGUMENT;
}

static api_Error_Code accept_message(struct messaging *messaging, const struct courier_message *message,
                                     char text[API_TEXT_MAX])
{
    switch (courier_accept(messaging->courier, message)) {
    case 0:
        messaging->answer(messaging->user, &(struct core_event){.type = CORE_EVENT_MESSAGE_QUEUED});
        return api_Error_Code_UNSPECIFIED;
    case -ENOBUFS: return refuse(api_Error_Code_RESOURCE_EXHAUSTED, "too many messages wait already", text);
    case -ENOMEM: return refuse(api_Error_Code_RESOURCE_EXHAUSTED, "the agent is out of memory", text);
    default: return refuse(api_Error_Code_FAILED_PRECONDITION, "the recipient's X25519 key is not one", text);
    }
}

api_Error_Code messaging_accept(struct messaging *messaging, const api_SendMessage *message,
                                const struct api_ticket *ticket, char text[API_TEXT_MAX])
{
    struct core_status status;
    struct core_member recipient;
    const api_Error_Code code = check_length(message, text);
    if (code != api_Error_Code_UNSPECIFIED)
        return code;
    core_status(messaging->core, &status);
    if (status.phase != CORE_PHASE_HEALTHY)
        return refuse(api_Error_Code_UNAVAILABLE, "the node is not healthy", text);
    if (!find_recipient(messaging, message->recipient.bytes, &recipient))
        return refuse(api_Error_Code_NOT_FOUND, "the recipient is not a live member", text);
    return accept_message(messaging,
                          &(struct courier_message){.recipient = recipient.record.member_id,
                                                    .x_pubkey = recipient.record.x_pubkey,
                                                    .payload = message->payload.bytes,
                                                    .payload_len = message->payload.size,
                                                    .key = message->idempotency_key.bytes,
                                                    .key_len = message->idempotency_key.size,
                                                    .ticket = *ticket},
                          text);
}

static void on_answer(void *user, const struct core_event *event)
{
    struct messaging *messaging = user;
    messaging->answer(messaging->user, event);
}

static void on_sent(void *user, const struct api_ticket *ticket, const struct bytes32 *envelope_id,
                    const struct bytes32 *tx_hash)
{
    api_server_message_sent(((struct messaging *)user)->api, ticket, envelope_id, tx_hash);
}

static void on_given_up(void *user, const struct api_ticket *ticket, api_Error_Code code, const char *text)
{
    api_server_fail(((struct messaging *)user)->api, ticket, code, text);
}

void messaging_send_oldest(struct messaging *messaging)
{
    courier_send(messaging->courier);
}

/* ---- The inbox ---- */

struct archive *messaging_archive(struct messaging *messaging)
{
    struct core_status status;
    struct core_member self;
    core_status(messaging->core, &status);
    if (!messaging->archive && status.registered && core_member_at(messaging->core, status.index, &self))
        messaging->archive =
            archive_new(onchain_rpc(messaging->onchain), &(struct archive_member){
                                                             .cluster = status.identity.cluster,
                                                             .member_id = status.identity.member_id,
                                                             .registered_at = self.record.registered_at,
                                                         });
    return messaging->archive;
}

static void answer_read_failed(struct messaging *messaging, const char *reason)
{
    log_warn("inbox.read_failed", log_text("reason", reason));
    messaging->answer(messaging->user,
                      &(struct core_event){.type = CORE_EVENT_READ_FAILED,
                                           .read_failure = {.what = CORE_READ_INBOX, .text = reason}});
}

static void on_inbox_refusal(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    answer_read_failed(user, "out of memory, or too many requests under way");
}

/* Returns 0, or why the envelope means nothing to this node. */
static int open_envelope(struct messaging *messaging, const struct archive_message *message,
                         struct am_err *err)
{
    static struct envelope envelope;
    int code = envelope_open(onchain_seed(messaging->onchain), message->ciphertext, message->ciphertext_len,
                             &envelope, err);
    if (code == 0 && envelope.kind == ENVELOPE_PROTOCOL)
        code = endpoints_take(messaging->endpoints, &message->sender, envelope.payload, envelope.len, err);
    secret_wipe(&envelope, sizeof(envelope));
    return code;
}

/* What nobody can read is told here, once; subscribers do not see it. */
static void take_envelope(struct messaging *messaging, const struct archive_message *message)
{
    struct am_err err;
    if (open_envelope(messaging, message, &err) == 0)
        return;
    messaging->unreadable++;
    log_warn("message.unreadable", log_bytes("sender", message->sender.b, 32),
             log_bytes("envelope", message->envelope_id.b, 32), log_uint("block", message->block),
             log_text("reason", err.text));
}

static void on_inbox_message(void *user, const struct archive_message *message)
{
    struct messaging *messaging = user;
    const struct core_inbox_message link = {
        .sender = message->sender,
        .envelope_id = message->envelope_id,
        .ciphertext_hash = keccak256(message->ciphertext, message->ciphertext_len),
    };
    take_envelope(messaging, message);
    messaging->answer(messaging->user, &(struct core_event){.type = CORE_EVENT_INBOX_MESSAGES,
                                                            .inbox = {.items = &link, .len = 1}});
}

static void on_inbox_read(void *user, const char *error)
{
    struct messaging *messaging = user;
    if (error)
        answer_read_failed(messaging, error);
    else
        messaging->answer(messaging->user, &(struct core_event){.type = CORE_EVENT_INBOX_READ});
}

void messaging_read_inbox(struct messaging *messaging, uint64_t from, uint64_t to)
{
    struct archive *archive = messaging_archive(messaging);
    endpoints_begin(messaging->endpoints);
    if (archive && !messaging->inbox)
        messaging->inbox = archive_reader_new(archive, ARCHIVE_RECEIVED);
    if (!messaging->inbox ||
        archive_reader_start(messaging->inbox, from, to, on_inbox_message, on_inbox_read, messaging))
        event_active(messaging->inbox_refusal, EV_TIMEOUT, 0);
}

/* ---- Subscribers ---- */

static bool on_feed(void *user, const struct api_ticket *ticket, const api_MessageEvent *event)
{
    return api_server_message_event(((struct messaging *)user)->api, ticket, event);
}

static bool is_for(const struct subscriber *subscriber, const struct api_ticket *ticket)
{
    const struct api_ticket *own = &subscriber->ticket;
    return own->session == ticket->session && own->request == ticket->request;
}

static void start_feed(struct messaging *messaging, struct subscriber *subscriber)
{
    const struct feed_services services = {
        .base = messaging->base,
        .core = messaging->core,
        .archive = messaging_archive(messaging),
        .seed = onchain_seed(messaging->onchain),
        .tell = on_feed,
        .user = messaging,
    };
    if (!subscriber->feed && services.archive)
        subscriber->feed =
            feed_new(&services, &subscriber->ticket, subscriber->has_after ? &subscriber->after : NULL);
    if (subscriber->feed)
        feed_pump(subscriber->feed);
}

bool messaging_subscribe(struct messaging *messaging, const struct api_ticket *ticket,
                         const api_Cursor *after)
{
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
    if (!subscriber)
        return false;
    *subscriber = (struct subscriber){.next = messaging->subscribers, .ticket = *ticket, .has_after = after};
    if (after)
        subscriber->after = *after;
    messaging->subscribers = subscriber;
    start_feed(messaging, subscriber);
    return true;
}

void messaging_resume(struct messaging *messaging, const struct api_ticket *ticket)
{
    for (struct subscriber *subscriber = messaging->subscribers; subscriber; subscriber = subscriber->next)
        if (is_for(subscriber, ticket) && subscriber->feed)
            feed_resume(subscriber->feed);
}

void messaging_unsubscribe(struct messaging *messaging, const struct api_ticket *ticket)
{
    for (struct subscriber **at = &messaging->subscribers; *at; at = &(*at)->next) {
        struct subscriber *subscriber = *at;
        if (!is_for(subscriber, ticket))
            continue;
        *at = subscriber->next;
        feed_free(subscriber->feed);
        free(subscriber);
        return;
    }
}

void messaging_inbox_moved(struct messaging *messaging)
{
    for (struct subscriber *subscriber = messaging->subscribers; subscriber; subscriber = subscriber->next)
        start_feed(messaging, subscriber);
}

const struct courier *messaging_courier(const struct messaging *messaging)
{
    return messaging->courier;
}

uint64_t messaging_unreadable(const struct messaging *messaging)
{
    return messaging->unreadable;
}

/* ---- Life ---- */

struct messaging *messaging_new(struct event_base *base, const struct core *core, struct onchain *onchain,
                                struct endpoints *endpoints, struct api_server *api,
                                messaging_answer_fn answer, void *user)
{
    static const struct courier_callbacks callbacks = {
        .answer = on_answer, .sent = on_sent, .given_up = on_given_up};
    struct messaging *messaging = calloc(1, sizeof(*messaging));
    if (!messaging)
        return NULL;
    *messaging = (struct messaging){.base = base,
                                    .core = core,
                                    .onchain = onchain,
                                    .endpoints = endpoints,
                                    .api = api,
                                    .answer = answer,
                                    .user = user};
    messaging->courier = courier_new(base, onchain, &callbacks, messaging);
    messaging->inbox_refusal = evtimer_new(base, on_inbox_refusal, messaging);
    if (!messaging->courier || !messaging->inbox_refusal) {
        messaging_free(messaging);
        return NULL;
    }
    return messaging;
}

void messaging_free(struct messaging *messaging)
{
    if (!messaging)
        return;
    while (messaging->subscribers)
        messaging_unsubscribe(messaging, &messaging->subscribers->ticket);
    archive_reader_free(messaging->inbox);
    archive_free(messaging->archive);
    courier_free(messaging->courier);
    if (messaging->inbox_refusal)
        event_free(messaging->inbox_refusal);
    free(messaging);
}
