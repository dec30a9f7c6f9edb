#include "evm/sponsoring.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/keccak.h"
#include "evm/bundler_error.h"
#include "evm/monotonic.h"

struct sponsoring {
    const struct operation_services *services;
    struct userop *op;
    struct bytes32 call_hash;
    size_t order[SPONSORS_MAX], order_len, at; /* who may be asked in this round, and who is */
    size_t step;
    bool fees_fixed;
    bool renewing; /* only the steps that depend on the fees */
    bool final;    /* the sponsor's answer stands as it is */
    struct sponsor *current;
    const struct sponsor *lost; /* who is not asked in this round, or NULL */
    const struct sponsor *paid_by;
    bool complete;         /* the operation is as the current sponsor made it */
    struct am_err failure; /* of this round; code 0: none yet */
    uint32_t retry_after_s;
    struct rpc_call *call;
    sponsoring_step_fn step_fn;
    sponsoring_done_fn done;
    void *user;
};

static void fail(struct sponsoring *s)
{
    s->done(s->user, &s->failure, s->retry_after_s);
}

static void ask_step(struct sponsoring *s);

static void ask_sponsor(struct sponsoring *s, struct sponsor *sponsor)
{
    struct userop *op = s->op;
    op->has_paymaster = false;
    op->gas_known = false;
    op->paymaster_verification_gas_limit = op->paymaster_post_op_gas_limit = uint256_of_u64(0);
    userop_set_placeholder_signature(op);
    s->current = sponsor;
    s->complete = false;
    s->renewing = false;
    s->final = false;
    s->step = 0;
    ask_step(s);
}

static void ask_next(struct sponsoring *s)
{
    if (s->at < s->order_len && &s->services->sponsors[s->order[s->at]] == s->lost)
        s->at++;
    if (s->at < s->order_len)
        ask_sponsor(s, &s->services->sponsors[s->order[s->at++]]);
    else
        fail(s);
}

/* Everybody who may be asked, but for the one that was lost just now. */
static void begin_round(struct sponsoring *s, const struct sponsor *lost)
{
    const struct operation_services *services = s->services;
    struct am_err resting = {0};
    s->order_len = sponsor_order(services->sponsors, services->sponsors_len, &s->call_hash, monotonic_ms(),
                                 s->order, &s->retry_after_s, &resting);
    s->at = 0;
    s->lost = lost;
    if (!lost)
        s->failure = resting;
    ask_next(s);
}

/* Only a sponsor's own failures speak for trying another one, and against asking it first the next time. */
static void step_failed(struct sponsoring *s, bool sponsors_fault, struct am_err *err, uint32_t retry_after_s)
{
    if (!sponsors_fault) {
        s->failure = *err;
        s->retry_after_s = retry_after_s;
        fail(s);
        return;
    }
    am_fail_context(err, "%s", s->current->name);
    sponsor_note_failure(s->current, &s->call_hash, err, retry_after_s, monotonic_ms(), randombytes_random());
    if (s->failure.code == 0 || s->failure.code == AM_EDENIED || err->code != AM_EDENIED)
        s->failure = *err;
    if (s->renewing)
        begin_round(s, s->current);
    else
        ask_next(s);
}

static const struct sponsor_step *current_steps(const struct sponsoring *s, size_t *len)
{
    return sponsor_steps(s->current->kind, len); /* set while a step is: NOLINT(clang-analyzer-*) */
}

/* A replacement with lower fees than it must have would only be refused. */
static int take_answer(struct sponsoring *s, const struct sponsor_step *step, json_object *answer,
                       struct am_err *err)
{
    const struct uint256 fee = s->op->max_fee_per_gas, tip = s->op->max_priority_fee_per_gas;
    const int code = step->take(s->op, answer, err);
    const bool lowered = uint256_compare(&s->op->max_fee_per_gas, &fee) < 0 ||
                         uint256_compare(&s->op->max_priority_fee_per_gas, &tip) < 0;
    if (!code && (!s->fees_fixed || !lowered))
        return 0;
    s->op->max_fee_per_gas = fee;
    s->op->max_priority_fee_per_gas = tip;
    if (!code)
        am_fail(err, AM_EMISMATCH, "the answer lowers the fees that replace a pending operation's");
    return am_fail_context(err, "%s", step->method);
}

static void on_answer(void *user, const struct rpc_result *result)
{
    struct sponsoring *s = user;
    size_t len;
    const struct sponsor_step *step = &current_steps(s, &len)[s->step];
    struct am_err err;
    s->call = NULL;
    if (result->code && step->service != SPONSOR_ITSELF) {
        bundler_error_of_rpc(result, &err);
        step_failed(s, bundler_error_blames_paymaster(result), &err, result->retry_after_s);
    } else if (result->code) {
        const bool reverts =
            sponsor_error_of_rpc(result, &err) == AM_EREVERT && !bundler_error_blames_paymaster(result);
        step_failed(s, !reverts, &err, result->retry_after_s);
    } else if (take_answer(s, step, result->value, &err)) {
        step_failed(s, step->service == SPONSOR_ITSELF, &err, 0);
    } else {
        if (step->service == SPONSOR_ITSELF)
            s->final = sponsor_is_final(result->value);
        s->step++;
        ask_step(s);
    }
}

static struct rpc *service_of(const struct sponsoring *s, const struct sponsor_step *step)
{
    switch (step->service) {
    case SPONSOR_BUNDLER: return s->services->bundler;
    case SPONSOR_NODE: return s->services->node;
    default: return s->current->rpc;
    }
}

static void ask_step(struct sponsoring *s)
{
    size_t len;
    const struct sponsor_step *steps = current_steps(s, &len);
    while (s->step < len &&
           ((s->renewing && !steps[s->step].after_raise) || (s->final && steps[s->step].not_if_final)))
        s->step++;
    if (s->step == len) {
        sponsor_note_success(s->current);
        s->paid_by = s->current;
        s->complete = true;
        s->done(s->user, NULL, 0);
        return;
    }
    const struct sponsor_step *step = &steps[s->step];
    const struct sponsor_request request = {
        .sponsor = s->current,
        .op = s->op,
        .entry_point = &s->services->entry_point,
        .chain_id = s->services->chain_id,
        .fees_fixed = s->fees_fixed,
    };
    s->step_fn(s->user, s->current, step->method);
    json_object *params = step->params(&request);
    if (params)
        s->call = rpc_call(service_of(s, step), step->method, params, on_answer, s);
    if (!s->call) {
        am_fail(&s->failure, -ENOMEM, "no memory for another request, or too many under way");
        s->retry_after_s = 0;
        fail(s);
    }
}

void sponsoring_begin(struct sponsoring *s, bool fees_fixed)
{
    s->fees_fixed = fees_fixed;
    begin_round(s, NULL);
}

/* What its answer was before may be final for good, but not for other fees. */
void sponsoring_renew(struct sponsoring *s)
{
    s->fees_fixed = true;
    if (!s->complete) {
        begin_round(s, NULL);
        return;
    }
    s->failure = (struct am_err){0};
    s->renewing = true;
    s->step = 0;
    ask_step(s);
}

const struct sponsor *sponsoring_sponsor(const struct sponsoring *s)
{
    return s->paid_by;
}

struct sponsoring *sponsoring_new(const struct operation_services *services, struct userop *op,
                                  sponsoring_step_fn step, sponsoring_done_fn done, void *user)
{
    struct sponsoring *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct sponsoring){.services = services, .op = op, .step_fn = step, .done = done, .user = user};
    s->call_hash = keccak256(op->call_data, op->call_data_len);
    return s;
}

void sponsoring_free(struct sponsoring *s)
{
    if (!s)
        return;
    rpc_call_cancel(s->call);
    free(s);
}
