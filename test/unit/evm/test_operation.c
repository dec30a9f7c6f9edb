#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evm/field.h"
#include "evm/operation.h"
#include "test/unit/evm/fake_rpc.h"
#include "test/unit/vectors.h"

#define PAYMASTER_A "\"paymaster\":\"0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""
#define PAYMASTER_B "\"paymaster\":\"0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\""
#define STUB(paymaster)                                                                                      \
    "\"result\":{" paymaster ",\"paymasterData\":\"0x5b\",\"paymasterVerificationGasLimit\":\"0x7530\","     \
    "\"paymasterPostOpGasLimit\":\"0x1\"}"
#define EVERYTHING                                                                                           \
    PAYMASTER_A ",\"paymasterData\":\"0xec\",\"paymasterVerificationGasLimit\":\"0x7530\","                  \
                "\"paymasterPostOpGasLimit\":\"0x1\",\"callGasLimit\":\"0x186a0\","                          \
                "\"verificationGasLimit\":\"0x30d40\",\"preVerificationGas\":\"0xc350\""
#define DENIED "\"error\":{\"code\":-32001,\"message\":\"sponsorship denied: not today\"}"
#define RECEIPT                                                                                              \
    "\"result\":{\"userOpHash\":\"$HASH\",\"success\":true,\"actualGasCost\":\"0x99\",\"logs\":[],"          \
    "\"receipt\":"                                                                                           \
    "{\"transactionHash\":\"0x7700000000000000000000000000000000000000000000000000000000000077\"}}"
#define NO_RECEIPT "\"result\":null"
#define SENT "\"result\":\"$HASH\""
#define NOT_OUR_MEMBER "\"error\":{\"code\":-32521,\"message\":\"reverted with reason: 0x3d30ea79\"}"

enum { NODE, BUNDLER, SPONSOR_A, SPONSOR_B, SERVICES };

struct fixture {
    struct event_base *base;
    struct http_client *http;
    struct fake_rpc fakes[SERVICES];
    struct sponsor sponsors[2];
    struct operation_services services;
    struct address sender, owner;
    struct secret *key;
    struct operation *operation;
    unsigned requests, cancel_at; /* 0: never */

    struct bytes32 hash; /* of the operation sent last */
    struct bytes32 sent_hashes[16];
    uint64_t sent_fees[16];
    unsigned sent;
    struct uint256 sent_nonce;
    char sent_paymaster_data[64];
    unsigned asked_sponsors;
    struct uint256 fixed_fee; /* that Alchemy was told last */

    struct operation_pending pending; /* to go on with */
    struct operation_pending kept;    /* as told before the last send */
    unsigned results;
    struct operation_result result;
    char error[AM_ERR_TEXT_MAX];
    char states[512];
};

/* What the EntryPoint would do: hash the operation anew and ask who signed it. */
static void observe_send(struct fixture *f, json_object *json)
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
    free(call_data);
}

/* ERC-7677: [userOp, entryPoint, chainId, context]; what is not known yet is left out. */
static void observe_stub(struct fixture *f, json_object *params)
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

/* What goes to a service that finds gas and paymaster itself. */
static void assert_bare(json_object *op)
{
    cr_assert_str_eq(field_text(op, "nonce"), "0x7");
    cr_assert(field_text(op, "callData"));
    cr_assert_null(field_text(op, "callGasLimit"));
    cr_assert_null(field_text(op, "paymaster"));
}

static void observe_alchemy(struct fixture *f, json_object *question)
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
    struct fixture *f = user;
    if (strcmp(method, "alchemy_requestGasAndPaymasterAndData") == 0)
        observe_alchemy(f, json_object_array_get_idx(params, 0));
    if (strcmp(method, "pm_sponsorUserOperation") == 0)
        observe_pimlico(params);
    if (strcmp(method, "eth_sendUserOperation") == 0)
        observe_send(f, json_object_array_get_idx(params, 0));
    if (strcmp(method, "pm_getPaymasterStubData") == 0)
        observe_stub(f, params);
    if (++f->requests == f->cancel_at) {
        operation_cancel(f->operation);
        event_base_loopbreak(f->base);
    }
}

static void on_progress(void *user, enum operation_state state, const char *detail)
{
    struct fixture *f = user;
    const size_t len = strlen(f->states);
    cr_assert(detail);
    snprintf(f->states + len, sizeof(f->states) - len, "%s;", operation_state_name(state));
}

static void on_done(void *user, const struct operation_result *result)
{
    struct fixture *f = user;
    f->results++;
    f->result = *result;
    snprintf(f->error, sizeof(f->error), "%s", result->error ? result->error : "");
    event_base_loopbreak(f->base);
}

static void on_sending(void *user, const struct operation_pending *pending)
{
    struct fixture *f = user;
    f->kept = *pending;
    cr_assert_gt(pending->hashes_len, 0);
    cr_assert_not(bytes32_equal(&pending->hashes[pending->hashes_len - 1], &f->hash),
                  "told before it is sent");
}

static const struct operation_callbacks callbacks = {
    .progress = on_progress, .sending = on_sending, .done = on_done};

static void script(struct fixture *f)
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
                  {.name = "eth_maxPriorityFeePerGas", .answers = {"\"result\":\"0x64\""}}}},
        [BUNDLER] = {.methods =
                         {{.name = "eth_estimateUserOperationGas",
                           .answers = {"\"result\":{\"callGasLimit\":\"0x186a0\",\"verificationGasLimit\":"
                                       "\"0x30d40\",\"preVerificationGas\":\"0xc350\"}"}},
                          {.name = "eth_sendUserOperation", .answers = {SENT}},
                          {.name = "eth_getUserOperationReceipt", .answers = {NO_RECEIPT, RECEIPT}},
                          {.name = "alchemy_requestGasAndPaymasterAndData",
                           .answers = {"\"result\":{" EVERYTHING ",\"maxFeePerGas\":\"0xbb8\","
                                       "\"maxPriorityFeePerGas\":\"0xc8\"}"}},
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

static void setup(struct fixture *f)
{
    json_object *registration = vectors_section("registration");
    *f = (struct fixture){0};
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

static void teardown(struct fixture *f)
{
    for (int i = 0; i < SERVICES; i++)
        fake_rpc_stop(&f->fakes[i]);
    http_client_free(f->http);
    event_base_free(f->base);
    secret_free(f->key);
}

static void run(struct fixture *f)
{
    f->hash = (struct bytes32){0};
    static const uint8_t call_data[] = {0xb6, 0x1d, 0x27, 0xf6, 1, 2, 3};
    const struct operation_request request = {.sender = f->sender,
                                              .call_data = call_data,
                                              .call_data_len = sizeof(call_data),
                                              .owner = f->key,
                                              .pending = &f->pending};
    f->operation = operation_start(&f->services, &request, &callbacks, f);
    cr_assert(f->operation);
    cr_assert_eq(f->results, 0, "no result from within start");
    event_base_dispatch(f->base);
}

static void run_to_result(struct fixture *f, int code)
{
    run(f);
    cr_assert_eq(f->results, 1);
    cr_assert_eq(f->result.code, code, "%d: %s", f->result.code, f->error);
}

static unsigned calls(struct fixture *f, int service, const char *method)
{
    return fake_rpc_method(&f->fakes[service], method)->calls;
}

Test(operation, the_whole_way)
{
    struct fixture f;
    setup(&f);
    run_to_result(&f, 0);
    cr_assert_str_eq(f.states, "nonce;base fee;tip;sponsoring;sponsoring;sponsoring;sending;waiting;");
    cr_assert_eq(f.sent, 1);
    cr_assert_eq(f.sent_fees[0], 2 * 1000 + 100);
    cr_assert_str_eq(f.sent_paymaster_data, "0xf1");
    cr_assert(bytes32_equal(&f.result.hash, &f.hash));
    cr_assert_eq(f.result.tx_hash.b[0], 0x77);
    cr_assert_eq(f.result.gas_cost.b[31], 0x99);
    cr_assert_eq(calls(&f, SPONSOR_B, "pm_getPaymasterStubData"), 0);
    teardown(&f);
}

Test(operation, a_nonce_that_can_not_be_read_is_an_error)
{
    const struct {
        const char *answer;
        int code;
        const char *text;
    } cases[] = {
        {FAKE_HTTP_ERROR, -EIO, "nonce: eth_call"},
        {FAKE_GARBAGE, AM_EFORMAT, "not JSON"},
        {"\"result\":\"0x\"", AM_EMISMATCH, "no such contract at 0x0000000071727de2"},
        {"\"result\":\"0x01\"", AM_EFORMAT, "getNonce"},
        {"\"result\":null", AM_EFORMAT, "eth_call"},
        {"\"error\":{\"code\":3,\"message\":\"execution reverted\"}", AM_EREVERT, "execution reverted"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        setup(&f);
        fake_rpc_answer(&f.fakes[NODE], "eth_call", cases[i].answer);
        run_to_result(&f, cases[i].code);
        cr_assert(strstr(f.error, cases[i].text), "%s", f.error);
        cr_assert_eq(calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 0);
        teardown(&f);
    }
}

Test(operation, fees_that_can_not_be_read_are_an_error)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[NODE], "eth_getBlockByNumber", "\"result\":null");
    run_to_result(&f, AM_EFORMAT);
    teardown(&f);
    setup(&f);
    fake_rpc_answer(&f.fakes[NODE], "eth_maxPriorityFeePerGas",
                    "\"result\":\"0xffffffffffffffffffffffffffffffff\"");
    run_to_result(&f, AM_EFORMAT);
    cr_assert(strstr(f.error, "128 bits"), "%s", f.error);
    teardown(&f);
}

Test(operation, a_denial_by_all_sponsors_is_final_and_has_the_reason)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData", DENIED);
    fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterStubData", DENIED);
    run_to_result(&f, AM_EDENIED);
    cr_assert(strstr(f.error, "sponsorship denied: not today"), "%s", f.error);
    cr_assert_eq(f.sent, 0);
    teardown(&f);
}

Test(operation, a_failure_that_may_pass_goes_before_a_denial)
{
    static const char temporary[] =
        "\"error\":{\"code\":-32001,\"message\":\"cap reached\",\"data\":{\"final\":false}}";
    for (int first = 0; first < 2; first++) {
        struct fixture f;
        setup(&f);
        fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData", first ? DENIED : temporary);
        fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterStubData", first ? temporary : DENIED);
        run_to_result(&f, AM_EREMOTE);
        cr_assert(strstr(f.error, "cap reached"), "%s", f.error);
        teardown(&f);
    }
}

Test(operation, the_next_sponsor_takes_over)
{
    const struct {
        const char *method, *answer;
    } cases[] = {
        {"pm_getPaymasterStubData", DENIED},
        {"pm_getPaymasterStubData", FAKE_HTTP_ERROR},
        {"pm_getPaymasterStubData", FAKE_GARBAGE},
        {"pm_getPaymasterStubData", "\"result\":{}"},
        {"pm_getPaymasterStubData", "\"result\":[1]"},
        {"pm_getPaymasterData", DENIED},
        {"pm_getPaymasterData", "\"result\":{" PAYMASTER_A ",\"paymasterData\":\"0x1\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        setup(&f);
        fake_rpc_answer(&f.fakes[SPONSOR_A], cases[i].method, cases[i].answer);
        run_to_result(&f, 0);
        cr_assert_str_eq(f.sent_paymaster_data, "0xfb", "case %zu", i);
        cr_assert_eq(f.sent, 1);
        teardown(&f);
    }
}

Test(operation, a_final_stub_is_not_asked_again)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData",
                    "\"result\":{" PAYMASTER_A ",\"paymasterData\":\"0xfa\",\"isFinal\":true}");
    run_to_result(&f, 0);
    cr_assert_str_eq(f.sent_paymaster_data, "0xfa");
    cr_assert_eq(calls(&f, SPONSOR_A, "pm_getPaymasterData"), 0);
    teardown(&f);
}

Test(operation, a_revert_in_the_estimate_names_the_contracts_error)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_estimateUserOperationGas", NOT_OUR_MEMBER);
    run_to_result(&f, AM_EREVERT);
    cr_assert(strstr(f.error, "NotOurMember: the member contract is neither"), "%s", f.error);
    cr_assert_eq(calls(&f, SPONSOR_B, "pm_getPaymasterStubData"), 0);
    cr_assert_eq(f.sent, 0);
    teardown(&f);
}

Test(operation, an_entry_point_code_comes_with_advice)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_estimateUserOperationGas",
                    "\"error\":{\"code\":-32500,\"message\":\"AA20 account not deployed\"}");
    run_to_result(&f, AM_EREVERT);
    cr_assert(strstr(f.error, "AA20 account not deployed: no contract at the sender's address"), "%s",
              f.error);
    teardown(&f);
}

Test(operation, a_paymasters_fault_in_the_estimate_asks_the_next_sponsor)
{
    struct fixture f;
    setup(&f);
    fake_rpc_method(&f.fakes[BUNDLER], "eth_estimateUserOperationGas")->answers[1] =
        fake_rpc_method(&f.fakes[BUNDLER], "eth_estimateUserOperationGas")->answers[0];
    fake_rpc_method(&f.fakes[BUNDLER], "eth_estimateUserOperationGas")->answers[0] =
        "\"error\":{\"code\":-32501,\"message\":\"AA31 paymaster deposit too low\"}";
    run_to_result(&f, 0);
    cr_assert_str_eq(f.sent_paymaster_data, "0xfb");
    teardown(&f);
}

Test(operation, a_malformed_estimate_is_an_error)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_estimateUserOperationGas",
                    "\"result\":{\"callGasLimit\":\"0x1\"}");
    run_to_result(&f, AM_EFORMAT);
    cr_assert(strstr(f.error, "eth_estimateUserOperationGas: verificationGasLimit"), "%s", f.error);
    teardown(&f);
}

Test(operation, a_refused_send_is_an_error)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_sendUserOperation",
                    "\"error\":{\"code\":-32602,\"message\":\"maxFeePerGas must be at least 1000\"}");
    run_to_result(&f, AM_EREMOTE);
    cr_assert(strstr(f.error, "maxFeePerGas must be at least 1000"), "%s", f.error);
    cr_assert_eq(calls(&f, BUNDLER, "eth_getUserOperationReceipt"), 0);
    teardown(&f);
}

Test(operation, a_bundler_that_computes_another_hash_is_not_trusted)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_sendUserOperation",
                    "\"result\":\"0x0000000000000000000000000000000000000000000000000000000000000001\"");
    run_to_result(&f, AM_EMISMATCH);
    teardown(&f);
}

Test(operation, a_lost_reply_is_followed_by_a_look_and_not_by_a_second_send)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_sendUserOperation", FAKE_GARBAGE);
    run_to_result(&f, 0);
    cr_assert_eq(f.sent, 1);
    teardown(&f);
}

Test(operation, a_lost_send_is_repeated_as_it_is_and_may_be_known)
{
    const char *const second[] = {SENT, "\"error\":{\"code\":-32602,\"message\":\"Already known\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        setup(&f);
        struct fake_method *send = fake_rpc_method(&f.fakes[BUNDLER], "eth_sendUserOperation");
        struct fake_method *receipt = fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt");
        send->answers[0] = FAKE_HTTP_ERROR;
        send->answers[1] = second[i];
        for (int n = 0; n < 7; n++)
            receipt->answers[n] = NO_RECEIPT;
        receipt->answers[7] = RECEIPT;
        f.services.inclusion_ms = 5000;
        run_to_result(&f, 0);
        cr_assert_eq(f.sent, 2);
        cr_assert(bytes32_equal(&f.sent_hashes[0], &f.sent_hashes[1]));
        teardown(&f);
    }
}

Test(operation, what_is_not_included_is_sent_again_with_higher_fees)
{
    struct fixture f;
    setup(&f);
    struct fake_method *receipt = fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt");
    for (int n = 0; n < 7; n++)
        receipt->answers[n] = NO_RECEIPT;
    receipt->answers[7] = RECEIPT;
    f.services.inclusion_ms = 60;
    run_to_result(&f, 0);
    cr_assert_geq(f.sent, 2);
    cr_assert_not(bytes32_equal(&f.sent_hashes[0], &f.sent_hashes[1]));
    cr_assert_geq(f.sent_fees[1], f.sent_fees[0] * 9 / 8);
    cr_assert_str_eq(f.sent_paymaster_data, "0xf2", "the sponsor signs the new fees");
    cr_assert_eq(calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 1);
    cr_assert_eq(calls(&f, NODE, "eth_call"), 1, "the nonce stays");
    teardown(&f);
}

Test(operation, the_first_of_two_sends_may_be_the_included_one)
{
    struct fixture f;
    setup(&f);
    f.services.inclusion_ms = 20;
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    f.fakes[BUNDLER].hash = &f.sent_hashes[0];
    fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt")->answers[1] = NO_RECEIPT;
    fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt")->answers[2] = NO_RECEIPT;
    fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt")->answers[3] = RECEIPT;
    fake_rpc_method(&f.fakes[BUNDLER], "eth_sendUserOperation")->answers[1] =
        "\"error\":{\"code\":-32602,\"message\":\"AA25 invalid account nonce\"}";
    run_to_result(&f, 0);
    cr_assert(bytes32_equal(&f.result.hash, &f.sent_hashes[0]));
    teardown(&f);
}

Test(operation, what_is_never_included_times_out_in_the_end)
{
    struct fixture f;
    setup(&f);
    f.services.inclusion_ms = 10;
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    run_to_result(&f, -ETIMEDOUT);
    cr_assert_eq(f.sent, OPERATION_SENDS_MAX);
    cr_assert(strstr(f.error, "sent 5 times"), "%s", f.error);
    teardown(&f);
}

Test(operation, a_sponsor_lost_on_the_way_does_not_lose_the_operation)
{
    struct fixture f;
    setup(&f);
    f.services.inclusion_ms = 10;
    f.services.sponsors_len = 1;
    fake_rpc_method(&f.fakes[SPONSOR_A], "pm_getPaymasterData")->answers[1] = FAKE_HTTP_ERROR;
    struct fake_method *receipt = fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt");
    for (int n = 0; n < 4; n++)
        receipt->answers[n] = NO_RECEIPT;
    receipt->answers[4] = RECEIPT;
    run_to_result(&f, 0);
    cr_assert_eq(f.sent, 1);
    teardown(&f);
}

/* UserOperationRevertReason with NotOurMember() inside. */
Test(operation, an_included_revert_is_a_revert_with_its_reason)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(
        &f.fakes[BUNDLER], "eth_getUserOperationReceipt",
        "\"result\":{\"userOpHash\":\"$HASH\",\"success\":false,\"actualGasCost\":\"0x99\",\"receipt\":"
        "{\"transactionHash\":\"0x7700000000000000000000000000000000000000000000000000000000000077\"},"
        "\"logs\":["
        "{\"topics\":[\"0x01\"],\"data\":\"0x\"},7,"
        "{\"topics\":[\"0x1c4fada7374c0a9ee8841fc38afe82932dc0f8e69012e927f061a8bae611a201\",\"$HASH\","
        "\"0x0000000000000000000000001111111111111111111111111111111111111111\"],\"data\":\"0x"
        "0000000000000000000000000000000000000000000000000000000000000007"
        "0000000000000000000000000000000000000000000000000000000000000040"
        "0000000000000000000000000000000000000000000000000000000000000004"
        "3d30ea7900000000000000000000000000000000000000000000000000000000\"}]}");
    run_to_result(&f, AM_EREVERT);
    cr_assert(strstr(f.error, "included, but the call reverted: NotOurMember"), "%s", f.error);
    cr_assert_eq(f.result.tx_hash.b[0], 0x77);
    teardown(&f);
}

Test(operation, a_receipt_that_makes_no_sense_is_not_believed)
{
    const char *const bad[] = {
        "\"result\":{}",
        "\"result\":7",
        "\"result\":{\"userOpHash\":\"0x0000000000000000000000000000000000000000000000000000000000000001\","
        "\"success\":"
        "true,\"actualGasCost\":\"0x1\",\"receipt\":{\"transactionHash\":"
        "\"0x0000000000000000000000000000000000000000000000000000000000000001\"}}",
        "\"result\":{\"userOpHash\":\"$HASH\",\"success\":\"true\"}",
        "\"result\":{\"userOpHash\":\"$HASH\",\"success\":true,\"receipt\":[]}",
        FAKE_GARBAGE,
        "\"error\":{\"code\":-32601,\"message\":\"no\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fixture f;
        setup(&f);
        struct fake_method *receipt = fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt");
        receipt->answers[0] = bad[i];
        receipt->answers[1] = RECEIPT;
        f.services.inclusion_ms = 5000;
        run_to_result(&f, 0);
        cr_assert_eq(receipt->calls, 2, "case %zu", i);
        teardown(&f);
    }
}

Test(operation, a_bad_owner_key_is_refused_before_anything_is_sent)
{
    struct fixture f;
    setup(&f);
    memset(f.key->b, 0, sizeof(f.key->b));
    run_to_result(&f, -EINVAL);
    cr_assert_eq(f.sent, 0);
    teardown(&f);
}

Test(operation, cancelling_in_any_state_calls_nobody)
{
    for (unsigned at = 1; at <= 8; at++) {
        const struct timeval moment = {0, 30000};
        struct fixture f;
        setup(&f);
        f.cancel_at = at;
        run(&f);
        event_base_loopexit(f.base, &moment);
        event_base_dispatch(f.base);
        cr_assert_eq(f.results, 0);
        cr_assert_eq(f.requests, at);
        teardown(&f);
    }
}

Test(operation, arguments_out_of_bounds_are_refused)
{
    static const uint8_t large[USEROP_CALL_DATA_MAX + 1];
    struct fixture f;
    setup(&f);
    struct operation_request request = {
        .sender = f.sender, .call_data = large, .call_data_len = sizeof(large), .owner = f.key};
    cr_assert_null(operation_start(&f.services, &request, &callbacks, &f));
    request.call_data_len = 4;
    f.services.sponsors_len = 0;
    cr_assert_null(operation_start(&f.services, &request, &callbacks, &f));
    f.services.sponsors_len = SPONSORS_MAX + 1;
    cr_assert_null(operation_start(&f.services, &request, &callbacks, &f));
    teardown(&f);
}

/* ---- Other kinds of sponsors ---- */

static void setup_alchemy(struct fixture *f)
{
    setup(f);
    f->sponsors[0] = (struct sponsor){.kind = SPONSOR_ALCHEMY,
                                      .rpc = f->fakes[BUNDLER].rpc,
                                      .policy = "policy-1",
                                      .context_json = "{\"webhookData\":\"token\"}",
                                      .name = "alchemy policy-1"};
}

static void setup_pimlico(struct fixture *f)
{
    setup(f);
    f->sponsors[0] = (struct sponsor){
        .kind = SPONSOR_PIMLICO, .rpc = f->fakes[BUNDLER].rpc, .policy = "sp_2", .name = "pimlico sp_2"};
}

Test(operation, alchemy_gives_gas_fees_and_paymaster_at_once)
{
    struct fixture f;
    setup_alchemy(&f);
    run_to_result(&f, 0);
    cr_assert_str_eq(f.states, "nonce;base fee;tip;sponsoring;sending;waiting;");
    cr_assert_str_eq(f.sent_paymaster_data, "0xec");
    cr_assert_eq(f.sent_fees[0], 0xbb8, "the fees are those that were signed");
    cr_assert_str_eq(f.result.sponsor, "alchemy policy-1");
    teardown(&f);
}

Test(operation, alchemy_is_told_the_fees_of_a_replacement)
{
    struct fixture f;
    setup_alchemy(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    fake_rpc_method(&f.fakes[BUNDLER], "alchemy_requestGasAndPaymasterAndData")->answers[1] =
        "\"result\":{" EVERYTHING ",\"maxFeePerGas\":\"0xfff\",\"maxPriorityFeePerGas\":\"0xfff\"}";
    f.services.sponsors_len = 1;
    f.services.inclusion_ms = 10;
    run_to_result(&f, -ETIMEDOUT);
    uint64_t fixed;
    cr_assert(uint256_to_u64(&f.fixed_fee, &fixed) && fixed > 0xfff, "%u sends", f.sent);
    cr_assert_geq(f.sent_fees[1], 0xbb8 * 9 / 8);
    cr_assert_geq(f.sent, 2);
    cr_assert_lt(f.sent, OPERATION_SENDS_MAX, "an answer below the fees it was told is not used");
    teardown(&f);
}

Test(operation, pimlico_gives_gas_and_paymaster_at_once)
{
    struct fixture f;
    setup_pimlico(&f);
    run_to_result(&f, 0);
    cr_assert_str_eq(f.states, "nonce;base fee;tip;sponsoring;sending;waiting;");
    cr_assert_str_eq(f.sent_paymaster_data, "0xec");
    cr_assert_eq(f.sent_fees[0], 2 * 1000 + 100, "the fees are ours");
    teardown(&f);
}

Test(operation, what_a_vendor_finds_to_revert_is_not_asked_of_another_sponsor)
{
    struct fixture f;
    setup_pimlico(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "pm_sponsorUserOperation", NOT_OUR_MEMBER);
    run_to_result(&f, AM_EREVERT);
    cr_assert(strstr(f.error, "NotOurMember"), "%s", f.error);
    cr_assert_eq(calls(&f, SPONSOR_B, "pm_getPaymasterStubData"), 0);
    teardown(&f);
}

/* ---- How sponsors behave is remembered ---- */

Test(operation, a_denied_call_is_not_asked_about_again_at_once)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData", DENIED);
    fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterStubData", DENIED);
    run_to_result(&f, AM_EDENIED);
    f.results = 0;
    run_to_result(&f, AM_EDENIED);
    cr_assert(strstr(f.error, "not today"), "%s", f.error);
    cr_assert_gt(f.result.retry_after_s, 10);
    cr_assert_eq(calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 1);
    cr_assert_eq(calls(&f, SPONSOR_B, "pm_getPaymasterStubData"), 1);
    teardown(&f);
}

Test(operation, after_a_round_that_failed_everything_is_asked_anew)
{
    struct fixture f;
    setup(&f);
    f.services.inclusion_ms = 10;
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterData", DENIED);
    struct fake_method *data = fake_rpc_method(&f.fakes[SPONSOR_A], "pm_getPaymasterData");
    data->answers[2] = data->answers[1];
    data->answers[1] = FAKE_HTTP_ERROR;
    run_to_result(&f, -ETIMEDOUT);
    cr_assert_geq(f.sent, 2);
    cr_assert_str_eq(f.sent_paymaster_data, "0xf2");
    cr_assert_eq(calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 2);
    cr_assert_eq(calls(&f, SPONSOR_B, "pm_getPaymasterData"), 1);
    teardown(&f);
}

Test(operation, a_sponsor_that_wants_to_be_left_alone_is_and_one_that_fails_comes_last)
{
    const char *const failures[] = {FAKE_BUSY, FAKE_HTTP_ERROR};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        setup(&f);
        fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData", failures[i]);
        run_to_result(&f, 0);
        f.results = 0;
        run_to_result(&f, 0);
        cr_assert_eq(calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 1, "case %zu", i);
        fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterStubData", FAKE_HTTP_ERROR);
        f.results = 0;
        run_to_result(&f, -EIO);
        cr_assert_eq(calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), i == 0 ? 1 : 2);
        teardown(&f);
    }
}

/* ---- Going on after a restart ---- */

static void setup_pending(struct fixture *f, uint64_t nonce, uint64_t fee)
{
    setup(f);
    f->pending = (struct operation_pending){
        .nonce = uint256_of_u64(nonce),
        .max_fee_per_gas = uint256_of_u64(fee),
        .max_priority_fee_per_gas = uint256_of_u64(200),
        .hashes_len = 2,
        .hashes = {{{1}}, {{2}}},
    };
}

Test(operation, gone_on_with_it_looks_for_every_receipt_first)
{
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        setup_pending(&f, 7, 3000);
        f.fakes[BUNDLER].hash = &f.pending.hashes[i];
        fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", RECEIPT);
        run_to_result(&f, 0);
        cr_assert(bytes32_equal(&f.result.hash, &f.pending.hashes[i]));
        cr_assert_eq(f.sent, 0);
        cr_assert_eq(calls(&f, NODE, "eth_call"), 0);
        cr_assert_eq(calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 0);
        cr_assert_eq(f.result.pending.hashes_len, 0);
        teardown(&f);
    }
}

Test(operation, gone_on_with_it_is_replaced_with_the_same_nonce_and_higher_fees)
{
    struct fixture f;
    setup_pending(&f, 7, 3000);
    struct fake_method *receipt = fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt");
    receipt->answers[1] = receipt->answers[2] = receipt->answers[3] = NO_RECEIPT;
    receipt->answers[4] = RECEIPT;
    run_to_result(&f, 0);
    cr_assert_eq(f.sent, 1);
    cr_assert_eq(f.sent_nonce.b[31], 7);
    cr_assert_eq(f.sent_fees[0], 3000 + 3000 / 8 + 1);
    cr_assert_eq(f.kept.hashes_len, 3);
    cr_assert(bytes32_equal(&f.kept.hashes[2], &f.sent_hashes[0]));
    teardown(&f);
}

Test(operation, a_used_nonce_ends_it_without_another_send)
{
    struct fixture f;
    setup_pending(&f, 6, 3000);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    run_to_result(&f, AM_EMISMATCH);
    cr_assert(strstr(f.error, "no receipt"), "%s", f.error);
    cr_assert_eq(f.sent, 0);
    cr_assert_eq(f.result.pending.hashes_len, 0, "nothing is left to go on with");
    teardown(&f);
}

Test(operation, a_nonce_that_went_back_starts_anew)
{
    struct fixture f;
    setup_pending(&f, 8, 3000);
    f.pending.hashes_len = 1;
    struct fake_method *receipt = fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt");
    receipt->answers[1] = NO_RECEIPT;
    receipt->answers[2] = RECEIPT;
    run(&f);
    cr_assert_eq(f.result.code, 0, "%s", f.error);
    cr_assert_eq(f.sent_nonce.b[31], 7);
    cr_assert_eq(f.sent_fees[0], 2 * 1000 + 100);
    teardown(&f);
}

Test(operation, what_is_never_included_is_handed_back_to_go_on_with)
{
    struct fixture f;
    setup(&f);
    f.services.inclusion_ms = 10;
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    run_to_result(&f, -ETIMEDOUT);
    cr_assert_eq(f.result.pending.hashes_len, OPERATION_SENDS_MAX);
    cr_assert_eq(f.result.pending.nonce.b[31], 7);
    f.pending = f.result.pending;
    f.results = 0;
    run_to_result(&f, -ETIMEDOUT);
    cr_assert_eq(f.result.pending.hashes_len, OPERATION_HASHES_MAX, "the newest are watched");
    teardown(&f);
}

Test(operation, outbidding_has_a_ceiling)
{
    const struct {
        uint64_t market, pending, expected;
    } cases[] = {{1000, 800, 1000}, {1000, 1000, 1126}, {1000, 3000, 3376}, {1000, 3600, 1000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct userop op = {.max_fee_per_gas = uint256_of_u64(cases[i].market),
                            .max_priority_fee_per_gas = uint256_of_u64(10)};
        const struct uint256 fee = uint256_of_u64(cases[i].pending), tip = uint256_of_u64(100);
        uint64_t raised;
        userop_outbid(&op, &fee, &tip);
        cr_assert(uint256_to_u64(&op.max_fee_per_gas, &raised));
        cr_assert_eq(raised, cases[i].expected, "case %zu: %lu", i, (unsigned long)raised);
    }
}
