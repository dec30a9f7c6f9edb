#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "test/unit/evm/operation_kit.h"

Test(inclusion, a_lost_reply_is_followed_by_a_look_and_not_by_a_second_send)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_sendUserOperation", FAKE_GARBAGE);
    kit_run_to_result(&f, 0);
    cr_assert_eq(f.sent, 1);
    kit_teardown(&f);
}

Test(inclusion, a_lost_send_is_repeated_as_it_is_and_may_be_known)
{
    const char *const second[] = {SENT, "\"error\":{\"code\":-32602,\"message\":\"Already known\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct operation_kit f;
        kit_setup(&f);
        struct fake_method *send = fake_rpc_method(&f.fakes[BUNDLER], "eth_sendUserOperation");
        send->answers[0] = FAKE_HTTP_ERROR;
        send->answers[1] = second[i];
        kit_receipt_after(&f, 7);
        f.services.inclusion_ms = 5000;
        kit_run_to_result(&f, 0);
        cr_assert_eq(f.sent, 2);
        cr_assert(bytes32_equal(&f.sent_hashes[0], &f.sent_hashes[1]));
        kit_teardown(&f);
    }
}

Test(inclusion, what_is_not_included_is_sent_again_with_higher_fees)
{
    struct operation_kit f;
    kit_setup(&f);
    kit_receipt_after(&f, 7);
    f.services.inclusion_ms = 60;
    kit_run_to_result(&f, 0);
    cr_assert_geq(f.sent, 2);
    cr_assert_not(bytes32_equal(&f.sent_hashes[0], &f.sent_hashes[1]));
    cr_assert_geq(f.sent_fees[1], f.sent_fees[0] * 9 / 8);
    cr_assert_str_eq(f.sent_paymaster_data, "0xf2", "the sponsor signs the new fees");
    cr_assert_eq(kit_calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 1);
    cr_assert_eq(kit_calls(&f, NODE, "eth_call"), 1, "the nonce stays");
    kit_teardown(&f);
}

Test(inclusion, the_first_of_two_sends_may_be_the_included_one)
{
    struct operation_kit f;
    kit_setup(&f);
    f.services.inclusion_ms = 20;
    f.fakes[BUNDLER].hash = &f.sent_hashes[0];
    kit_receipt_after(&f, 3);
    fake_rpc_method(&f.fakes[BUNDLER], "eth_sendUserOperation")->answers[1] =
        "\"error\":{\"code\":-32602,\"message\":\"AA25 invalid account nonce\"}";
    kit_run_to_result(&f, 0);
    cr_assert(bytes32_equal(&f.result.hash, &f.sent_hashes[0]));
    kit_teardown(&f);
}

Test(inclusion, what_is_never_included_times_out_in_the_end)
{
    struct operation_kit f;
    kit_setup(&f);
    f.services.inclusion_ms = 10;
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    kit_run_to_result(&f, -ETIMEDOUT);
    cr_assert_eq(f.sent, OPERATION_SENDS_MAX);
    cr_assert(strstr(f.error, "sent 5 times"), "%s", f.error);
    kit_teardown(&f);
}

/* UserOperationRevertReason with NotOurMember() inside. */
Test(inclusion, an_included_revert_is_a_revert_with_its_reason)
{
    struct operation_kit f;
    kit_setup(&f);
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
    kit_run_to_result(&f, AM_EREVERT);
    cr_assert(strstr(f.error, "included, but the call reverted: NotOurMember"), "%s", f.error);
    cr_assert_eq(f.result.tx_hash.b[0], 0x77);
    kit_teardown(&f);
}

Test(inclusion, a_receipt_that_makes_no_sense_is_not_believed)
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
        struct operation_kit f;
        kit_setup(&f);
        struct fake_method *receipt = fake_rpc_method(&f.fakes[BUNDLER], "eth_getUserOperationReceipt");
        receipt->answers[0] = bad[i];
        receipt->answers[1] = RECEIPT;
        f.services.inclusion_ms = 5000;
        kit_run_to_result(&f, 0);
        cr_assert_eq(receipt->calls, 2, "case %zu", i);
        kit_teardown(&f);
    }
}

static void setup_pending(struct operation_kit *f, uint64_t nonce, uint64_t fee)
{
    kit_setup(f);
    f->services.inclusion_ms = 5000; /* what is pending is older than that */
    f->pending = (struct operation_pending){
        .nonce = uint256_of_u64(nonce),
        .max_fee_per_gas = uint256_of_u64(fee),
        .max_priority_fee_per_gas = uint256_of_u64(200),
        .hashes_len = 2,
        .hashes = {{{1}}, {{2}}},
    };
}

Test(inclusion, gone_on_with_it_looks_for_every_receipt_first)
{
    for (size_t i = 0; i < 2; i++) {
        struct operation_kit f;
        setup_pending(&f, 7, 3000);
        f.fakes[BUNDLER].hash = &f.pending.hashes[i];
        fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", RECEIPT);
        kit_run_to_result(&f, 0);
        cr_assert(bytes32_equal(&f.result.hash, &f.pending.hashes[i]));
        cr_assert_eq(f.sent, 0);
        cr_assert_eq(kit_calls(&f, NODE, "eth_call"), 0);
        cr_assert_eq(kit_calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 0);
        cr_assert_eq(f.result.pending.hashes_len, 0);
        kit_teardown(&f);
    }
}

Test(inclusion, gone_on_with_it_is_replaced_with_the_same_nonce_and_higher_fees)
{
    struct operation_kit f;
    setup_pending(&f, 7, 3000);
    kit_receipt_after(&f, 4);
    kit_run_to_result(&f, 0);
    cr_assert_eq(f.sent, 1);
    cr_assert_eq(f.sent_nonce.b[31], 7);
    cr_assert_eq(f.sent_fees[0], 3000 + 3000 / 8 + 1);
    cr_assert_eq(f.kept.hashes_len, 3);
    cr_assert(bytes32_equal(&f.kept.hashes[2], &f.sent_hashes[0]));
    kit_teardown(&f);
}

Test(inclusion, a_used_nonce_ends_it_without_another_send)
{
    struct operation_kit f;
    setup_pending(&f, 6, 3000);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    kit_run_to_result(&f, AM_EMISMATCH);
    cr_assert(strstr(f.error, "no receipt"), "%s", f.error);
    cr_assert_eq(f.sent, 0);
    cr_assert_eq(f.result.pending.hashes_len, 0, "nothing is left to go on with");
    kit_teardown(&f);
}

Test(inclusion, a_nonce_that_went_back_starts_anew)
{
    struct operation_kit f;
    setup_pending(&f, 8, 3000);
    f.pending.hashes_len = 1;
    kit_receipt_after(&f, 2);
    kit_run(&f);
    cr_assert_eq(f.result.code, 0, "%s", f.error);
    cr_assert_eq(f.sent_nonce.b[31], 7);
    cr_assert_eq(f.sent_fees[0], 2 * 1000 + 100);
    kit_teardown(&f);
}

Test(inclusion, what_is_never_included_is_handed_back_to_go_on_with)
{
    struct operation_kit f;
    kit_setup(&f);
    f.services.inclusion_ms = 10;
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    kit_run_to_result(&f, -ETIMEDOUT);
    cr_assert_eq(f.result.pending.hashes_len, OPERATION_SENDS_MAX);
    cr_assert_eq(f.result.pending.nonce.b[31], 7);
    f.pending = f.result.pending;
    f.results = 0;
    kit_run_to_result(&f, -ETIMEDOUT);
    cr_assert_eq(f.result.pending.hashes_len, OPERATION_HASHES_MAX, "the newest are watched");
    kit_teardown(&f);
}
