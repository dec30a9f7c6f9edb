#include "evm/sponsor.h"

#include <json-c/json.h>

#include "evm/field.h"

/* JSON-RPC's own code for trouble inside the server, and the usual one for rate limits: neither is a
 * decision. */
#define RPC_INTERNAL_ERROR (-32603)
#define RPC_LIMIT_EXCEEDED (-32005)

static json_object *context_of(const struct sponsor *sponsor)
{
    return sponsor->context_json ? json_tokener_parse(sponsor->context_json) : json_object_new_object();
}

static json_object *bundler_params(const struct sponsor_request *request)
{
    json_object *params = json_object_new_array();
    if (field_append(params, userop_to_json(request->op)) &&
        field_append(params, field_of_address(request->entry_point)))
        return params;
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

static int take_stub(struct userop *op, json_object *answer, bool *final, struct am_err *err)
{
    json_object *is_final;
    *final = json_object_object_get_ex(answer, "isFinal", &is_final) && json_object_get_boolean(is_final);
    return userop_take_paymaster(op, answer, err);
}

static int take_estimate(struct userop *op, json_object *answer, bool *final, struct am_err *err)
{
    (void) final;
    return userop_take_gas(op, answer, err);
}

static int take_paymaster(struct userop *op, json_object *answer, bool *final, struct am_err *err)
{
    (void) final;
    return userop_take_paymaster(op, answer, err);
}

static const struct sponsor_step erc7677_steps[] = {
    {.method = "pm_getPaymasterStubData", .params = paymaster_params, .take = take_stub},
    {.method = "eth_estimateUserOperationGas",
     .at_bundler = true,
     .params = bundler_params,
     .take = take_estimate},
    {.method = "pm_getPaymasterData",
     .after_raise = true,
     .not_if_final = true,
     .params = paymaster_params,
     .take = take_paymaster},
};

static const struct {
    const struct sponsor_step *steps;
    size_t len;
} flows[] = {
    [SPONSOR_ERC7677] = {erc7677_steps, sizeof(erc7677_steps) / sizeof(erc7677_steps[0])},
};

const struct sponsor_step *sponsor_steps(enum sponsor_kind kind, size_t *len)
{
    *len = flows[kind].len;
    return flows[kind].steps;
}

int sponsor_error_of_rpc(const struct rpc_result *result, struct am_err *err)
{
    json_object *final;
    const bool temporary = result->rpc_code == RPC_INTERNAL_ERROR || result->rpc_code == RPC_LIMIT_EXCEEDED ||
                           (json_object_object_get_ex(result->error_data, "final", &final) &&
                            json_object_is_type(final, json_type_boolean) && !json_object_get_boolean(final));
    const bool denied = result->code == AM_EREMOTE && !temporary;
    return am_fail(err, denied ? AM_EDENIED : result->code, "%s", result->error);
}
