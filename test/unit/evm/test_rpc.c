#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "evm/rpc.h"
#include "test/unit/evm/fake_server.h"

/* What one server does with every request. */
struct behaviour {
    int status;
    const char *retry_after;
    const char *raw;      /* the whole body, or */
    const char *fragment; /* the part behind the right id */
    const char *chain;    /* the same for eth_chainId */
    unsigned checks;      /* requests for that */
    bool never;
    unsigned requests;
    char seen[256];
};

struct outcome {
    unsigned calls;
    int code, rpc_code;
    char value[64], error[400];
    uint8_t data[128];
    size_t data_len;
    uint32_t retry_after_s;
    size_t endpoint;
};

struct fixture {
    struct event_base *base;
    struct http_client *http;
    struct fake_server *servers[2];
    struct behaviour behaviours[2];
    struct rpc *rpc;
    struct outcome outcome;
    unsigned wrong; /* endpoints told to serve another chain */
};

static void handle(void *user, const struct fake_request *request, struct fake_reply *reply)
{
    struct behaviour *b = user;
    if (b->chain && strstr(request->body, "eth_chainId")) {
        b->checks++;
        fake_reply_rpc(reply, request, b->chain);
        return;
    }
    b->requests++;
    snprintf(b->seen, sizeof(b->seen), "%s", request->body);
    reply->status = b->status ? b->status : 200;
    reply->retry_after = b->retry_after;
    reply->never = b->never;
    if (b->raw)
        reply->body = strdup(b->raw);
    else if (b->fragment)
        fake_reply_rpc(reply, request, b->fragment);
}

static void on_result(void *user, const struct rpc_result *result)
{
    struct fixture *f = user;
    f->outcome.calls++;
    f->outcome.code = result->code;
    f->outcome.rpc_code = result->rpc_code;
    f->outcome.retry_after_s = result->retry_after_s;
    f->outcome.endpoint = result->endpoint;
    snprintf(f->outcome.value, sizeof(f->outcome.value), "%s", json_object_to_json_string(result->value));
    snprintf(f->outcome.error, sizeof(f->outcome.error), "%s", result->error ? result->error : "");
    f->outcome.data_len = result->data_len;
    cr_assert_leq(result->data_len, sizeof(f->outcome.data));
    if (result->data_len)
        memcpy(f->outcome.data, result->data, result->data_len);
    event_base_loopbreak(f->base);
}

static void setup(struct fixture *f, struct behaviour first, struct behaviour second)
{
    const char *urls[2];
    *f = (struct fixture){.behaviours = {first, second}};
    f->base = event_base_new();
    f->http = http_client_new(f->base);
    for (int i = 0; i < 2; i++) {
        f->servers[i] = fake_server_new(f->base, NULL, handle, &f->behaviours[i]);
        urls[i] = fake_server_url(f->servers[i]);
    }
    f->rpc = rpc_new(f->http, urls, 2);
    cr_assert(f->rpc);
}

static void teardown(struct fixture *f)
{
    rpc_free(f->rpc);
    http_client_free(f->http);
    fake_server_free(f->servers[0]);
    fake_server_free(f->servers[1]);
    event_base_free(f->base);
}

static void call(struct fixture *f)
{
    f->outcome = (struct outcome){0};
    json_object *params = json_object_new_array();
    json_object_array_add(params, json_object_new_string("a/b"));
    cr_assert(rpc_call(f->rpc, "eth_test", params, on_result, f));
    cr_assert_eq(f->outcome.calls, 0, "no callback from within the call");
    event_base_dispatch(f->base);
    cr_assert_eq(f->outcome.calls, 1);
}

static const struct behaviour good = {.fragment = "\"result\":\"0x7\""};

Test(rpc, result_comes_back)
{
    struct fixture f;
    setup(&f, good, good);
    call(&f);
    cr_assert_eq(f.outcome.code, 0);
    cr_assert_str_eq(f.outcome.value, "\"0x7\"");
    cr_assert(strstr(f.behaviours[0].seen, "\"method\":\"eth_test\""), "%s", f.behaviours[0].seen);
    cr_assert(strstr(f.behaviours[0].seen, "\"params\":[\"a/b\"]"), "%s", f.behaviours[0].seen);
    cr_assert_eq(f.behaviours[1].requests, 0);
    teardown(&f);
}

Test(rpc, null_is_a_result)
{
    struct fixture f;
    setup(&f, (struct behaviour){.fragment = "\"result\":null"}, good);
    call(&f);
    cr_assert_eq(f.outcome.code, 0);
    cr_assert_str_eq(f.outcome.value, "null");
    teardown(&f);
}

Test(rpc, whatever_is_no_answer_moves_on_and_the_good_url_stays_first)
{
    const struct behaviour bad[] = {
        {.status = 429, .fragment = "\"error\":{\"code\":-32005,\"message\":\"slow down\"}"},
        {.status = 503, .raw = "<html>down</html>"},
        {.status = 404, .raw = "no such path"},
        {.raw = ""},
        {.raw = "{\"jsonrpc\":\"2.0\",\"id\":1"},
        {.raw = "[1]"},
        {.raw = "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":\"0x8\"}"},
        {.raw = "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":\"0x8\"}"},
        {.raw = "{\"jsonrpc\":\"2.0\",\"result\":\"0x8\"}"},
        {.fragment = "\"results\":1"},
        {.fragment = "\"error\":\"text\""},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fixture f;
        setup(&f, bad[i], good);
        call(&f);
        cr_assert_eq(f.outcome.code, 0, "case %zu: %s", i, f.outcome.error);
        cr_assert_str_eq(f.outcome.value, "\"0x7\"");
        call(&f);
        cr_assert_eq(f.behaviours[0].requests, 1, "case %zu", i);
        cr_assert_eq(f.behaviours[1].requests, 2, "case %zu", i);
        teardown(&f);
    }
}

Test(rpc, failing_everywhere_reports_the_last_cause)
{
    struct fixture f;
    setup(&f, (struct behaviour){.raw = "garbage"}, (struct behaviour){.raw = "garbage"});
    call(&f);
    cr_assert_eq(f.outcome.code, AM_EFORMAT);
    f.behaviours[1] = (struct behaviour){.status = 500, .raw = "garbage"};
    call(&f);
    cr_assert_eq(f.outcome.code, -EIO);
    cr_assert(strstr(f.outcome.error, "HTTP status 500"), "%s", f.outcome.error);
    f.behaviours[1] = (struct behaviour){.status = 429, .retry_after = "9"};
    call(&f);
    cr_assert_eq(f.outcome.code, -EBUSY);
    cr_assert_eq(f.outcome.retry_after_s, 9);
    cr_assert(strstr(f.outcome.error, "eth_test: 127.0.0.1:"), "%s", f.outcome.error);
    cr_assert_not(strstr(f.outcome.error, "topsecret"), "%s", f.outcome.error);
    teardown(&f);
}

Test(rpc, a_url_that_asked_to_be_left_alone_is)
{
    struct fixture f;
    setup(&f, (struct behaviour){.status = 429, .retry_after = "60"}, (struct behaviour){.raw = "garbage"});
    call(&f);
    cr_assert_eq(f.outcome.code, AM_EFORMAT);
    f.behaviours[1].raw = NULL;
    f.behaviours[1].fragment = good.fragment;
    call(&f);
    cr_assert_eq(f.outcome.code, 0);
    cr_assert_eq(f.behaviours[0].requests, 1);
    cr_assert_eq(f.behaviours[1].requests, 2);
    teardown(&f);
}

Test(rpc, when_all_asked_to_be_left_alone_a_call_fails_without_a_request)
{
    struct fixture f;
    const struct behaviour busy = {.status = 429, .retry_after = "60"};
    setup(&f, busy, busy);
    call(&f);
    cr_assert_eq(f.behaviours[0].requests, 1);
    cr_assert_eq(f.behaviours[1].requests, 1);
    call(&f);
    cr_assert_eq(f.outcome.code, -EBUSY);
    cr_assert(f.outcome.retry_after_s > 30 && f.outcome.retry_after_s <= 68);
    cr_assert(strstr(f.outcome.error, "eth_test: 127.0.0.1:"), "%s", f.outcome.error);
    rpc_call_cancel(rpc_call(f.rpc, "eth_test", json_object_new_array(), on_result, &f));
    cr_assert_eq(f.behaviours[0].requests, 1);
    cr_assert_eq(f.behaviours[1].requests, 1);
    teardown(&f);
}

Test(rpc, an_error_is_an_answer_whatever_the_status)
{
    struct fixture f;
    setup(
        &f,
        (struct behaviour){.status = 500, .fragment = "\"error\":{\"code\":-32000,\"message\":\"no\\nway\"}"},
        good);
    call(&f);
    cr_assert_eq(f.outcome.code, AM_EREMOTE);
    cr_assert_eq(f.outcome.rpc_code, -32000);
    cr_assert(strstr(f.outcome.error, "no?way (code -32000)"), "%s", f.outcome.error);
    cr_assert_eq(f.behaviours[1].requests, 0);
    cr_assert_eq(f.outcome.data_len, 0);
    teardown(&f);
}

/* geth and anvil: data is the text; parity: with a word in front; some wrap the node's error; bundlers write
 * it into the message. */
Test(rpc, revert_data_is_found_wherever_nodes_put_it)
{
    const char *const fragments[] = {
        "\"error\":{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0xdeadbeef\"}",
        "\"error\":{\"code\":3,\"message\":\"reverted\",\"data\":\"Reverted 0xdeadbeef\"}",
        "\"error\":{\"code\":3,\"message\":\"reverted\",\"data\":{\"originalError\":{\"data\":\"0xdeadbeef\"}"
        "}}",
        "\"error\":{\"code\":-32521,\"message\":\"reverted during simulation with reason: 0xdeadbeef\"}",
        "\"error\":{\"code\":-32521,\"message\":\"op of 0x1111111111111111111111111111111111111111: "
        "0xDEADBEEF\"}",
    };
    const uint8_t expected[] = {0xde, 0xad, 0xbe, 0xef};
    for (size_t i = 0; i < sizeof(fragments) / sizeof(fragments[0]); i++) {
        struct fixture f;
        setup(&f, (struct behaviour){.fragment = fragments[i]}, good);
        call(&f);
        cr_assert_eq(f.outcome.code, AM_EREMOTE);
        cr_assert_eq(f.outcome.data_len, sizeof(expected), "case %zu", i);
        cr_assert_arr_eq(f.outcome.data, expected, sizeof(expected));
        teardown(&f);
    }
}

Test(rpc, a_cancelled_call_calls_nobody)
{
    const struct timeval moment = {0, 100000};
    struct fixture f;
    setup(&f, good, good);
    rpc_call_cancel(rpc_call(f.rpc, "eth_test", json_object_new_array(), on_result, &f));
    rpc_call_cancel(NULL);
    event_base_loopexit(f.base, &moment);
    event_base_dispatch(f.base);
    cr_assert_eq(f.outcome.calls, 0);
    teardown(&f);
}

Test(rpc, free_cancels_what_is_under_way)
{
    struct fixture f;
    setup(&f, (struct behaviour){.never = true}, good);
    for (int i = 0; i < 5; i++)
        cr_assert(rpc_call(f.rpc, "eth_test", json_object_new_array(), on_result, &f));
    event_base_loop(f.base, EVLOOP_ONCE);
    teardown(&f);
    cr_assert_eq(f.outcome.calls, 0);
}

static void free_service(void *user, const struct rpc_result *result)
{
    struct fixture *f = user;
    (void)result;
    rpc_free(f->rpc);
    f->rpc = NULL;
    event_base_loopbreak(f->base);
}

Test(rpc, the_callback_may_free_the_service)
{
    struct fixture f;
    setup(&f, good, good);
    cr_assert(rpc_call(f.rpc, "eth_test", json_object_new_array(), free_service, &f));
    cr_assert(rpc_call(f.rpc, "eth_test", json_object_new_array(), on_result, &f));
    event_base_dispatch(f.base);
    cr_assert_null(f.rpc);
    teardown(&f);
}

Test(rpc, bad_urls_are_refused)
{
    const char *const bad[] = {"ws://127.0.0.1:1"};
    struct fixture f;
    setup(&f, good, good);
    cr_assert_null(rpc_new(f.http, bad, 1));
    cr_assert_null(rpc_new(f.http, bad, 0));
    teardown(&f);
}

static void on_wrong_chain(void *user, const char *origin, uint64_t chain_id)
{
    struct fixture *f = user;
    f->wrong++;
    cr_assert(strstr(origin, "127.0.0.1:"));
    cr_assert_eq(chain_id, 2);
}

#define RIGHT "\"result\":\"0x1\""
#define WRONG "\"result\":\"0x2\""

Test(rpc, every_url_shows_its_chain_before_its_first_use_and_only_then)
{
    struct fixture f;
    setup(&f, (struct behaviour){.chain = RIGHT, .fragment = "\"result\":\"0x7\""}, good);
    rpc_expect_chain(f.rpc, 1, on_wrong_chain, &f);
    call(&f);
    call(&f);
    cr_assert(f.outcome.code == 0 && f.outcome.endpoint == 0);
    cr_assert(f.behaviours[0].checks == 1 && f.behaviours[0].requests == 2);
    cr_assert_eq(f.behaviours[1].checks, 0);
    cr_assert_eq(f.wrong, 0);
    teardown(&f);
}

Test(rpc, a_url_of_another_chain_is_set_aside)
{
    struct rpc_endpoint endpoints[RPC_URLS_MAX];
    struct fixture f;
    setup(&f, (struct behaviour){.chain = WRONG, .fragment = "\"result\":\"0x8\""},
          (struct behaviour){.chain = RIGHT, .fragment = "\"result\":\"0x7\""});
    rpc_expect_chain(f.rpc, 1, on_wrong_chain, &f);
    call(&f);
    call(&f);
    cr_assert_str_eq(f.outcome.value, "\"0x7\"");
    cr_assert_eq(f.outcome.endpoint, 1);
    cr_assert(f.behaviours[0].checks == 1 && f.behaviours[0].requests == 0, "never used");
    cr_assert_eq(f.wrong, 1);
    cr_assert_eq(rpc_endpoints(f.rpc, endpoints), 2);
    cr_assert(endpoints[0].other_chain == 2 && endpoints[1].other_chain == 0);
    cr_assert(endpoints[1].requests == 3 && endpoints[1].failures == 0);
    teardown(&f);
}

Test(rpc, another_chain_everywhere_is_an_error_of_its_own)
{
    struct fixture f;
    setup(&f, (struct behaviour){.chain = WRONG}, (struct behaviour){.chain = WRONG});
    rpc_expect_chain(f.rpc, 1, on_wrong_chain, &f);
    for (int i = 0; i < 2; i++) {
        call(&f);
        cr_assert_eq(f.outcome.code, AM_EMISMATCH);
        cr_assert(strstr(f.outcome.error, "serves chain 2 instead of 1"), "%s", f.outcome.error);
    }
    cr_assert(f.behaviours[0].checks == 1 && f.behaviours[1].checks == 1);
    teardown(&f);
}

Test(rpc, another_chain_here_and_silence_there_may_still_end_well)
{
    struct fixture f;
    setup(&f, (struct behaviour){.status = 503}, (struct behaviour){.chain = WRONG});
    rpc_expect_chain(f.rpc, 1, on_wrong_chain, &f);
    call(&f);
    cr_assert(f.outcome.code != 0 && f.outcome.code != AM_EMISMATCH, "%s", f.outcome.error);
    f.behaviours[0] = (struct behaviour){.chain = RIGHT, .fragment = "\"result\":\"0x7\""};
    call(&f);
    cr_assert_str_eq(f.outcome.value, "\"0x7\"");
    teardown(&f);
}

Test(rpc, a_url_that_does_not_show_its_chain_is_not_used)
{
    static const char *const answers[] = {"\"result\":1", "\"result\":null",
                                          "\"error\":{\"code\":-32601,\"message\":\"no such method\"}"};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct fixture f;
        setup(&f, (struct behaviour){.chain = answers[i], .fragment = "\"result\":\"0x8\""},
              (struct behaviour){.chain = RIGHT, .fragment = "\"result\":\"0x7\""});
        rpc_expect_chain(f.rpc, 1, on_wrong_chain, &f);
        call(&f);
        cr_assert_str_eq(f.outcome.value, "\"0x7\"", "case %zu: %s", i, f.outcome.error);
        cr_assert_eq(f.behaviours[0].requests, 0);
        teardown(&f);
    }
}

Test(rpc, a_rate_limit_without_a_time_is_left_alone_for_one_of_our_own)
{
    const struct behaviour limits[] = {
        {.status = 429, .raw = "slow down"},
        {.fragment = "\"error\":{\"code\":429,\"message\":\"compute units\"}"},
    };
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct rpc_endpoint endpoints[RPC_URLS_MAX];
        struct fixture f;
        setup(&f, limits[i], limits[i]);
        call(&f);
        cr_assert_eq(f.outcome.code, -EBUSY, "case %zu: %s", i, f.outcome.error);
        call(&f);
        cr_assert_eq(f.outcome.code, -EBUSY, "case %zu: %s", i, f.outcome.error);
        cr_assert(f.behaviours[0].requests == 1 && f.behaviours[1].requests == 1, "case %zu", i);
        rpc_endpoints(f.rpc, endpoints);
        cr_assert(endpoints[0].rate_limits == 1 && endpoints[0].failures == 1 && !endpoints[0].working);
        teardown(&f);
    }
}

Test(rpc, a_url_that_lags_comes_after_the_others)
{
    struct rpc_endpoint endpoints[RPC_URLS_MAX];
    struct fixture f;
    setup(&f, good, good);
    rpc_note_block(f.rpc, 1, 100);
    rpc_note_block(f.rpc, 0, 100 - RPC_LAG_BLOCKS);
    call(&f);
    cr_assert_eq(f.outcome.endpoint, 0, "a few blocks are nothing");
    rpc_note_block(f.rpc, 0, 100 - RPC_LAG_BLOCKS - 1);
    rpc_endpoints(f.rpc, endpoints);
    cr_assert(endpoints[0].lag == RPC_LAG_BLOCKS + 1 && endpoints[1].lag == 0);
    call(&f);
    cr_assert_eq(f.outcome.endpoint, 1);
    rpc_note_block(f.rpc, 0, 101);
    call(&f);
    cr_assert_eq(f.outcome.endpoint, 0);
    rpc_note_block(f.rpc, 0, 50);
    call(&f);
    cr_assert_eq(f.outcome.endpoint, 0, "a chain that became shorter where it was newest is no lag");
    teardown(&f);
}
