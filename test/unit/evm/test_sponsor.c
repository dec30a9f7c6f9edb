#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "test/unit/evm/operation_kit.h"

Test(sponsor, a_denial_by_all_sponsors_is_final_and_has_the_reason)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData", DENIED);
    fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterStubData", DENIED);
    kit_run_to_result(&f, AM_EDENIED);
    cr_assert(strstr(f.error, "sponsorship denied: not today"), "%s", f.error);
    cr_assert_eq(f.sent, 0);
    kit_teardown(&f);
}

Test(sponsor, a_failure_that_may_pass_goes_before_a_denial)
{
    static const char temporary[] =
        "\"error\":{\"code\":-32001,\"message\":\"cap reached\",\"data\":{\"final\":false}}";
    for (int first = 0; first < 2; first++) {
        struct operation_kit f;
        kit_setup(&f);
        fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData", first ? DENIED : temporary);
        fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterStubData", first ? temporary : DENIED);
        kit_run_to_result(&f, AM_EREMOTE);
        cr_assert(strstr(f.error, "cap reached"), "%s", f.error);
        kit_teardown(&f);
    }
}

Test(sponsor, the_next_sponsor_takes_over)
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
        struct operation_kit f;
        kit_setup(&f);
        fake_rpc_answer(&f.fakes[SPONSOR_A], cases[i].method, cases[i].answer);
        kit_run_to_result(&f, 0);
        cr_assert_str_eq(f.sent_paymaster_data, "0xfb", "case %zu", i);
        cr_assert_eq(f.sent, 1);
        kit_teardown(&f);
    }
}

Test(sponsor, a_final_stub_is_not_asked_again)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData",
                    "\"result\":{" PAYMASTER_A ",\"paymasterData\":\"0xfa\",\"isFinal\":true}");
    kit_run_to_result(&f, 0);
    cr_assert_str_eq(f.sent_paymaster_data, "0xfa");
    cr_assert_eq(kit_calls(&f, SPONSOR_A, "pm_getPaymasterData"), 0);
    kit_teardown(&f);
}

Test(sponsor, a_paymasters_fault_in_the_estimate_asks_the_next_sponsor)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_method(&f.fakes[BUNDLER], "eth_estimateUserOperationGas")->answers[1] =
        fake_rpc_method(&f.fakes[BUNDLER], "eth_estimateUserOperationGas")->answers[0];
    fake_rpc_method(&f.fakes[BUNDLER], "eth_estimateUserOperationGas")->answers[0] =
        "\"error\":{\"code\":-32501,\"message\":\"AA31 paymaster deposit too low\"}";
    kit_run_to_result(&f, 0);
    cr_assert_str_eq(f.sent_paymaster_data, "0xfb");
    kit_teardown(&f);
}

static void setup_alchemy(struct operation_kit *f)
{
    kit_setup(f);
    f->sponsors[0] = (struct sponsor){.kind = SPONSOR_ALCHEMY,
                                      .rpc = f->fakes[BUNDLER].rpc,
                                      .policy = "policy-1",
                                      .context_json = "{\"webhookData\":\"token\"}",
                                      .name = "alchemy policy-1"};
}

static void setup_pimlico(struct operation_kit *f)
{
    kit_setup(f);
    f->sponsors[0] = (struct sponsor){
        .kind = SPONSOR_PIMLICO, .rpc = f->fakes[BUNDLER].rpc, .policy = "sp_2", .name = "pimlico sp_2"};
}
Test(sponsor, alchemy_gives_gas_fees_and_paymaster_at_once)
{
    struct operation_kit f;
    setup_alchemy(&f);
    kit_run_to_result(&f, 0);
    cr_assert_str_eq(f.states, "nonce;base fee;tip;sponsoring;sending;waiting;");
    cr_assert_str_eq(f.sent_paymaster_data, "0xec");
    cr_assert_eq(f.sent_fees[0], 0xbb8, "the fees are those that were signed");
    cr_assert_str_eq(f.result.sponsor, "alchemy policy-1");
    kit_teardown(&f);
}

Test(sponsor, alchemy_is_told_the_fees_of_a_replacement)
{
    struct operation_kit f;
    setup_alchemy(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    fake_rpc_method(&f.fakes[BUNDLER], "alchemy_requestGasAndPaymasterAndData")->answers[1] =
        "\"result\":{" EVERYTHING ",\"maxFeePerGas\":\"0xfff\",\"maxPriorityFeePerGas\":\"0xfff\"}";
    f.services.sponsors_len = 1;
    f.services.inclusion_ms = 10;
    kit_run_to_result(&f, -ETIMEDOUT);
    uint64_t fixed;
    cr_assert(uint256_to_u64(&f.fixed_fee, &fixed) && fixed > 0xfff, "%u sends", f.sent);
    cr_assert_geq(f.sent_fees[1], 0xbb8 * 9 / 8);
    cr_assert_geq(f.sent, 2);
    cr_assert_lt(f.sent, OPERATION_SENDS_MAX, "an answer below the fees it was told is not used");
    kit_teardown(&f);
}

Test(sponsor, pimlico_gives_gas_and_paymaster_at_once)
{
    struct operation_kit f;
    setup_pimlico(&f);
    kit_run_to_result(&f, 0);
    cr_assert_str_eq(f.states, "nonce;base fee;tip;sponsoring;sponsoring;sending;waiting;");
    cr_assert_str_eq(f.sent_paymaster_data, "0xec");
    cr_assert_eq(f.sent_fees[0], 2 * 1000 + 100, "the fees are ours");
    kit_teardown(&f);
}

Test(sponsor, pimlico_is_paid_what_it_asks_for)
{
    struct operation_kit f;
    setup_pimlico(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "pimlico_getUserOperationGasPrice",
                    "\"result\":{\"fast\":{\"maxFeePerGas\":\"0xffff\",\"maxPriorityFeePerGas\":\"0x1\"}}");
    kit_run_to_result(&f, 0);
    cr_assert_eq(f.sent_fees[0], 0xffff);
    kit_teardown(&f);
}

Test(sponsor, pimlico_prices_that_make_no_sense_ask_the_next_sponsor)
{
    const char *const bad[] = {"\"result\":7", "\"result\":{\"fast\":{\"maxFeePerGas\":\"0x1\"}}",
                               "\"result\":{\"fast\":[]}", "\"result\":{\"slow\":{}}", FAKE_HTTP_ERROR};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct operation_kit f;
        setup_pimlico(&f);
        f.asked_sponsors = 1; /* the first of ERC-7677 to be asked is the one without a context */
        fake_rpc_answer(&f.fakes[BUNDLER], "pimlico_getUserOperationGasPrice", bad[i]);
        kit_run_to_result(&f, 0);
        cr_assert_str_eq(f.sent_paymaster_data, "0xfb", "case %zu", i);
        cr_assert_eq(kit_calls(&f, BUNDLER, "pm_sponsorUserOperation"), 0);
        kit_teardown(&f);
    }
}

Test(sponsor, what_a_vendor_finds_to_revert_is_not_asked_of_another_sponsor)
{
    struct operation_kit f;
    setup_pimlico(&f);
    fake_rpc_answer(&f.fakes[BUNDLER], "pm_sponsorUserOperation", NOT_OUR_MEMBER);
    kit_run_to_result(&f, AM_EREVERT);
    cr_assert(strstr(f.error, "NotOurMember"), "%s", f.error);
    cr_assert_eq(kit_calls(&f, SPONSOR_B, "pm_getPaymasterStubData"), 0);
    kit_teardown(&f);
}

/* ---- How sponsors behave is remembered ---- */
Test(sponsor, a_denied_call_is_not_asked_about_again_at_once)
{
    struct operation_kit f;
    kit_setup(&f);
    fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData", DENIED);
    fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterStubData", DENIED);
    kit_run_to_result(&f, AM_EDENIED);
    f.results = 0;
    kit_run_to_result(&f, AM_EDENIED);
    cr_assert(strstr(f.error, "not today"), "%s", f.error);
    cr_assert_gt(f.result.retry_after_s, 10);
    cr_assert_eq(kit_calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 1);
    cr_assert_eq(kit_calls(&f, SPONSOR_B, "pm_getPaymasterStubData"), 1);
    kit_teardown(&f);
}

Test(sponsor, a_sponsor_that_wants_to_be_left_alone_is_and_one_that_fails_comes_last)
{
    const char *const failures[] = {FAKE_BUSY, FAKE_HTTP_ERROR};
    for (size_t i = 0; i < 2; i++) {
        struct operation_kit f;
        kit_setup(&f);
        fake_rpc_answer(&f.fakes[SPONSOR_A], "pm_getPaymasterStubData", failures[i]);
        kit_run_to_result(&f, 0);
        f.results = 0;
        kit_run_to_result(&f, 0);
        cr_assert_eq(kit_calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 1, "case %zu", i);
        fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterStubData", FAKE_HTTP_ERROR);
        f.results = 0;
        kit_run_to_result(&f, -EIO);
        cr_assert_eq(kit_calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), i == 0 ? 1 : 2);
        kit_teardown(&f);
    }
}

Test(sponsor, a_sponsor_lost_on_the_way_does_not_lose_the_operation)
{
    struct operation_kit f;
    kit_setup(&f);
    f.services.inclusion_ms = 10;
    f.services.sponsors_len = 1;
    fake_rpc_method(&f.fakes[SPONSOR_A], "pm_getPaymasterData")->answers[1] = FAKE_HTTP_ERROR;
    kit_receipt_after(&f, 4);
    kit_run_to_result(&f, 0);
    cr_assert_eq(f.sent, 1);
    kit_teardown(&f);
}

Test(sponsor, after_a_round_that_failed_everything_is_asked_anew)
{
    struct operation_kit f;
    kit_setup(&f);
    f.services.inclusion_ms = 10;
    fake_rpc_answer(&f.fakes[BUNDLER], "eth_getUserOperationReceipt", NO_RECEIPT);
    fake_rpc_answer(&f.fakes[SPONSOR_B], "pm_getPaymasterData", DENIED);
    struct fake_method *data = fake_rpc_method(&f.fakes[SPONSOR_A], "pm_getPaymasterData");
    data->answers[2] = data->answers[1];
    data->answers[1] = FAKE_HTTP_ERROR;
    kit_run_to_result(&f, -ETIMEDOUT);
    cr_assert_geq(f.sent, 2);
    cr_assert_str_eq(f.sent_paymaster_data, "0xf2");
    cr_assert_eq(kit_calls(&f, SPONSOR_A, "pm_getPaymasterStubData"), 2);
    cr_assert_eq(kit_calls(&f, SPONSOR_B, "pm_getPaymasterData"), 1);
    kit_teardown(&f);
}
