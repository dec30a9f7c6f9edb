#include "agent/shell/courier.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "agent/message/envelope.h"
#include "crypto/am_error.h"

/* The chain is this file: it keeps what was sent and answers when the test says so. */
static struct {
    bool refuse;
    unsigned sends;
    struct bytes32 envelope_id;
    size_t len;
    operations_done_fn done;
    void *user;
} chain;

bool onchain_send_envelope(struct onchain *onchain, const char *purpose, const struct bytes32 *recipient,
                           const struct bytes32 *envelope_id, const uint8_t *ciphertext, size_t len,
                           operations_done_fn done, void *user)
{
    (void)onchain, (void)recipient, (void)ciphertext;
    cr_assert_str_eq(purpose, "message");
    if (chain.refuse)
        return false;
    chain.sends++;
    chain.envelope_id = *envelope_id;
    chain.len = len;
    chain.done = done;
    chain.user = user;
    return true;
}

static struct event_base *base;
static struct courier *courier;
static struct bytes32 x_pubkey;
static struct core_event answered;
static uint64_t sent_for, given_up_for;
static bool has_tx;
static api_Error_Code given_up_code;

static void on_answer(void *user, const struct core_event *event)
{
    (void)user;
    answered = *event;
}

static void on_sent(void *user, const struct api_ticket *ticket, const struct bytes32 *envelope_id,
                    const struct bytes32 *tx_hash)
{
    (void)user, (void)envelope_id;
    sent_for = ticket->request;
    has_tx = tx_hash;
}

static void on_given_up(void *user, const struct api_ticket *ticket, api_Error_Code code, const char *text)
{
    (void)user, (void)text;
    given_up_for = ticket->request;
    given_up_code = code;
}

static void start(void)
{
    static const struct courier_callbacks callbacks = {
        .answer = on_answer, .sent = on_sent, .given_up = on_given_up};
    cr_assert_eq(secret_init(), 0);
    struct secret *secret = secret_new();
    memset(secret->b, 9, sizeof(secret->b));
    cr_assert_eq(box_pubkey_of_secret(secret, &x_pubkey), 0);
    secret_free(secret);
    base = event_base_new();
    courier = courier_new(base, NULL, &callbacks, NULL);
    cr_assert(courier);
}

static void stop(void)
{
    courier_free(courier);
    event_base_free(base);
}

TestSuite(courier, .init = start, .fini = stop);

static int accept_message(uint64_t request, const char *key)
{
    return courier_accept(courier, &(struct courier_message){.x_pubkey = x_pubkey,
                                                             .payload = (const uint8_t *)"hello",
                                                             .payload_len = 5,
                                                             .key = (const uint8_t *)key,
                                                             .key_len = strlen(key),
                                                             .ticket = {.session = 1, .request = request}});
}

static void finish(int code, const char *error)
{
    chain.done(chain.user, &(struct operation_result){
                               .code = code, .error = error, .tx_hash = {{7}}, .included = code == 0});
}

Test(courier, sends_in_order_and_tells_who_waits)
{
    cr_assert_eq(accept_message(1, ""), 0);
    cr_assert_eq(accept_message(2, ""), 0);
    courier_send(courier);
    cr_assert_eq(chain.len, 5 + 1 + BOX_SEAL_OVERHEAD);
    finish(0, NULL);
    cr_assert_eq(sent_for, 1);
    cr_assert(has_tx);
    cr_assert_eq(answered.type, CORE_EVENT_MESSAGE_SETTLED);
    cr_assert(answered.messages.waiting);
    courier_send(courier);
    finish(0, NULL);
    cr_assert_eq(sent_for, 2);
    cr_assert_not(answered.messages.waiting);
}

Test(courier, what_may_pass_is_tried_again_with_the_same_envelope)
{
    cr_assert_eq(accept_message(1, ""), 0);
    courier_send(courier);
    const struct bytes32 first = chain.envelope_id;
    finish(-ETIMEDOUT, "no answer");
    cr_assert_eq(answered.type, CORE_EVENT_MESSAGE_FAILED);
    courier_send(courier);
    cr_assert(bytes32_equal(&chain.envelope_id, &first));
    finish(AM_EREVERT, "the call reverts: DuplicateEnvelope");
    cr_assert_eq(sent_for, 1, "the first one had arrived");
    cr_assert_not(has_tx);
}

Test(courier, a_denial_is_told_at_once)
{
    cr_assert_eq(accept_message(4, ""), 0);
    courier_send(courier);
    finish(AM_EDENIED, "global_daily_cap");
    cr_assert_eq(given_up_for, 4);
    cr_assert_eq(given_up_code, api_Error_Code_PERMISSION_DENIED);
    cr_assert_eq(answered.type, CORE_EVENT_MESSAGE_SETTLED);
}

Test(courier, a_recipient_that_was_removed_meanwhile_is_not_found)
{
    cr_assert_eq(accept_message(4, ""), 0);
    courier_send(courier);
    finish(AM_EREVERT, "the call reverts: UnknownRecipient");
    cr_assert_eq(given_up_code, api_Error_Code_NOT_FOUND);
}

Test(courier, one_that_can_not_begin_is_answered_from_the_loop)
{
    cr_assert_eq(accept_message(1, ""), 0);
    chain.refuse = true;
    courier_send(courier);
    cr_assert_eq(answered.type, 0);
    event_base_loop(base, EVLOOP_ONCE);
    cr_assert_eq(answered.type, CORE_EVENT_MESSAGE_FAILED);
}

Test(courier, the_same_key_makes_the_same_envelope)
{
    cr_assert_eq(accept_message(1, "order 17"), 0);
    cr_assert_eq(accept_message(2, "order 17"), 0);
    courier_send(courier);
    const struct bytes32 first = chain.envelope_id;
    finish(0, NULL);
    courier_send(courier);
    cr_assert(bytes32_equal(&chain.envelope_id, &first));
}

Test(courier, the_queue_is_bounded_and_counted)
{
    struct courier_counters counters;
    for (uint64_t i = 0; i < COURIER_QUEUE_MAX; i++)
        cr_assert_eq(accept_message(i, ""), 0);
    cr_assert_eq(accept_message(99, ""), -ENOBUFS);
    courier_counters(courier, &counters);
    cr_assert_eq(counters.waiting, COURIER_QUEUE_MAX);
    cr_assert_eq(counters.refused, 1);
}
