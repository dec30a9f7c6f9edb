#include "test/unit/evm/operation_kit.h"

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evm/field.h"
#include "evm/userop.h"
#include "test/unit/vectors.h"

/* What the EntryPoint would do: hash the operation anew and ask who signed it. */
static void observe_send(struct operation_kit *f, json_object *json)
{
    struct userop op = {.sender = f->sender};
    struct secp_signature signature;
    struct address signer;
    uint8_t *call_data;
    cr_assert(
        field_text_bytes(field_text(json, "callData"), USEROP_CALL_DATA_MAX, &call_data, &op.call_data_len));
    op.call_data = call_data;
    cr_assert(field_quantity(json, "nonce", &op.nonce));
    cr_assert(field_quantity(json, "maxFeePerGas", &op.max_fee_per_gas));
    cr_assert(field_quantity(json, "maxPriorityFeePerGas", &op.max_priority_fee_per_gas));
    cr_assert_eq(userop_take_gas(&op, json, NULL), 0);
    cr_assert_eq(userop_take_paymaster(&op, json, NULL), 0);
    f->hash = userop_hash(&op, &f->services.entry_point, f->services.chain_id);
    const struct bytes32 digest = secp_personal_digest(&f->hash);
    cr_assert(hex_decode_exact(field_text(json, "signature"), signature.b, sizeof(signature.b)));
    cr_assert_eq(secp_recover_address(&digest, &signature, &signer), 0);
    cr_assert(address_equal(&signer, &f->owner), "the owner signed what was sent");
    snprintf(f->sent_paymaster_data, sizeof(f->sent_paymaster_data), "%s", field_text(json, "paymasterData"));
    cr_assert(uint256_to_u64(&op.max_fee_per_gas, &f->sent_fees[f->sent]));
    f->sent_hashes[f->sent++] = f->hash;
    f->sent_nonce = op.nonce;
    cr_assert(uint256_to_u64(&op.call_gas_limit, &f->sent_call_gas));
    free(call_data);
}

/* ERC-7677: [userOp, entryPoint, chainId, context]; what is not known yet is left out. */
static void observe_stub(struct operation_kit *f, json_object *params)
{
    json_object *op = json_object_array_get_idx(params, 0);
    cr_assert_eq(json_object_array_length(params), 4);
    cr_assert_null(field_text(op, "callGasLimit"));
    cr_assert_null(field_text(op, "paymaster"));
    cr_assert_str_eq(field_text(op, "nonce"), "0x7");
    cr_assert_eq(strlen(field_text(op, "signature")), 2 + 2 * SECP_SIGNATURE_SIZE);
    cr_assert_str_eq(json_object_get_string(json_object_array_get_idx(params, 2)), "0x7a69");
    json_object *context = json_object_array_get_idx(params, 3);
    if (f->asked_sponsors++ == 0)
        cr_assert_eq(json_object_object_length(context), 1);
}

/* [{from, to, data}, block] */
static void observe_estimate(const struct operation_kit *f, json_object *params)
{
    json_object *call = json_object_array_get_idx(params, 0);
    struct address from, to;
    cr_assert(field_address(call, "from", &from) && address_equal(&from, &f->services.entry_point));
    cr_assert(field_address(call, "to", &to) && address_equal(&to, &f->sender));
    cr_assert_str_eq(field_text(call, "data"), "0xb61d27f6010203");
    cr_assert_str_eq(json_object_get_string(json_object_array_get_idx(params, 1)), "latest");
}

/* What goes to a service that finds gas and paymaster itself. */
static void assert_bare(json_object *op)
{
    cr_assert_str_eq(field_text(op, "nonce"), "0x7");
    cr_assert(field_text(op, "callData"));
    cr_assert_null(field_text(op, "callGasLimit"));
    cr_assert_null(field_text(op, "paymaster"));
}

static void observe_alchemy(struct operation_kit *f, json_object *question)
{
    json_object *overrides = json_object_object_get(question, "overrides");
    assert_bare(json_object_object_get(question, "userOperation"));
    cr_assert_null(field_text(json_object_object_get(question, "userOperation"), "signature"));
    cr_assert_str_eq(field_text(question, "policyId"), "policy-1");
    cr_assert_str_eq(field_text(question, "webhookData"), "token");
    cr_assert_eq(strlen(field_text(question, "dummySignature")), 2 + 2 * SECP_SIGNATURE_SIZE);
    cr_assert(field_text(question, "entryPoint"));
    cr_assert_eq(overrides != NULL, f->sent + f->pending.hashes_len > 0, "fees are fixed for replacements");
    if (overrides)
        cr_assert(field_quantity(overrides, "maxFeePerGas", &f->fixed_fee));
}

static void observe_pimlico(json_object *params)
{
    cr_assert_eq(json_object_array_length(params), 3);
    assert_bare(json_object_array_get_idx(params, 0));
    cr_assert_eq(strlen(field_text(json_object_array_get_idx(params, 0), "signature")),
                 2 + 2 * SECP_SIGNATURE_SIZE);
    json_object *context = json_object_array_get_idx(params, 2);
    cr_assert_str_eq(field_text(context, "sponsorshipPolicyId"), "sp_2");
}

static void observe(void *user, const char *method, json_object *params)
{
    struct operation_kit *f = user;
    if (strcmp(method, "alchemy_requestGasAndPaymasterAndData") == 0)
        observe_alchemy(f, json_object_array_get_idx(params, 0));
    if (strcmp(method, "pm_sponsorUserOperation") == 0)
        observe_pimlico(params);
    if (strcmp(method, "eth_sendUserOperation") == 0)
        observe_send(f, json_object_array_get_idx(params, 0));
    if (strcmp(method, "pm_getPaymasterStubData") == 0)
        observe_stub(f, params);
    if (strcmp(method, "eth_estimateGas") == 0)
        observe_estimate(f, params);
    if (++f->requests == f->cancel_at) {
        operation_cancel(f->operation);
        event_base_loopbreak(f->base);
    }
}

static void on_progress(void *user, enum operation_state state, const char *detail)
{
    struct operation_kit *f = user;
    const size_t len = strlen(f->states);
    cr_assert(detail);
    snprintf(f->states + len, sizeof(f->states) - len, "%s;", operation_state_name(state));
}

static void on_done(void *user, const struct operation_result *result)
{
    struct operation_kit *f = user;
    f->results++;
    f->result = *result;
    snprintf(f->error, sizeof(f->error), "%s", result->error ? result->error : "");
    event_base_loopbreak(f->base);
}

static void on_sending(void *user, const struct operation_pending *pending)
{
    struct operation_kit *f = user;
    f->kept = *pending;
    cr_assert_gt(pending->hashes_len, 0);
    cr_assert_not(bytes32_equal(&pending->hashes[pending->hashes_len - 1], &f->hash),
                  "told before it is sent");
}

const struct operation_callbacks kit_callbacks = {
    .progress = on_progress, .sending = on_sending, .done = on_done};

static void script(struct operation_kit *f)
{
    static const struct fake_rpc scripts[SERVICES] = {
        [NODE] =
            {.methods =
                 {{.name = "eth_call",
                   .answers = {"\"result\":"
                               "\"0x0000000000000000000000000000000000000000000000000000000000000007\""}},
                  {.name = "eth_getBlockByNumber",
                   .answers = {"\"result\":{\"number\":\"0x10\",\"timestamp\":\"0x60\",\"hash\":"
                               "\"0x0000000000000000000000000000000000000000000000000000000000000001\","
                               "\"baseFeePerGas\":\"0x3e8\"}"}},
                  {.name = "eth_maxPriorityFeePerGas", .answers = {"\"result\":\"0x64\""}},
                  {.name = "eth_estimateGas", .answers = {"\"result\":\"0xc350\""}}}},
        [BUNDLER] = {.methods =
                         {{.name = "eth_estimateUserOperationGas",
                           .answers = {"\"result\":{\"callGasLimit\":\"0x186a0\",\"verificationGasLimit\":"
                                       "\"0x30d40\",\"preVerificationGas\":\"0xc350\"}"}},
                          {.name = "eth_sendUserOperation", .answers = {SENT}},
                          {.name = "eth_getUserOperationReceipt", .answers = {NO_RECEIPT, RECEIPT}},
                          {.name = "alchemy_requestGasAndPaymasterAndData",
                           .answers = {"\"result\":{" EVERYTHING ",\"maxFeePerGas\":\"0xbb8\","
                                       "\"maxPriorityFeePerGas\":\"0xc8\"}"}},
                          {.name = "pimlico_getUserOperationGasPrice",
                           .answers = {"\"result\":{\"slow\":{},\"fast\":{\"maxFeePerGas\":\"0x1\","
                                       "\"maxPriorityFeePerGas\":\"0x1\"}}"}},
                          {.name = "pm_sponsorUserOperation", .answers = {"\"result\":{" EVERYTHING "}"}}}},
        [SPONSOR_A] = {.methods = {{.name = "pm_getPaymasterStubData", .answers = {STUB(PAYMASTER_A)}},
                                   {.name = "pm_getPaymasterData",
                                    .answers = {"\"result\":{" PAYMASTER_A ",\"paymasterData\":\"0xf1\"}",
                                                "\"result\":{" PAYMASTER_A ",\"paymasterData\":\"0xf2\"}"}}}},
        [SPONSOR_B] = {.methods = {{.name = "pm_getPaymasterStubData", .answers = {STUB(PAYMASTER_B)}},
                                   {.name = "pm_getPaymasterData",
                                    .answers = {"\"result\":{" PAYMASTER_B ",\"paymasterData\":\"0xfb\"}"}}}},
    };
    memcpy(f->fakes, scripts, sizeof(scripts));
}

void kit_setup(struct operation_kit *f)
{
    json_object *registration = vectors_section("registration");
    *f = (struct operation_kit){0};
    cr_assert_eq(secret_init(), 0);
    f->base = event_base_new();
    f->http = http_client_new(f->base);
    script(f);
    for (int i = 0; i < SERVICES; i++) {
        f->fakes[i].observe = observe;
        f->fakes[i].user = f;
        f->fakes[i].hash = &f->hash;
        fake_rpc_start(&f->fakes[i], f->base, f->http);
    }
    f->sponsors[0] = (struct sponsor){.rpc = f->fakes[SPONSOR_A].rpc, .context_json = "{\"token\":\"t\"}"};
    f->sponsors[1] = (struct sponsor){.rpc = f->fakes[SPONSOR_B].rpc};
    f->services = (struct operation_services){
        .base = f->base,
        .node = f->fakes[NODE].rpc,
        .bundler = f->fakes[BUNDLER].rpc,
        .sponsors = f->sponsors,
        .sponsors_len = 2,
        .entry_point = vector_address(vectors_section("userOp"), "entryPoint"),
        .chain_id = 31337,
        .poll_ms = 10,
        .inclusion_ms = 60,
    };
    f->sender = vector_address(registration, "memberContract");
    f->owner = vector_address(registration, "owner");
    f->key = secret_new();
    vector_bytes(registration, "derivedPrivateKey", f->key->b, sizeof(f->key->b));
}

void kit_teardown(struct operation_kit *f)
{
    for (int i = 0; i < SERVICES; i++)
        fake_rpc_stop(&f->fakes[i]);
    http_client_free(f->http);
    event_base_free(f->base);
    secret_free(f->key);
}

void kit_run(struct operation_kit *f)
{
    f->hash = (struct bytes32){0};
    static const uint8_t call_data[] = {0xb6, 0x1d, 0x27, 0xf6, 1, 2, 3};
    const struct operation_request request = {.sender = f->sender,
                                              .call_data = call_data,
                                              .call_data_len = sizeof(call_data),
                                              .owner = f->key,
                                              .pending = &f->pending};
    f->operation = operation_start(&f->services, &request, &kit_callbacks, f);
    cr_assert(f->operation);
    cr_assert_eq(f->results, 0, "no result from within start");
    event_base_dispatch(f->base);
}

void kit_run_to_result(struct operation_kit *f, int code)
{
    kit_run(f);
    cr_assert_eq(f->results, 1);
    cr_assert_eq(f->result.code, code, "%d: %s", f->result.code, f->error);
}

void kit_receipt_after(struct operation_kit *f, size_t looks)
{
    struct fake_method *receipt = fake_rpc_method(&f->fakes[BUNDLER], "eth_getUserOperationReceipt");
    for (size_t i = 0; i < looks; i++)
        receipt->answers[i] = NO_RECEIPT;
    receipt->answers[looks] = RECEIPT;
}

unsigned kit_calls(struct operation_kit *f, int service, const char *method)
{
    return fake_rpc_method(&f->fakes[service], method)->calls;
}
