#include "evm/sponsor.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#include "evm/bundler_error.h"
#include "evm/field.h"

/* JSON-RPC's own code for trouble inside the server, and the usual one for rate limits: neither is a
 * decision. */
#define RPC_INTERNAL_ERROR (-32603)
#define RPC_LIMIT_EXCEEDED (-32005)

static const struct health_backoff failure_backoff = {.floor_ms = 1000, .ceiling_ms = 30000};
static const struct health_backoff denial_backoff = {.floor_ms = 30000, .ceiling_ms = 300000};

/* ---- Behaviour ---- */

void sponsor_note_success(struct sponsor *sponsor)
{
    health_succeed(&sponsor->health);
}

static struct sponsor_denial *find_denial(struct sponsor *sponsor, const struct bytes32 *call)
{
    for (size_t i = 0; i < SPONSOR_DENIALS_MAX; i++) {
        if (bytes32_equal(&sponsor->denials[i].call, call))
            return &sponsor->denials[i];
    }
    return NULL;
}

/* A free slot, or the one whose call may be asked about soonest. */
static struct sponsor_denial *take_denial(struct sponsor *sponsor, const struct bytes32 *call)
{
    struct sponsor_denial *found = find_denial(sponsor, call), *oldest = &sponsor->denials[0];
    if (found)
        return found;
    for (size_t i = 1; i < SPONSOR_DENIALS_MAX; i++) {
        if (sponsor->denials[i].health.doubtful_until_ms < oldest->health.doubtful_until_ms)
            oldest = &sponsor->denials[i];
    }
    *oldest = (struct sponsor_denial){.call = *call};
    return oldest;
}

void sponsor_note_failure(struct sponsor *sponsor, const struct bytes32 *call, const struct am_err *err,
                          uint32_t retry_after_s, uint64_t now_ms, uint32_t chance)
{
    if (err->code == AM_EDENIED) {
        struct sponsor_denial *denial = take_denial(sponsor, call);
        health_fail(&denial->health, &denial_backoff, now_ms, retry_after_s, chance);
        snprintf(denial->text, sizeof(denial->text), "%s", err->text);
    } else {
        health_fail(&sponsor->health, &failure_backoff, now_ms, retry_after_s, chance);
        snprintf(sponsor->failure, sizeof(sponsor->failure), "%s", err->text);
    }
}

/* Whether the sponsor denied this call lately, and until when that holds. */
static const struct sponsor_denial *standing_denial(const struct sponsor *sponsor, const struct bytes32 *call,
                                                    uint64_t now_ms)
{
    for (size_t i = 0; i < SPONSOR_DENIALS_MAX; i++) {
        const struct sponsor_denial *denial = &sponsor->denials[i];
        if (bytes32_equal(&denial->call, call) && health_rank(&denial->health, now_ms) != HEALTH_GOOD)
            return denial;
    }
    return NULL;
}

/* When the sponsor may be asked about the call, 0 for now; otherwise `err` says why not. */
static uint64_t askable_at_ms(const struct sponsor *sponsor, const struct bytes32 *call, uint64_t now_ms,
                              struct am_err *err)
{
    const struct sponsor_denial *denial = standing_denial(sponsor, call, now_ms);
    if (denial) {
        am_fail(err, AM_EDENIED, "%s", denial->text);
        return denial->health.closed_until_ms > denial->health.doubtful_until_ms
                   ? denial->health.closed_until_ms
                   : denial->health.doubtful_until_ms;
    }
    if (health_rank(&sponsor->health, now_ms) != HEALTH_CLOSED)
        return 0;
    am_fail(err, -EBUSY, "%s", sponsor->failure);
    return sponsor->health.closed_until_ms;
}

size_t sponsor_order(const struct sponsor *sponsors, size_t len, const struct bytes32 *call, uint64_t now_ms,
                     size_t order[SPONSORS_MAX], uint32_t *wait_s, struct am_err *err)
{
    enum health_rank ranks[SPONSORS_MAX] = {0};
    uint64_t soonest_ms = UINT64_MAX;
    size_t askable = 0;
    for (size_t i = 0; i < len; i++) {
        const uint64_t at_ms =
            askable_at_ms(&sponsors[i], call, now_ms, soonest_ms == UINT64_MAX ? err : NULL);
        ranks[i] = at_ms ? HEALTH_CLOSED : health_rank(&sponsors[i].health, now_ms);
        askable += at_ms == 0;
        if (at_ms && at_ms < soonest_ms)
            soonest_ms = at_ms;
    }
    health_order(ranks, len, order);
    if (askable && err)
        *err = (struct am_err){0};
    *wait_s = askable ? 0 : (uint32_t)((soonest_ms - now_ms + 999) / 1000);
    return askable;
}

/* ---- Questions and answers ---- */

static json_object *context_of(const struct sponsor *sponsor)
{
    return sponsor->context_json ? json_tokener_parse(sponsor->context_json) : json_object_new_object();
}

static json_object *params_of(json_object *op, const struct sponsor_request *request)
{
    json_object *params = json_object_new_array();
    const bool begun = field_append(params, op);
    if (begun && field_append(params, field_of_address(request->entry_point)))
        return params;
    json_object_put(params);
    return NULL;
}

static json_object *bundler_params(const struct sponsor_request *request)
{
    return params_of(userop_to_json(request->op), request);
}

/* The call as the EntryPoint makes it, on its own: [{from, to, data}, block] */
static json_object *call_params(const struct sponsor_request *request)
{
    const struct userop *op = request->op;
    json_object *call = json_object_new_object(), *params = json_object_new_array();
    const bool complete = field_add(call, "from", field_of_address(request->entry_point)) &&
                          field_add(call, "to", field_of_address(&op->sender)) &&
                          field_add(call, "data", field_of_bytes(op->call_data, op->call_data_len));
    if (complete && field_append(params, call) && field_append(params, json_object_new_string("latest")))
        return params;
    if (!complete)
        json_object_put(call);
    json_object_put(params);
    return NULL;
}

/* ERC-7677: [userOp, entryPoint, chainId, context] */
static json_object *paymaster_params(const struct sponsor_request *request)
{
    const struct uint256 chain_id = uint256_of_u64(request->chain_id);
    json_object *params = bundler_params(request);
    if (field_append(params, field_of_quantity(&chain_id)) &&
        field_append(params, context_of(request->sponsor)))
        return params;
    json_object_put(params);
    return NULL;
}

/* The operation as services want it that find gas and paymaster themselves. */
static json_object *bare_operation(const struct userop *op)
{
    struct userop bare = *op;
    bare.gas_known = false;
    bare.has_paymaster = false;
    userop_set_placeholder_signature(&bare);
    return userop_to_json(&bare);
}

static json_object *no_params(const struct sponsor_request *request)
{
    (void)request;
    return json_object_new_array();
}

/* pm_sponsorUserOperation: [userOp, entryPoint, {sponsorshipPolicyId, ...}] */
static json_object *pimlico_params(const struct sponsor_request *request)
{
    json_object *context = context_of(request->sponsor);
    const bool named =
        field_add(context, "sponsorshipPolicyId", json_object_new_string(request->sponsor->policy));
    json_object *params = params_of(bare_operation(request->op), request);
    if (named && field_append(params, context))
        return params;
    if (!named)
        json_object_put(context);
    json_object_put(params);
    return NULL;
}

/* Fees that must stay are stated beside the operation; what the operator put there stays too. */
static bool fix_fees(json_object *question, const struct userop *op)
{
    json_object *overrides;
    if (!json_object_object_get_ex(question, "overrides", &overrides) ||
        !json_object_is_type(overrides, json_type_object)) {
        overrides = json_object_new_object();
        if (!field_add(question, "overrides", overrides))
            return false;
    }
    return field_add(overrides, "maxFeePerGas", field_of_quantity(&op->max_fee_per_gas)) &&
           field_add(overrides, "maxPriorityFeePerGas", field_of_quantity(&op->max_priority_fee_per_gas));
}

/* alchemy_requestGasAndPaymasterAndData: [{policyId, entryPoint, dummySignature, userOperation, overrides,
 * ...}] */
static json_object *alchemy_params(const struct sponsor_request *request)
{
    struct userop placeholder;
    userop_set_placeholder_signature(&placeholder);
    json_object *question = context_of(request->sponsor), *params = json_object_new_array();
    json_object *op = bare_operation(request->op);
    if (op)
        json_object_object_del(op, "signature");
    const bool complete =
        field_add(question, "userOperation", op) &&
        field_add(question, "policyId", json_object_new_string(request->sponsor->policy)) &&
        field_add(question, "entryPoint", field_of_address(request->entry_point)) &&
        field_add(question, "dummySignature",
                  field_of_bytes(placeholder.signature.b, sizeof(placeholder.signature.b))) &&
        (!request->fees_fixed || fix_fees(question, request->op));
    if (complete && field_append(params, question))
        return params;
    if (!complete)
        json_object_put(question);
    json_object_put(params);
    return NULL;
}

/* {slow, standard, fast}, each with both fees; an operation below `slow` is refused. */
static int take_prices(struct userop *op, json_object *answer, struct am_err *err)
{
    json_object *fast = NULL;
    json_object_object_get_ex(answer, "fast", &fast);
    return userop_raise_fees_to(op, fast, err);
}

/* Gas and paymaster in one answer, signed together; fees when the service chose them. */
static int take_everything(struct userop *op, json_object *answer, struct am_err *err)
{
    int code = userop_take_paymaster(op, answer, err);
    if (!code)
        code = userop_take_gas(op, answer, err);
    return code ? code : userop_take_fees(op, answer, err);
}

static const struct sponsor_step erc7677_steps[] = {
    {.method = "pm_getPaymasterStubData", .params = paymaster_params, .take = userop_take_paymaster},
    {.method = "eth_estimateUserOperationGas",
     .service = SPONSOR_BUNDLER,
     .params = bundler_params,
     .take = userop_take_gas},
    /* A bundler may estimate as if others' operations came right before, which warm up what this one uses; it
     * is paid for alone. */
    {.method = "eth_estimateGas",
     .service = SPONSOR_NODE,
     .params = call_params,
     .take = userop_raise_call_gas},
    {.method = "pm_getPaymasterData",
     .after_raise = true,
     .not_if_final = true,
     .params = paymaster_params,
     .take = userop_take_paymaster},
};

static const struct sponsor_step alchemy_steps[] = {
    {.method = "alchemy_requestGasAndPaymasterAndData",
     .after_raise = true,
     .params = alchemy_params,
     .take = take_everything},
};

static const struct sponsor_step pimlico_steps[] = {
    {.method = "pimlico_getUserOperationGasPrice", .params = no_params, .take = take_prices},
    {.method = "pm_sponsorUserOperation",
     .after_raise = true,
     .params = pimlico_params,
     .take = take_everything},
};

#define FLOW(steps)                                                                                          \
    {                                                                                                        \
        (steps), sizeof(steps) / sizeof((steps)[0])                                                          \
    }
static const struct {
    const struct sponsor_step *steps;
    size_t len;
} flows[] = {
    [SPONSOR_ERC7677] = FLOW(erc7677_steps),
    [SPONSOR_ALCHEMY] = FLOW(alchemy_steps),
    [SPONSOR_PIMLICO] = FLOW(pimlico_steps),
};

const struct sponsor_step *sponsor_steps(enum sponsor_kind kind, size_t *len)
{
    *len = flows[kind].len;
    return flows[kind].steps;
}

bool sponsor_is_final(json_object *answer)
{
    json_object *is_final;
    return json_object_object_get_ex(answer, "isFinal", &is_final) && json_object_get_boolean(is_final);
}

int sponsor_error_of_rpc(const struct rpc_result *result, struct am_err *err)
{
    json_object *final;
    struct am_err revert;
    const bool temporary = result->rpc_code == RPC_INTERNAL_ERROR || result->rpc_code == RPC_LIMIT_EXCEEDED ||
                           (json_object_object_get_ex(result->error_data, "final", &final) &&
                            json_object_is_type(final, json_type_boolean) && !json_object_get_boolean(final));
    if (bundler_error_of_rpc(result, &revert) == AM_EREVERT)
        return am_fail(err, AM_EREVERT, "%s", revert.text);
    const bool denied = result->code == AM_EREMOTE && !temporary;
    return am_fail(err, denied ? AM_EDENIED : result->code, "%s", result->error);
}
