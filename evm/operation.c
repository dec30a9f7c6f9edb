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
#include "evm/receipt.h"
#include "evm/userop.h"

#define POLL_DEFAULT_MS 1000
#define INCLUSION_DEFAULT_MS 60000
#define LOST_REPLY_POLLS 5 /* looks for a receipt before a send whose reply was lost is repeated */
#define DETAIL_SIZE 96

struct operation {
    const struct operation_services *services;
    const struct secret *owner;
    struct userop op;
    uint8_t *call_data;
    enum operation_state state;

    size_t sponsor, step; /* where SPONSORING is */
    bool raising;         /* the fees were raised: only the steps that depend on them */
    bool final;           /* the sponsor's answer stands as it is */

    struct bytes32 hashes[OPERATION_SENDS_MAX]; /* of everything ever sent: any of them may be included */
    size_t hashes_len, sends, polled;
    bool reply_lost;
    uint64_t deadline_ms;

    struct chain_read *read; /* at most one of the three is pending */
    struct rpc_call *call;
    struct event *timer;

    struct am_err err; /* the latest failure that was not the end */
    uint32_t retry_after_s;
    operation_progress_fn progress;
    operation_done_fn done;
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

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
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
    if (o->progress)
        o->progress(o->user, state, detail);
}

static void operation_free(struct operation *o)
{
    chain_read_cancel(o->read);
    rpc_call_cancel(o->call);
    if (o->timer)
        event_free(o->timer);
    free(o->call_data);
    free(o);
}

static void finish(struct operation *o, int code, const struct receipt *receipt)
{
    struct operation_result result = {
        .code = code,
        .error = code ? o->err.text : NULL,
        .retry_after_s = o->retry_after_s,
    };
    if (o->hashes_len)
        result.hash = o->hashes[o->hashes_len - 1];
    if (receipt) {
        result.hash = receipt->hash;
        result.tx_hash = receipt->tx_hash;
        result.gas_cost = receipt->gas_cost;
    }
    o->done(o->user, &result);
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

static void run_step(struct operation *o);
static void send_signed(struct operation *o);
static void on_timer(evutil_socket_t fd, short what, void *user);

/* Waiting: one look for a receipt per poll, at everything that was ever sent in turn. */

static void schedule_poll(struct operation *o)
{
    const struct timeval delay = {poll_ms(o) / 1000, poll_ms(o) % 1000 * 1000};
    event_add(o->timer, &delay);
}

static void wait_for_inclusion(struct operation *o, uint64_t patience_ms)
{
    char hash[BYTES32_HEX_SIZE];
    o->deadline_ms = now_ms() + patience_ms;
    enter(o, OPERATION_WAITING, bytes32_hex(&o->hashes[o->hashes_len - 1], hash));
    schedule_poll(o);
}

/* Time is up: what may not have arrived is sent again as it is, what was not included with higher fees. */
static void expire(struct operation *o)
{
    if (o->sends == OPERATION_SENDS_MAX) {
        const struct am_err last = o->err;
        am_fail(&o->err, -ETIMEDOUT, "sent %zu times and not included in a block%s%s", o->sends,
                last.code ? "; last failure: " : "", last.code ? last.text : "");
        fail(o);
    } else if (o->reply_lost) {
        send_signed(o);
    } else {
        userop_raise_fees(&o->op);
        o->raising = true;
        o->step = 0;
        run_step(o);
    }
}

/* True when the operation is over. */
static bool take_receipt(struct operation *o, json_object *value)
{
    struct receipt receipt;
    if (receipt_parse(value, &receipt, &o->err))
        return false;
    if (!bytes32_equal(&receipt.hash, &o->hashes[o->polled % o->hashes_len])) {
        am_fail(&o->err, AM_EMISMATCH, "the bundler shows another operation's receipt");
        return false;
    }
    if (!receipt.success)
        am_fail(&o->err, AM_EREVERT, "included, but the call reverted: %s", receipt.reason);
    finish(o, receipt.success ? 0 : AM_EREVERT, &receipt);
    return true;
}

/* A receipt that can not be had or read is asked for again: only time ends the wait. */
static void on_receipt(void *user, const struct rpc_result *result)
{
    struct operation *o = user;
    o->call = NULL;
    if (result->code == 0 && result->value && take_receipt(o, result->value))
        return;
    o->polled++;
    if (now_ms() >= o->deadline_ms)
        expire(o);
    else
        schedule_poll(o);
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    struct operation *o = user;
    json_object *params = json_object_new_array();
    const struct bytes32 *hash = &o->hashes[o->polled % o->hashes_len];
    (void)fd, (void)what;
    if (field_append(params, field_of_bytes(hash->b, sizeof(hash->b)))) {
        o->call = rpc_call(o->services->bundler, "eth_getUserOperationReceipt", params, on_receipt, o);
    } else {
        json_object_put(params);
    }
    if (!o->call)
        fail_for_memory(o);
}

/* Sending. */

static bool is_own_hash(const struct operation *o, json_object *value)
{
    struct bytes32 hash;
    return json_object_is_type(value, json_type_string) &&
           hex_decode_exact(json_object_get_string(value), hash.b, sizeof(hash.b)) &&
           bytes32_equal(&hash, &o->hashes[o->hashes_len - 1]);
}

static void on_sent(void *user, const struct rpc_result *result)
{
    struct operation *o = user;
    const bool first = o->sends == 1;
    o->call = NULL;
    if (result->code == 0 && !is_own_hash(o, result->value)) {
        am_fail(&o->err, AM_EMISMATCH,
                "the bundler computes another userOpHash: chain id or entry point differ");
        fail(o);
        return;
    }
    o->err = (struct am_err){0};
    if (result->code)
        bundler_error_of_rpc(result, &o->err);
    /* A refusal is final only when nothing sent before can still be included. That of a repeated send is most
     * likely "already known"; that of a replacement leaves its hash meaningless. */
    if (result->code == AM_EREMOTE && first) {
        fail(o);
        return;
    }
    if (result->code == AM_EREMOTE && !o->reply_lost)
        o->hashes_len--;
    o->reply_lost = result->code != 0 && result->code != AM_EREMOTE;
    wait_for_inclusion(o, o->reply_lost ? LOST_REPLY_POLLS * (uint64_t)poll_ms(o) : inclusion_ms(o));
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
    o->hashes[o->hashes_len++] = userop_hash(&o->op, &s->entry_point, s->chain_id);
    send_signed(o);
}

/* Sponsoring: the steps of one sponsor after the other. */

static void begin_sponsor(struct operation *o)
{
    o->op.has_paymaster = false;
    o->op.gas_known = false;
    o->raising = false;
    o->final = false;
    o->step = 0;
    userop_set_placeholder_signature(&o->op);
    run_step(o);
}

/* The failure to report when no sponsor is left: one that may pass goes before a refusal. */
static void remember_sponsor_failure(struct operation *o, const struct am_err *err)
{
    if (o->err.code == 0 || o->err.code == AM_EDENIED || err->code != AM_EDENIED)
        o->err = *err;
}

/* No way to a signed operation now. What was sent before may still be included; the next expiry tries again.
 */
static void give_up_round(struct operation *o)
{
    if (o->hashes_len == 0) {
        fail(o);
        return;
    }
    o->sponsor = 0;
    o->sends++;
    wait_for_inclusion(o, inclusion_ms(o));
}

static void try_next_sponsor(struct operation *o)
{
    if (++o->sponsor < o->services->sponsors_len)
        begin_sponsor(o);
    else
        give_up_round(o);
}

/* Only a sponsor's own failures speak for trying another one. */
static void round_failed(struct operation *o, bool sponsors_fault, const struct am_err *err)
{
    if (sponsors_fault) {
        remember_sponsor_failure(o, err);
        try_next_sponsor(o);
    } else {
        o->err = *err;
        give_up_round(o);
    }
}

static const struct sponsor_step *current_steps(const struct operation *o, size_t *len)
{
    return sponsor_steps(o->services->sponsors[o->sponsor].kind, len);
}

static void on_step(void *user, const struct rpc_result *result)
{
    struct operation *o = user;
    size_t len;
    const struct sponsor_step *step = &current_steps(o, &len)[o->step];
    struct am_err err;
    o->call = NULL;
    o->retry_after_s = result->retry_after_s;
    if (result->code && step->at_bundler) {
        bundler_error_of_rpc(result, &err);
        round_failed(o, bundler_error_blames_paymaster(result), &err);
    } else if (result->code) {
        sponsor_error_of_rpc(result, &err);
        round_failed(o, true, &err);
    } else if (step->take(&o->op, result->value, &o->final, &err)) {
        am_fail_context(&err, "%s", step->method);
        round_failed(o, !step->at_bundler, &err);
    } else {
        o->step++;
        run_step(o);
    }
}

static void run_step(struct operation *o)
{
    size_t len;
    const struct sponsor_step *steps = current_steps(o, &len);
    while (o->step < len &&
           ((o->raising && !steps[o->step].after_raise) || (o->final && steps[o->step].not_if_final)))
        o->step++;
    if (o->step == len) {
        sign_and_send(o);
        return;
    }
    const struct sponsor_step *step = &steps[o->step];
    const struct sponsor *sponsor = &o->services->sponsors[o->sponsor];
    const struct sponsor_request request = {
        .sponsor = sponsor,
        .op = &o->op,
        .entry_point = &o->services->entry_point,
        .chain_id = o->services->chain_id,
    };
    enter(o, OPERATION_SPONSORING, step->method);
    json_object *params = step->params(&request);
    if (params)
        o->call = rpc_call(step->at_bundler ? o->services->bundler : sponsor->rpc, step->method, params,
                           on_step, o);
    if (!o->call)
        fail_for_memory(o);
}

/* Nonce and fees. */

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

/* Twice the base fee lasts for the six full blocks in which it can double. */
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
    begin_sponsor(o);
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

static void on_nonce(void *user, const struct chain_result *result)
{
    struct operation *o = user;
    if (read_failed(o, result))
        return;
    o->op.nonce = result->number;
    enter(o, OPERATION_BASE_FEE, "");
    o->read = chain_read_block(o->services->node, on_block, o);
    if (!o->read)
        fail_for_memory(o);
}

struct operation *operation_start(const struct operation_services *services, const struct address *sender,
                                  const uint8_t *call_data, size_t call_data_len, const struct secret *owner,
                                  operation_progress_fn progress, operation_done_fn done, void *user)
{
    if (call_data_len > USEROP_CALL_DATA_MAX || services->sponsors_len == 0)
        return NULL;
    struct operation *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->services = services;
    o->owner = owner;
    o->progress = progress;
    o->done = done;
    o->user = user;
    o->call_data = malloc(call_data_len ? call_data_len : 1);
    o->timer = event_new(services->base, -1, 0, on_timer, o);
    if (o->call_data && o->timer)
        o->read = chain_read_nonce(services->node, &services->entry_point, sender, on_nonce, o);
    if (!o->read) {
        operation_free(o);
        return NULL;
    }
    memcpy(o->call_data, call_data, call_data_len);
    o->op.sender = *sender;
    o->op.call_data = o->call_data;
    o->op.call_data_len = call_data_len;
    enter(o, OPERATION_NONCE, "");
    return o;
}

void operation_cancel(struct operation *operation)
{
    if (operation)
        operation_free(operation);
}
