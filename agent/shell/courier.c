#include "agent/shell/courier.h"

#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/log.h"
#include "agent/message/envelope.h"
#include "crypto/am_error.h"
#include "evm/monotonic.h"

#define RANDOM_KEY_SIZE 32

struct letter {
    struct letter *next;
    struct api_ticket ticket;
    struct bytes32 recipient;
    struct bytes32 envelope_id;
    uint64_t accepted_ms;
    size_t len;
    uint8_t ciphertext[];
};

struct courier {
    struct onchain *onchain;
    struct courier_callbacks callbacks;
    void *user;
    struct letter *first, *last;
    struct event *refusal; /* answers a send that could not even begin */
    struct courier_counters counters;
};

/* ---- The queue ---- */

static struct letter *letter_new(const struct courier_message *message)
{
    uint8_t ciphertext[ENVELOPE_CIPHERTEXT_MAX], random[RANDOM_KEY_SIZE];
    size_t len;
    if (envelope_seal(&message->x_pubkey, ENVELOPE_APPLICATION, message->payload, message->payload_len,
                      ciphertext, &len))
        return NULL;
    struct letter *letter = malloc(sizeof(*letter) + len);
    if (!letter)
        return NULL;
    randombytes_buf(random, sizeof(random));
    *letter = (struct letter){
        .ticket = message->ticket,
        .recipient = message->recipient,
        .envelope_id = message->key_len ? envelope_application_id(message->key, message->key_len)
                                        : envelope_application_id(random, sizeof(random)),
        .accepted_ms = monotonic_ms(),
        .len = len,
    };
    memcpy(letter->ciphertext, ciphertext, len);
    return letter;
}

int courier_accept(struct courier *courier, const struct courier_message *message)
{
    if (courier->counters.waiting == COURIER_QUEUE_MAX) {
        courier->counters.refused++;
        return -ENOBUFS;
    }
    struct letter *letter = message->payload_len <= ENVELOPE_PAYLOAD_MAX ? letter_new(message) : NULL;
    if (!letter)
        return -EINVAL;
    if (courier->last)
        courier->last->next = letter;
    else
        courier->first = letter;
    courier->last = letter;
    courier->counters.waiting++;
    return 0;
}

static void drop_first(struct courier *courier)
{
    struct letter *letter = courier->first;
    courier->first = letter->next;
    if (!courier->first)
        courier->last = NULL;
    courier->counters.waiting--;
    free(letter);
}

/* ---- Sending ---- */

static void answer(struct courier *courier, enum core_event_type type)
{
    courier->callbacks.answer(courier->user,
                              &(struct core_event){.type = type, .messages = {.waiting = courier->first}});
}

static void settle_sent(struct courier *courier, const struct bytes32 *tx_hash)
{
    const struct letter *letter = courier->first;
    log_info("message.sent", log_bytes("recipient", letter->recipient.b, 32),
             log_bytes("envelope", letter->envelope_id.b, 32), log_uint("bytes", letter->len),
             log_bool("already", !tx_hash));
    courier->counters.sent++;
    courier->callbacks.sent(courier->user, &letter->ticket, &letter->envelope_id, tx_hash);
    drop_first(courier);
    answer(courier, CORE_EVENT_MESSAGE_SETTLED);
}

static void give_up(struct courier *courier, api_Error_Code code, const char *text)
{
    const struct letter *letter = courier->first;
    log_warn("message.given_up", log_bytes("recipient", letter->recipient.b, 32),
             log_bytes("envelope", letter->envelope_id.b, 32), log_text("reason", text));
    courier->counters.given_up++;
    courier->callbacks.given_up(courier->user, &letter->ticket, code, text);
    drop_first(courier);
    answer(courier, CORE_EVENT_MESSAGE_SETTLED);
}

/* What may pass is tried again, until patience ends. */
static void retry(struct courier *courier, const char *text)
{
    if (monotonic_ms() - courier->first->accepted_ms >= COURIER_PATIENCE_MS)
        give_up(courier, api_Error_Code_UNAVAILABLE, text);
    else
        answer(courier, CORE_EVENT_MESSAGE_FAILED);
}

static void on_operation(void *user, const struct operation_result *result)
{
    struct courier *courier = user;
    if (result->code == 0)
        settle_sent(courier, &result->tx_hash);
    else if (result->code == AM_EREVERT && strstr(result->error, "DuplicateEnvelope"))
        settle_sent(courier, NULL);
    else if (result->code == AM_EREVERT && strstr(result->error, "UnknownRecipient"))
        give_up(courier, api_Error_Code_NOT_FOUND, "the recipient is not a live member any more");
    else if (result->code == AM_EDENIED)
        give_up(courier, api_Error_Code_PERMISSION_DENIED, result->error);
    else if (result->code == AM_EREVERT && result->included)
        give_up(courier, api_Error_Code_FAILED_PRECONDITION, result->error);
    else
        retry(courier, result->error);
}

static void on_refusal(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    retry(user, "out of memory, or too many requests under way");
}

void courier_send(struct courier *courier)
{
    const struct letter *letter = courier->first;
    const bool started =
        letter && onchain_send_envelope(courier->onchain, "message", &letter->recipient, &letter->envelope_id,
                                        letter->ciphertext, letter->len, on_operation, courier);
    if (letter && !started)
        event_active(courier->refusal, EV_TIMEOUT, 0);
}

void courier_counters(const struct courier *courier, struct courier_counters *out)
{
    *out = courier->counters;
}

/* ---- Life ---- */

struct courier *courier_new(struct event_base *base, struct onchain *onchain,
                            const struct courier_callbacks *callbacks, void *user)
{
    struct courier *courier = calloc(1, sizeof(*courier));
    if (!courier)
        return NULL;
    *courier = (struct courier){.onchain = onchain, .callbacks = *callbacks, .user = user};
    courier->refusal = evtimer_new(base, on_refusal, courier);
    if (!courier->refusal) {
        courier_free(courier);
        return NULL;
    }
    return courier;
}

void courier_free(struct courier *courier)
{
    if (!courier)
        return;
    while (courier->first)
        drop_first(courier);
    if (courier->refusal)
        event_free(courier->refusal);
    free(courier);
}
