#include "evm/operation.h"

#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "evm/bundler_error.h"
#include "evm/chain.h"
#include "evm/field.h"
#include "evm/monotonic.h"
#include "evm/receipt.h"
#include "evm/sponsoring.h"
#include "evm/userop.h"

#define POLL_DEFAULT_MS 1000
#define INCLUSION_DEFAULT_MS 60000
#define LOST_REPLY_POLLS 5 /* looks for a receipt before a send whose reply was lost is repeated */
#define DETAIL_SIZE 160

struct operation {
    const struct operation_services *services;
    const struct secret *owner;
    struct userop op;
    uint8_t *call_data;
    enum operation_state state;

    struct operation_pending pending; /* everything sent that may be included */
    bool resumed;                     /* what is pending was sent by an earlier run */
    bool nonce_used;                  /* something with our nonce was included */
    size_t sends, polled;
    bool reply_lost;
    uint64_t deadline_ms;

    struct sponsoring *sponsoring;
    struct chain_read *read; /* at most one of these is pending */
    struct rpc_call *call;
    struct event *timer;

    struct am_err err; /* the latest failure that was not the end */
    uint32_t retry_after_s;
    struct operation_callbacks callbacks;
    void *user;
};

static const char *const state_names[] = {
    [OPERATION_NONCE] = "nonce",           [OPERATION_BASE_FEE] = "base fee", [OPERATION_TIP] = "tip",
    [OPERATION_SPONSORING] = "sponsoring", [OPERATION_SENDING] = "sending",   [OPERATION_WAITING] = "waiting",
};

const char *operation_state_name(enum operation_state state)
{
    return state_names[state];
}

static uint32_t poll_ms(const struct operation *o)
{
    return o->services->poll_ms ? o->services->poll_ms : POLL_DEFAULT_MS;
}

static uint32_t inclusion_ms(const struct operation *o)
{
    return o->services->inclusion_ms ? o->services->inclusion_ms : INCLUSION_DEFAULT_MS;
}

static void enter(struct operation *o, enum operation_state state, const char *detail)
{
    o->state = state;
    if (o->callbacks.progress)
        o->callbacks.progress(o->user, state, detail);
}

static void operation_free(struct operation *o)
{
    sponsoring_free(o->sponsoring);
    chain_read_cancel(o->read);
    rpc_call_cancel(o->call);
    if (o->timer)
        event_free(o->timer);
    free(o->call_data);
    free(o);
}

static const struct bytes32 *last_hash(const struct operation *o)
{
    return &o->pending.hashes[o->pending.hashes_len - 1];
}

static void finish(struct operation *o, int code, const struct receipt *receipt)
{
    const struct sponsor *sponsor = sponsoring_sponsor(o->sponsoring);
    struct operation_result result = {
        .code = code,
        .error = code ? o->err.text : NULL,
        .sponsor = sponsor ? sponsor->name : NULL,
        .sends = (uint32_t)o->sends,
        .retry_after_s = o->retry_after_s,
    };
    if (o->pending.hashes_len)
        result.hash = *last_hash(o);
    if (receipt) {
        result.included = true;
        result.hash = receipt->hash;
        result.tx_hash = receipt->tx_hash;
        result.gas_cost = receipt->gas_cost;
        result.gas_used = receipt->gas_used;
    } else if (!o->nonce_used) {
        result.pending = o->pending;
    }
    o->callbacks.done(o->user, &result);
    operation_free(o);
}

static void fail(struct operation *o)
{
    finish(o, o->err.code, NULL);
}

static void fail_for_memory(struct operation *o)
{
    am_fail(&o->err, -ENOMEM, "no memory for another request, or too many under way");
    fail(o);
}

static void read_nonce(struct operation *o);
static void send_signed(struct operation *o);

/* ---- Waiting: one look for a receipt per poll, at everything that was ever sent in turn ---- */

static void schedule_poll(struct operation *o, uint32_t retry_after_s)
{
    uint64_t ms = poll_ms(o);
    if (retry_after_s > HEALTH_RETRY_AFTER_MAX_S)
        retry_after_s = HEALTH_RETRY_AFTER_MAX_S;
    if (ms < (uint64_t)retry_after_s * 1000)
        ms = (uint64_t)retry_after_s * 1000;
    const struct timeval delay = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    event_add(o->timer, &delay);
}

static void wait_for_inclusion(struct operation *o, uint64_t patience_ms, uint32_t retry_after_s)
{
    char hash[BYTES32_HEX_SIZE];
    o->deadline_ms = monotonic_ms() + patience_ms;
    enter(o, OPERATION_WAITING, bytes32_hex(last_hash(o), hash));
    schedule_poll(o, retry_after_s);
}

static void raise_and_renew(struct operation *o)
{
    userop_raise_fees(&o->op);
    sponsoring_renew(o->sponsoring);
}

/* Time is up: what may not have arrived is sent again as it is, what was not included with higher fees. */
static void expire(struct operation *o)
{
    if (o->nonce_used) {
        am_fail(&o->err, AM_EMISMATCH,
                "something with this nonce was included, but the bundler shows no receipt");
        fail(o);
    } else if (o->sends >= OPERATION_SENDS_MAX) {
        const struct am_err last = o->err;
        am_fail(&o->err, -ETIMEDOUT, "sent %zu times and not included in a block%s%s", o->sends,
                last.code ? "; last failure: " : "", last.code ? last.text : "");
        fail(o);
    } else if (o->resumed) {
        read_nonce(o);
    } else if (o->reply_lost) {
        send_signed(o);
    } else {
        raise_and_renew(o);
    }
}

/* True when the operation is over. */
static bool take_receipt(struct operation *o, json_object *value)
{
    struct receipt receipt;
    if (receipt_parse(value, &receipt, &o->err))
        return false;
    if (!bytes32_equal(&receipt.hash, &o->pending.hashes[o->polled % o->pending.hashes_len])) {
        am_fail(&o->err, AM_EMISMATCH, "the bundler shows another operation's receipt");
        return false;
    }
    if (!receipt.success)
        am_fail(&o->err, AM_EREVERT, "included, but the call reverted: %s", receipt.reason);
    finish(o, receipt.success ? 0 : AM_EREVERT, &receipt);
    return true;
}

/* A receipt that can not be had or read is asked for again: only time ends the wait, and not before every
 * hash was looked for. */
static void on_receipt(void *user, const struct rpc_result *result)
{
    struct operation *o = user;
    o->call = NULL;
    if (result->code == 0 && result->value && take_receipt(o, result->value))
        return;
    o->polled++;
    if (monotonic_ms() >= o->deadline_ms && (!o->resumed || o->polled >= o->pending.hashes_len))
        expire(o);
    else
        schedule_poll(o, result->retry_after_s);
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    struct operation *o = user;
    json_object *params = json_object_new_array();
    const struct bytes32 *hash = &o->pending.hashes[o->polled % o->pending.hashes_len];
    (void)fd, (void)what;
    if (field_append(params, field_of_bytes(hash->b, sizeof(hash->b)))) {
        o->call = rpc_call(o->services->bundler, "eth_getUserOperationReceipt", params, on_receipt, o);
    } else {
        json_object_put(params);
    }
    if (!o->call)
        fail_for_memory(o);
}

/* ---- Sending ---- */

static void note_sending(struct operation *o, const struct bytes32 *hash)
{
    struct operation_pending *pending = &o->pending;
    if (pending->hashes_len == OPERATION_HASHES_MAX)
        memmove(&pending->hashes[0], &pending->hashes[1], --pending->hashes_len * sizeof(pending->hashes[0]));
    pending->hashes[pending->hashes_len++] = *hash;
    pending->nonce = o->op.nonce;
    pending->max_fee_per_gas = o->op.max_fee_per_gas;
    pending->max_priority_fee_per_gas = o->op.max_priority_fee_per_gas;
    pending->sent_unix_s = (uint64_t)time(NULL);
    if (o->callbacks.sending)
        o->callbacks.sending(o->user, pending);
}

static bool is_own_hash(const struct operation *o, json_object *value)
{
    struct bytes32 hash;
    return json_object_is_type(value, json_type_string) &&
           hex_decode_exact(json_object_get_string(value), hash.b, sizeof(hash.b)) &&
           bytes32_equal(&hash, last_hash(o));
}

/* A refusal is final only when nothing sent before can still be included. That of a repeated send is most
 * likely "already known"; that of a replacement leaves its hash meaningless. */
static void on_refused(struct operation *o)
{
    const bool repeated = o->reply_lost;
    o->reply_lost = false;
    if (!repeated)
        o->pending.hashes_len--;
    if (o->pending.hashes_len == 0)
        fail(o);
    else
        wait_for_inclusion(o, inclusion_ms(o), 0);
}

static void on_sent(void *user, const struct rpc_result *result)
{
    struct operation *o = user;
    o->call = NULL;
    o->resumed = false;
    if (result->code == 0 && !is_own_hash(o, result->value)) {
        am_fail(&o->err, AM_EMISMATCH,
                "the bundler computes another userOpHash: chain id or entry point differ");
        o->pending.hashes_len--;
        fail(o);
        return;
    }
    o->err = (struct am_err){0};
    if (result->code)
        bundler_error_of_rpc(result, &o->err);
    if (result->code == AM_EREMOTE) {
        on_refused(o);
        return;
    }
    o->reply_lost = result->code != 0;
    wait_for_inclusion(o, o->reply_lost ? LOST_REPLY_POLLS * (uint64_t)poll_ms(o) : inclusion_ms(o),
                       result->retry_after_s);
}

/* Sends the operation as it stands signed. */
static void send_signed(struct operation *o)
{
    char attempt[DETAIL_SIZE];
    json_object *params = json_object_new_array();
    const bool complete = field_append(params, userop_to_json(&o->op)) &&
                          field_append(params, field_of_address(&o->services->entry_point));
    if (!complete) {
        json_object_put(params);
        fail_for_memory(o);
        return;
    }
    o->sends++;
    snprintf(attempt, sizeof(attempt), "attempt %zu of %d", o->sends, OPERATION_SENDS_MAX);
    enter(o, OPERATION_SENDING, attempt);
    o->call = rpc_call(o->services->bundler, "eth_sendUserOperation", params, on_sent, o);
    if (!o->call)
        fail_for_memory(o);
}

static void sign_and_send(struct operation *o)
{
    const struct operation_services *s = o->services;
    const int code = userop_sign(&o->op, &s->entry_point, s->chain_id, o->owner);
    if (code) {
        am_fail(&o->err, code, "the owner's key is no secp256k1 key");
        fail(o);
        return;
    }
    const struct bytes32 hash = userop_hash(&o->op, &s->entry_point, s->chain_id);
    note_sending(o, &hash);
    send_signed(o);
}

/* ---- Sponsoring ---- */

static void on_sponsor_step(void *user, const struct sponsor *sponsor, const char *method)
{
    char detail[DETAIL_SIZE];
    snprintf(detail, sizeof(detail), "%s, %s", sponsor->name, method);
    enter(user, OPERATION_SPONSORING, detail);
}

/* Without a way to a signed operation now, what was sent before may still be included; the next expiry tries
 * again. */
static void on_sponsored(void *user, const struct am_err *failure, uint32_t retry_after_s)
{
    struct operation *o = user;
    if (!failure) {
        sign_and_send(o);
        return;
    }
    o->err = *failure;
    o->retry_after_s = retry_after_s;
    if (o->pending.hashes_len == 0) {
        fail(o);
        return;
    }
    o->sends++;
    o->resumed = false;
    wait_for_inclusion(o, inclusion_ms(o), 0);
}

/* ---- Nonce and fees ---- */

static bool read_failed(struct operation *o, const struct chain_result *result)
{
    o->read = NULL;
    if (result->code) {
        o->retry_after_s = result->retry_after_s;
        am_fail(&o->err, result->code, "%s: %s", state_names[o->state], result->error);
        fail(o);
    }
    return result->code;
}

static void on_tip(void *user, const struct chain_result *result)
{
    struct operation *o = user;
    struct uint256 doubled;
    unsigned __int128 narrow;
    if (read_failed(o, result))
        return;
    o->op.max_priority_fee_per_gas = result->number;
    if (!uint256_multiply(&o->op.max_fee_per_gas, 2, &doubled) ||
        !uint256_add(&doubled, &result->number, &o->op.max_fee_per_gas) ||
        !uint256_to_u128(&o->op.max_fee_per_gas, &narrow)) {
        am_fail(&o->err, AM_EFORMAT, "the chain's fees have more than 128 bits");
        fail(o);
        return;
    }
    if (o->pending.hashes_len > 0)
        userop_outbid(&o->op, &o->pending.max_fee_per_gas, &o->pending.max_priority_fee_per_gas);
    sponsoring_begin(o->sponsoring, o->pending.hashes_len > 0);
}

static void on_block(void *user, const struct chain_result *result)
{
    struct operation *o = user;
    if (read_failed(o, result))
        return;
    o->op.max_fee_per_gas = result->block.base_fee;
    enter(o, OPERATION_TIP, "");
    o->read = chain_read_tip(o->services->node, on_tip, o);
    if (!o->read)
        fail_for_memory(o);
}

/* Of a pending operation the nonce tells whether it can still be included: a higher one says that it or its
 * like was, and its receipt will show; a lower one, after all the waiting, that it belongs to a chain that is
 * no more. */
static void on_nonce(void *user, const struct chain_result *result)
{
    struct operation *o = user;
    if (read_failed(o, result))
        return;
    const int order = o->pending.hashes_len ? uint256_compare(&result->number, &o->pending.nonce) : 0;
    if (order > 0) {
        o->nonce_used = true;
        wait_for_inclusion(o, (LOST_REPLY_POLLS + o->pending.hashes_len) * poll_ms(o), 0);
        return;
    }
    if (order < 0)
        o->pending.hashes_len = 0;
    o->op.nonce = result->number;
    enter(o, OPERATION_BASE_FEE, "");
    o->read = chain_read_block(o->services->node, on_block, o);
    if (!o->read)
        fail_for_memory(o);
}

static void read_nonce(struct operation *o)
{
    enter(o, OPERATION_NONCE, "");
    o->read = chain_read_nonce(o->services->node, &o->services->entry_point, &o->op.sender, on_nonce, o);
    if (!o->read)
        fail_for_memory(o);
}

/* ---- Life ---- */

/* What is left of the time in which the last one sent may be included; the clock may have been set since. */
static uint64_t patience_left_ms(const struct operation *o)
{
    const uint64_t now_s = (uint64_t)time(NULL), sent_s = o->pending.sent_unix_s;
    const uint64_t age_ms = now_s > sent_s && now_s - sent_s < UINT32_MAX ? (now_s - sent_s) * 1000 : 0;
    return age_ms < inclusion_ms(o) ? inclusion_ms(o) - age_ms : 0;
}

static bool begin(struct operation *o)
{
    if (o->pending.hashes_len > 0) {
        o->resumed = true;
        wait_for_inclusion(o, patience_left_ms(o), 0);
        return true;
    }
    o->read = chain_read_nonce(o->services->node, &o->services->entry_point, &o->op.sender, on_nonce, o);
    if (o->read)
        enter(o, OPERATION_NONCE, "");
    return o->read;
}

struct operation *operation_start(const struct operation_services *services,
                                  const struct operation_request *request,
                                  const struct operation_callbacks *callbacks, void *user)
{
    if (request->call_data_len > USEROP_CALL_DATA_MAX || services->sponsors_len == 0 ||
        services->sponsors_len > SPONSORS_MAX)
        return NULL;
    struct operation *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->services = services;
    o->owner = request->owner;
    o->callbacks = *callbacks;
    o->user = user;
    if (request->pending)
        o->pending = *request->pending;
    o->op.sender = request->sender;
    o->op.call_data_len = request->call_data_len;
    o->op.call_data = o->call_data = malloc(request->call_data_len ? request->call_data_len : 1);
    if (o->call_data)
        memcpy(o->call_data, request->call_data, request->call_data_len);
    o->timer = event_new(services->base, -1, 0, on_timer, o);
    if (o->call_data && o->timer)
        o->sponsoring = sponsoring_new(services, &o->op, on_sponsor_step, on_sponsored, o);
    if (!o->sponsoring || !begin(o)) {
        operation_free(o);
        return NULL;
    }
    return o;
}

void operation_cancel(struct operation *operation)
{
    if (operation)
        operation_free(operation);
}
