#include "agent/shell/operations.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "evm/field.h"
#include "test/unit/evm/fake_rpc.h"

#define SPONSORED                                                                                            \
    "\"result\":{\"paymaster\":\"0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"paymasterData\":\"0xec\","   \
    "\"paymasterVerificationGasLimit\":\"0x7530\",\"paymasterPostOpGasLimit\":\"0x1\",\"callGasLimit\":"     \
    "\"0x186a0\",\"verificationGasLimit\":\"0x30d40\",\"preVerificationGas\":\"0xc350\"}"
#define RECEIPT                                                                                              \
    "\"result\":{\"userOpHash\":\"$HASH\",\"success\":true,\"actualGasCost\":\"0x99\",\"actualGasUsed\":"    \
    "\"0x1234\",\"receipt\":{\"transactionHash\":"                                                           \
    "\"0x7700000000000000000000000000000000000000000000000000000000000077\"}}"

static const uint8_t first_call[] = {1, 2, 3}, second_call[] = {4, 5};

struct fixture {
    struct event_base *base;
    struct http_client *http;
    struct fake_rpc node, bundler;
    struct config config;
    struct secret *owner;
    char folder[64], file[96], aside[112], history[96];
    struct operations *operations;
    struct bytes32 hash; /* of what was sent last */
    unsigned sent;
    bool stop_at_receipt; /* ends the loop when the receipt is asked for */
    unsigned done, to_be_done;
    int codes[4];
};

static void observe_send(struct fixture *f, json_object *json)
{
    struct userop op = {0};
    uint8_t *call_data;
    cr_assert(field_address(json, "sender", &op.sender));
    cr_assert(
        field_text_bytes(field_text(json, "callData"), USEROP_CALL_DATA_MAX, &call_data, &op.call_data_len));
    op.call_data = call_data;
    cr_assert(field_quantity(json, "nonce", &op.nonce));
    cr_assert_eq(userop_take_fees(&op, json, NULL), 0);
    cr_assert_eq(userop_take_gas(&op, json, NULL), 0);
    cr_assert_eq(userop_take_paymaster(&op, json, NULL), 0);
    f->hash = userop_hash(&op, &f->config.entry_point, f->config.chain_id);
    f->sent++;
    cr_assert_eq(access(f->file, F_OK), 0, "what is pending is on the disk before it is sent");
    free(call_data);
}

static void observe(void *user, const char *method, json_object *params)
{
    struct fixture *f = user;
    if (strcmp(method, "eth_sendUserOperation") == 0)
        observe_send(f, json_object_array_get_idx(params, 0));
    if (f->stop_at_receipt && strcmp(method, "eth_getUserOperationReceipt") == 0)
        event_base_loopbreak(f->base);
}

static void script(struct fixture *f)
{
    f->node = (struct fake_rpc){
        .methods = {
            {.name = "eth_call",
             .answers =
                 {"\"result\":\"0x0000000000000000000000000000000000000000000000000000000000000000\""}},
            {.name = "eth_getBlockByNumber",
             .answers = {"\"result\":{\"number\":\"0x10\",\"timestamp\":\"0x60\",\"hash\":"
                         "\"0x0000000000000000000000000000000000000000000000000000000000000001\","
                         "\"baseFeePerGas\":\"0x3e8\"}"}},
            {.name = "eth_maxPriorityFeePerGas", .answers = {"\"result\":\"0x64\""}}}};
    f->bundler = (struct fake_rpc){
        .methods = {{.name = "pimlico_getUserOperationGasPrice",
                     .answers = {"\"result\":{\"fast\":{\"maxFeePerGas\":\"0x1\","
                                 "\"maxPriorityFeePerGas\":\"0x1\"}}"}},
                    {.name = "pm_sponsorUserOperation", .answers = {SPONSORED}},
                    {.name = "eth_sendUserOperation", .answers = {"\"result\":\"$HASH\""}},
                    {.name = "eth_getUserOperationReceipt", .answers = {RECEIPT}}},
        .observe = observe,
        .user = f,
        .hash = &f->hash,
    };
    fake_rpc_start(&f->node, f->base, f->http);
    fake_rpc_start(&f->bundler, f->base, f->http);
}

static void start_process(struct fixture *f)
{
    struct am_err err;
    const struct address sender = {{5}};
    f->operations = operations_new(f->base, &f->config, f->http, f->node.rpc, &err);
    cr_assert(f->operations);
    cr_assert_not(operations_start(f->operations, "early", first_call, 3, NULL, NULL),
                  "the account is not known");
    operations_set_account(f->operations, &sender, f->owner);
}

static void restart_process(struct fixture *f)
{
    operations_free(f->operations);
    start_process(f);
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){.folder = "/tmp/test_operations.XXXXXX"};
    cr_assert_eq(secret_init(), 0);
    cr_assert(mkdtemp(f->folder));
    snprintf(f->file, sizeof(f->file), "%s/pending-operation", f->folder);
    snprintf(f->aside, sizeof(f->aside), "%s.corrupt", f->file);
    snprintf(f->history, sizeof(f->history), "%s/operations", f->folder);
    f->base = event_base_new();
    f->http = http_client_new(f->base);
    script(f);
    f->owner = secret_new();
    memset(f->owner->b, 1, sizeof(f->owner->b));
    f->config = (struct config){
        .chain_id = 31337,
        .entry_point = {{7}},
        .bundler_urls = {1, {fake_server_url(f->bundler.server)}},
        .sponsors = {{.kind = CONFIG_SPONSOR_PIMLICO, .target = "sp_1"}},
        .sponsors_len = 1,
        .state_dir = f->folder,
    };
    start_process(f);
}

static void teardown(struct fixture *f)
{
    operations_free(f->operations);
    fake_rpc_stop(&f->node);
    fake_rpc_stop(&f->bundler);
    http_client_free(f->http);
    event_base_free(f->base);
    secret_free(f->owner);
    cr_assert_neq(access(f->file, F_OK), 0, "nothing is pending at the end");
    unlink(f->aside);
    unlink(f->history);
    cr_assert_eq(rmdir(f->folder), 0);
}

static void on_done(void *user, const struct operation_result *result)
{
    struct fixture *f = user;
    f->codes[f->done++] = result->code;
    if (f->done == f->to_be_done)
        event_base_loopbreak(f->base);
}

static bool start(struct fixture *f, const uint8_t *call, size_t len)
{
    return operations_start(f->operations, "registration", call, len, on_done, f);
}

static void run_until(struct fixture *f, unsigned done)
{
    f->to_be_done = done;
    event_base_dispatch(f->base);
    cr_assert_eq(f->done, done);
}

/* Sends the first call and ends the process while it waits for the receipt. */
static void crash_while_waiting(struct fixture *f)
{
    f->stop_at_receipt = true;
    cr_assert(start(f, first_call, sizeof(first_call)));
    event_base_dispatch(f->base);
    f->stop_at_receipt = false;
    cr_assert_eq(f->sent, 1);
    restart_process(f);
}

static const struct history_entry *entry(struct fixture *f, size_t index)
{
    return history_at(operations_history(f->operations), index);
}

Test(operations, one_after_the_other)
{
    struct fixture f;
    setup(&f);
    cr_assert(start(&f, first_call, sizeof(first_call)));
    cr_assert(start(&f, second_call, sizeof(second_call)));
    cr_assert_not(start(&f, first_call, sizeof(first_call)), "one waits already");
    run_until(&f, 2);
    cr_assert_eq(f.codes[0], 0);
    cr_assert_eq(f.codes[1], 0);
    cr_assert_eq(f.sent, 2);
    cr_assert_eq(entry(&f, 0)->gas_used, 0x1234);
    cr_assert_eq(entry(&f, 0)->cost.b[31], 0x99);
    cr_assert_str_eq(entry(&f, 1)->sponsor, "pimlico sp_1");
    teardown(&f);
}

Test(operations, a_restart_finds_the_receipt_and_whoever_asks_gets_it)
{
    struct fixture f;
    setup(&f);
    crash_while_waiting(&f);
    cr_assert_eq(entry(&f, 0)->outcome, HISTORY_PENDING, "it goes on by itself");
    cr_assert(start(&f, first_call, sizeof(first_call)));
    run_until(&f, 1);
    cr_assert_eq(f.codes[0], 0);
    cr_assert_eq(f.sent, 1);
    cr_assert_eq(entry(&f, 0)->outcome, HISTORY_INCLUDED);
    cr_assert_str_eq(entry(&f, 0)->purpose, "registration");
    cr_assert_null(entry(&f, 1));
    teardown(&f);
}

Test(operations, what_an_earlier_process_left_goes_before_another_call)
{
    struct fixture f;
    setup(&f);
    crash_while_waiting(&f);
    cr_assert(start(&f, second_call, sizeof(second_call)));
    run_until(&f, 1);
    cr_assert_eq(f.codes[0], 0);
    cr_assert_eq(f.sent, 2);
    cr_assert_eq(entry(&f, 0)->outcome, HISTORY_INCLUDED);
    cr_assert_eq(entry(&f, 1)->outcome, HISTORY_INCLUDED);
    teardown(&f);
}

static void flip_byte(const char *path, off_t at)
{
    uint8_t byte;
    const int fd = open(path, O_RDWR);
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 0x40;
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

Test(operations, a_damaged_record_is_set_aside)
{
    struct fixture f;
    setup(&f);
    f.stop_at_receipt = true;
    cr_assert(start(&f, first_call, sizeof(first_call)));
    event_base_dispatch(f.base);
    flip_byte(f.file, 250);
    restart_process(&f);
    cr_assert_null(entry(&f, 0));
    cr_assert_eq(access(f.aside, F_OK), 0);
    teardown(&f);
}

Test(operations, a_record_of_another_chain_is_forgotten)
{
    struct fixture f;
    setup(&f);
    f.stop_at_receipt = true;
    cr_assert(start(&f, first_call, sizeof(first_call)));
    event_base_dispatch(f.base);
    f.config.chain_id = 1;
    restart_process(&f);
    cr_assert_null(entry(&f, 0));
    teardown(&f);
}

Test(operations, a_refused_operation_leaves_nothing_pending)
{
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.bundler, "eth_sendUserOperation",
                    "\"error\":{\"code\":-32602,\"message\":\"AA25 nonce\"}");
    cr_assert(start(&f, first_call, sizeof(first_call)));
    run_until(&f, 1);
    cr_assert_eq(f.codes[0], AM_EREVERT);
    cr_assert_eq(entry(&f, 0)->outcome, HISTORY_REVERTED);
    teardown(&f);
}

Test(operations, a_restart_knows_what_was_done_before)
{
    struct fixture f;
    setup(&f);
    cr_assert(start(&f, first_call, sizeof(first_call)));
    run_until(&f, 1);
    restart_process(&f);
    cr_assert_eq(entry(&f, 0)->outcome, HISTORY_INCLUDED);
    cr_assert_eq(entry(&f, 0)->gas_used, 0x1234);
    cr_assert_null(entry(&f, 1));
    cr_assert(start(&f, second_call, sizeof(second_call)));
    run_until(&f, 2);
    cr_assert_eq(entry(&f, 1)->outcome, HISTORY_INCLUDED);
    teardown(&f);
}

Test(operations, a_damaged_history_is_set_aside_for_a_new_one)
{
    struct fixture f;
    setup(&f);
    snprintf(f.aside, sizeof(f.aside), "%s.corrupt", f.history);
    cr_assert(start(&f, first_call, sizeof(first_call)));
    run_until(&f, 1);
    flip_byte(f.history, 100);
    restart_process(&f);
    cr_assert_null(entry(&f, 0));
    cr_assert_eq(access(f.aside, F_OK), 0);
    cr_assert(start(&f, first_call, sizeof(first_call)));
    run_until(&f, 2);
    cr_assert_eq(entry(&f, 0)->outcome, HISTORY_INCLUDED);
    teardown(&f);
}
