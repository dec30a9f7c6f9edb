#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evm/field.h"
#include "evm/log_reader.h"
#include "test/unit/evm/fake_server.h"

#define TOPIC "0x1111111111111111111111111111111111111111111111111111111111111111"
#define ANSWER_SIZE 400000

static const struct address cluster = {{0xc1}};

/* A chain with `per_block` logs in each block, behind a provider with limits. */
struct fixture {
    struct event_base *base;
    struct http_client *http;
    struct fake_server *server;
    struct rpc *rpc;
    struct log_reader *reader;
    struct bytes32 topic;

    uint64_t range_limit; /* 0: none */
    uint64_t logs_limit;  /* 0: none */
    unsigned per_block;
    bool backwards;
    const char *lie; /* instead of the logs */
    int status;      /* instead of 200 when not 0 */

    unsigned questions;
    uint64_t widest;
    uint64_t expect_block; /* of the next log that is taken */
    uint32_t expect_index;
    uint64_t taken;
    size_t most;        /* in one callback */
    uint64_t cancel_at; /* after so many logs, 0: never */
    unsigned done;
    struct log_reader_result result;
    char error[AM_ERR_TEXT_MAX];
};

static int print_log(char *out, size_t size, const char *comma, uint64_t block, unsigned index)
{
    return snprintf(
        out, size,
        "%s{\"address\":\"0xc100000000000000000000000000000000000000\",\"blockNumber\":\"0x%llx\","
        "\"blockHash\":\"0x%064llx\",\"transactionHash\":\"" TOPIC "\",\"logIndex\":\"0x%x\","
        "\"topics\":[\"" TOPIC "\"],\"data\":\"0x\"}",
        comma, (unsigned long long)block, (unsigned long long)block, index);
}

static char *print_logs(const struct fixture *f, uint64_t from, uint64_t to)
{
    char *text = malloc(ANSWER_SIZE);
    size_t len = (size_t)sprintf(text, "\"result\":[");
    for (uint64_t i = 0; i <= to - from; i++) {
        for (unsigned index = 0; index < f->per_block; index++) {
            len += (size_t)print_log(text + len, ANSWER_SIZE - len, i + index ? "," : "",
                                     f->backwards ? to - i : from + i, index);
            cr_assert_lt(len, ANSWER_SIZE - 2);
        }
    }
    strcpy(text + len, "]");
    return text;
}

static void handle(void *user, const struct fake_request *request, struct fake_reply *reply)
{
    struct fixture *f = user;
    json_object *root = json_tokener_parse(request->body);
    json_object *filter = json_object_array_get_idx(json_object_object_get(root, "params"), 0);
    uint64_t from, to;
    cr_assert(field_u64(filter, "fromBlock", &from) && field_u64(filter, "toBlock", &to) && from <= to);
    const uint64_t blocks = to - from + 1;
    f->questions++;
    if (f->widest < blocks)
        f->widest = blocks;
    reply->status = f->status ? f->status : 200;
    if (f->lie) {
        fake_reply_rpc(reply, request, f->lie);
    } else if (f->range_limit && blocks > f->range_limit) {
        fake_reply_rpc(reply, request, "\"error\":{\"code\":-32602,\"message\":\"block range too wide\"}");
    } else if (f->logs_limit && blocks * f->per_block > f->logs_limit) {
        fake_reply_rpc(reply, request, "\"error\":{\"code\":-32005,\"message\":\"too many results\"}");
    } else {
        char *logs = print_logs(f, from, to);
        fake_reply_rpc(reply, request, logs);
        free(logs);
    }
    json_object_put(root);
}

static void on_take(void *user, const struct eth_log *logs, size_t len)
{
    struct fixture *f = user;
    cr_assert(len > 0 && len <= LOG_READER_BATCH_MAX);
    if (f->most < len)
        f->most = len;
    for (size_t i = 0; i < len; i++) {
        cr_assert(logs[i].block == f->expect_block && logs[i].index == f->expect_index,
                  "in order, each once");
        f->expect_index = (f->expect_index + 1) % f->per_block;
        f->expect_block += f->expect_index == 0;
        f->taken++;
    }
    if (f->cancel_at && f->taken >= f->cancel_at) {
        log_reader_cancel(f->reader);
        event_base_loopbreak(f->base);
    }
}

static void on_done(void *user, const struct log_reader_result *result)
{
    struct fixture *f = user;
    f->done++;
    f->result = *result;
    snprintf(f->error, sizeof(f->error), "%s", result->error ? result->error : "");
    event_base_loopbreak(f->base);
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){.per_block = 1};
    memset(f->topic.b, 0x11, sizeof(f->topic.b));
    f->base = event_base_new();
    f->http = http_client_new(f->base);
    f->server = fake_server_new(f->base, NULL, handle, f);
    const char *const urls[] = {fake_server_url(f->server)};
    f->rpc = rpc_new(f->http, urls, 1);
    struct log_filter filter = {.addresses = &cluster, .addresses_len = 1};
    filter.topics[0].any = &f->topic;
    filter.topics[0].len = 1;
    f->reader = log_reader_new(f->rpc, &filter);
    cr_assert(f->reader);
}

static void teardown(struct fixture *f)
{
    log_reader_free(f->reader);
    rpc_free(f->rpc);
    fake_server_free(f->server);
    http_client_free(f->http);
    event_base_free(f->base);
}

static void read_span(struct fixture *f, uint64_t from, uint64_t to)
{
    f->done = 0;
    f->expect_block = from;
    f->expect_index = 0;
    f->taken = 0;
    f->questions = 0;
    cr_assert_eq(log_reader_start(f->reader, from, to, on_take, on_done, f), 0);
    cr_assert_eq(f->done, 0, "never from within the call");
    event_base_dispatch(f->base);
}

Test(log_reader, a_small_span_is_one_question)
{
    struct fixture f;
    setup(&f);
    read_span(&f, 10, 19);
    cr_assert(f.done == 1 && f.result.code == 0 && f.result.next == 20);
    cr_assert(f.questions == 1 && f.taken == 10);
    teardown(&f);
}

Test(log_reader, a_long_span_is_many_questions_and_callbacks)
{
    struct fixture f;
    setup(&f);
    f.per_block = 0;
    read_span(&f, 0, 3 * LOG_READER_RANGE_MAX);
    cr_assert(f.result.code == 0 && f.questions == 4 && f.widest == LOG_READER_RANGE_MAX);

    f.per_block = 3;
    f.backwards = false;
    read_span(&f, 100, 299);
    cr_assert(f.result.code == 0 && f.taken == 600 && f.most == LOG_READER_BATCH_MAX);
    teardown(&f);
}

Test(log_reader, order_is_made_where_the_answer_has_none)
{
    struct fixture f;
    setup(&f);
    f.backwards = true;
    f.per_block = 2;
    read_span(&f, 5, 9);
    cr_assert(f.result.code == 0 && f.taken == 10);
    teardown(&f);
}

Test(log_reader, a_range_limit_halves_and_is_remembered)
{
    struct fixture f;
    setup(&f);
    f.range_limit = 100;
    read_span(&f, 0, 999);
    cr_assert(f.result.code == 0 && f.taken == 1000);
    cr_assert_leq(log_reader_range(f.reader), 128);
    cr_assert_leq(f.questions, 4 + 17 + 2, "refused until it fits, and tried again seldom");
    read_span(&f, 0, 49);
    cr_assert_eq(f.questions, 1);
    teardown(&f);
}

Test(log_reader, a_result_limit_halves)
{
    struct fixture f;
    setup(&f);
    f.logs_limit = 10;
    f.per_block = 3;
    read_span(&f, 0, 99);
    cr_assert(f.result.code == 0 && f.taken == 300);
    teardown(&f);
}

Test(log_reader, ranges_grow_again)
{
    struct fixture f;
    setup(&f);
    f.range_limit = 1;
    f.per_block = 0;
    read_span(&f, 0, 3);
    cr_assert_eq(log_reader_range(f.reader), 1);
    f.range_limit = 0;
    read_span(&f, 0, 20 * LOG_READER_RANGE_MAX);
    cr_assert_eq(log_reader_range(f.reader), LOG_READER_RANGE_MAX);
    teardown(&f);
}

Test(log_reader, a_block_that_is_refused_alone_ends_the_read)
{
    struct fixture f;
    setup(&f);
    f.logs_limit = 2;
    f.per_block = 3;
    read_span(&f, 7, 9);
    cr_assert(f.done == 1 && f.result.code == AM_EREMOTE && f.result.next == 7 && f.taken == 0);
    cr_assert(strstr(f.error, "too many results"), "%s", f.error);
    teardown(&f);
}

Test(log_reader, an_unreachable_node_is_asked_once)
{
    struct fixture f;
    setup(&f);
    f.status = 502;
    f.lie = "\"nothing\":0";
    read_span(&f, 0, 9);
    cr_assert(f.done == 1 && f.result.code == -EIO && f.questions == 1 && f.result.next == 0, "%s", f.error);
    teardown(&f);
}

#define LIE(address, block, more)                                                                            \
    "{\"address\":\"" address "\",\"blockNumber\":\"" block "\",\"blockHash\":\"" TOPIC                      \
    "\",\"transactionHash\":\"" TOPIC "\",\"logIndex\":\"0x2\",\"topics\":[\"" TOPIC                         \
    "\"],\"data\":\"0x\"" more "}"
#define ZERO "\"0x0000000000000000000000000000000000000000000000000000000000000000\""
#define OURS "0xc100000000000000000000000000000000000000"

Test(log_reader, an_answer_to_another_question_is_refused)
{
    static const char *const lies[][2] = {
        {"\"result\":[" LIE("0xc200000000000000000000000000000000000000", "0x5", "") "]", "not asked for"},
        {"\"result\":[" LIE(OURS, "0xa", "") "]", "block 10, outside"},
        {"\"result\":[" LIE(OURS, "0x5", ",\"removed\":true") "]", "undone"},
        {"\"result\":[" LIE(OURS, "0x5", "") "," LIE(OURS, "0x5", "") "]", "twice"},
        {"\"result\":[" LIE(OURS, "0x5", "") "," LIE(OURS, "0x5",
                                                     ",\"logIndex\":\"0x3\",\"blockHash\":" ZERO) "]",
         "two blocks 5"},
        {"\"result\":{}", "no array"},
        {"\"result\":null", "no array"},
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct fixture f;
        setup(&f);
        f.lie = lies[i][0];
        read_span(&f, 0, 9);
        cr_assert(f.done == 1 && f.result.code == AM_EFORMAT && f.taken == 0, "case %zu: %s", i, f.error);
        cr_assert(strstr(f.error, lies[i][1]), "case %zu: %s", i, f.error);
        cr_assert_eq(f.questions, 1, "case %zu", i);
        teardown(&f);
    }
}

Test(log_reader, a_read_is_cancelled_from_its_callback)
{
    struct fixture f;
    setup(&f);
    f.cancel_at = 1;
    f.per_block = 2;
    read_span(&f, 0, 99);
    cr_assert(f.done == 0 && f.taken == LOG_READER_BATCH_MAX);
    f.cancel_at = 0;
    read_span(&f, 0, 9);
    cr_assert(f.done == 1 && f.result.code == 0 && f.taken == 20);
    teardown(&f);
}

Test(log_reader, one_read_at_a_time_and_forwards)
{
    struct fixture f;
    setup(&f);
    cr_assert_eq(log_reader_start(f.reader, 9, 8, on_take, on_done, &f), -EINVAL);
    cr_assert_eq(log_reader_start(f.reader, 0, 9, on_take, on_done, &f), 0);
    cr_assert_eq(log_reader_start(f.reader, 0, 9, on_take, on_done, &f), -EBUSY);
    teardown(&f); /* with a read under way: no callback, nothing leaks */
}
