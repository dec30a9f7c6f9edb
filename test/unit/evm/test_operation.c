#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "test/unit/evm/operation_kit.h"

Test(operation, the_whole_way)
{
    struct operation_kit f;
    kit_setup(&f);
    kit_run_to_result(&f, 0);
    cr_assert_str_eq(f.states,
                     "nonce;base fee;tip;sponsoring;sponsoring;sponsoring;sponsoring;sending;waiting;");
    cr_assert_eq(f.sent, 1);
    cr_assert_eq(f.sent_fees[0], 2 * 1000 + 100);
    cr_assert_str_eq(f.sent_paymaster_data, "0xf1");
    cr_assert(bytes32_equal(&f.result.hash, &f.hash));
    cr_assert_eq(f.result.tx_hash.b[0], 0x77);
    cr_assert_eq(f.result.gas_cost.b[31], 0x99);
    cr_assert_eq(kit_calls(&f, SPONSOR_B, "pm_getPaymasterStubData"), 0);
    kit_teardown(&f);
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
        struct operation_kit f;
        kit_setup(&f);
        fake_rpc_answer(&f.fakes[NODE], "eth_call", cases[i].answer);
        kit_run_to_result(&f, cases[i].code);
        cr_assert(strstr(f.error, cases[i].text), "%s", f.error);
        cr_assert_eq(kit_calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 0);
        kit_teardown(&f);
    }
}

Test(operation, fees_that_can_not_be_read_are_an_error)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[NODE], "eth_getBlockByNumber", "\"result\":null");
    kit_run_to_result(&f, AM_EFORMAT);
    kit_teardown(&f);
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[NODE], "eth_maxPriorityFeePerGas",
                    "\"result\":\"0xffffffffffffffffffffffffffffffff\"");
    kit_run_to_result(&f, AM_EFORMAT);
    cr_assert(strstr(f.error, "128 bits"), "%s", f.error);
    kit_teardown(&f);
}

Test(operation, a_revert_in_the_estimate_names_the_contracts_error)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_estimateUserOperationGas", NOT_OUR_MEMBER);
    kit_run_to_result(&f, AM_EREVERT);
    cr_assert(strstr(f.error, "NotOurMember: the member contract is neither"), "%s", f.error);
    cr_assert_eq(kit_calls(&f, SPONSOR_B, "pm_getPaymasterStubData"), 0);
    cr_assert_eq(f.sent, 0);
    kit_teardown(&f);
}

Test(operation, an_entry_point_code_comes_with_advice)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_estimateUserOperationGas",
                    "\"error\":{\"code\":-32500,\"message\":\"AA20 account not deployed\"}");
    kit_run_to_result(&f, AM_EREVERT);
    cr_assert(strstr(f.error, "AA20 account not deployed: no contract at the sender's address"), "%s",
              f.error);
    kit_teardown(&f);
}

Test(operation, a_malformed_estimate_is_an_error)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_estimateUserOperationGas",
                    "\"result\":{\"callGasLimit\":\"0x1\"}");
    kit_run_to_result(&f, AM_EFORMAT);
    cr_assert(strstr(f.error, "eth_estimateUserOperationGas: verificationGasLimit"), "%s", f.error);
    kit_teardown(&f);
}

/* The bundler says 100,000; what a transaction costs before the call is 21,000 and 112 for the data. */
Test(operation, the_call_gets_the_gas_that_it_needs_alone)
{
    const struct {
        const char *estimate;
        uint64_t expected;
    } cases[] = {
        {"\"result\":\"0x5278\"", 100000},
        {"\"result\":\"0x186a0\"", 100000},
        {"\"result\":\"0x249f0\"", 150000 - 21112 + 5000},
        {"\"result\":\"0xffffffff\"", 100000 + USEROP_CALL_GAS_RAISE_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct operation_kit f;
        kit_setup(&f);
        fake_rpc_answer(&f.fakes[NODE], "eth_estimateGas", cases[i].estimate);
        kit_run_to_result(&f, 0);
        cr_assert_eq(f.sent_call_gas, cases[i].expected, "case %zu: %lu", i, (unsigned long)f.sent_call_gas);
        kit_teardown(&f);
    }
}

Test(operation, an_estimate_of_the_chain_that_makes_no_sense_is_an_error)
{
    const char *const bad[] = {"\"result\":7", "\"result\":\"\"", "\"result\":\"0x5277\"",
                               "\"result\":\"0x10000000000000000\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct operation_kit f;
        kit_setup(&f);
        fake_rpc_answer(&f.fakes[NODE], "eth_estimateGas", bad[i]);
        kit_run_to_result(&f, AM_EFORMAT);
        cr_assert(strstr(f.error, "eth_estimateGas: no gas of a transaction"), "%s", f.error);
        cr_assert_eq(kit_calls(&f, SPONSOR_B, "pm_getPaymasterStubData"), 0, "no sponsor's fault");
        kit_teardown(&f);
    }
}

Test(operation, a_refused_send_is_an_error)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_sendUserOperation",
                    "\"error\":{\"code\":-32602,\"message\":\"maxFeePerGas must be at least 1000\"}");
    kit_run_to_result(&f, AM_EREMOTE);
    cr_assert(strstr(f.error, "maxFeePerGas must be at least 1000"), "%s", f.error);
    cr_assert_eq(kit_calls(&f, BUNDLER, "eth_getUserOperationReceipt"), 0);
    kit_teardown(&f);
}

Test(operation, a_bundler_that_computes_another_hash_is_not_trusted)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_sendUserOperation",
                    "\"result\":\"0x0000000000000000000000000000000000000000000000000000000000000001\"");
    kit_run_to_result(&f, AM_EMISMATCH);
    kit_teardown(&f);
}

Test(operation, a_bad_owner_key_is_refused_before_anything_is_sent)
{
    struct operation_kit f;
    kit_setup(&f);
    memset(f.key->b, 0, sizeof(f.key->b));
    kit_run_to_result(&f, -EINVAL);
    cr_assert_eq(f.sent, 0);
    kit_teardown(&f);
}

Test(operation, cancelling_in_any_state_calls_nobody)
{
    for (unsigned at = 1; at <= 9; at++) {
        const struct timeval moment = {0, 30000};
        struct operation_kit f;
        kit_setup(&f);
        f.cancel_at = at;
        kit_run(&f);
        event_base_loopexit(f.base, &moment);
        event_base_dispatch(f.base);
        cr_assert_eq(f.results, 0);
        cr_assert_eq(f.requests, at);
        kit_teardown(&f);
    }
}

Test(operation, arguments_out_of_bounds_are_refused)
{
    static const uint8_t large[USEROP_CALL_DATA_MAX + 1];
    struct operation_kit f;
    kit_setup(&f);
    struct operation_request request = {
        .sender = f.sender, .call_data = large, .call_data_len = sizeof(large), .owner = f.key};
    cr_assert_null(operation_start(&f.services, &request, &kit_callbacks, &f));
    request.call_data_len = 4;
    f.services.sponsors_len = 0;
    cr_assert_null(operation_start(&f.services, &request, &kit_callbacks, &f));
    f.services.sponsors_len = SPONSORS_MAX + 1;
    cr_assert_null(operation_start(&f.services, &request, &kit_callbacks, &f));
    kit_teardown(&f);
}
