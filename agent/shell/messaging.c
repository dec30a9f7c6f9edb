#include "agent/shell/messaging.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/message/envelope.h"

struct messaging {
    const struct core *core;
    struct api_server *api;
    struct courier *courier;
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
    case -ENOBUFS:
        return refuse(api_Error_Code_RESOURCE_EXHAUSTED, "too many messages wait already", text);
    case -ENOMEM:
        return refuse(api_Error_Code_RESOURCE_EXHAUSTED, "the agent is out of memory", text);
    default:
        return refuse(api_Error_Code_FAILED_PRECONDITION, "the recipient's X25519 key is not one", text);
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

const struct courier *messaging_courier(const struct messaging *messaging)
{
    return messaging->courier;
}

/* ---- Life ---- */

struct messaging *messaging_new(struct event_base *base, const struct core *core, struct onchain *onchain,
                                struct api_server *api, messaging_answer_fn answer, void *user)
{
    static const struct courier_callbacks callbacks = {
        .answer = on_answer, .sent = on_sent, .given_up = on_given_up};
    struct messaging *messaging = calloc(1, sizeof(*messaging));
    if (!messaging)
        return NULL;
    *messaging = (struct messaging){.core = core, .api = api, .answer = answer, .user = user};
    messaging->courier = courier_new(base, onchain, &callbacks, messaging);
    if (!messaging->courier) {
        messaging_free(messaging);
        return NULL;
    }
    return messaging;
}

void messaging_free(struct messaging *messaging)
{
    if (!messaging)
        return;
    courier_free(messaging->courier);
    free(messaging);
}
