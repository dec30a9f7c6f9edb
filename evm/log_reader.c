#include "evm/log_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Good answers in a row: a provider's limit is run into now and then, not every time. */
#define GROW_AFTER 8

struct log_reader {
    struct rpc *node;
    struct log_filter filter;
    uint64_t range;
    unsigned good; /* answers since the range was changed */
    struct rpc_call *call;
    bool reading;
    uint64_t from, end; /* of the question under way */
    uint64_t to;
    log_reader_take_fn take;
    log_reader_done_fn done;
    void *user;
};

static void finish(struct log_reader *reader, int code, const char *error, uint32_t retry_after_s)
{
    reader->reading = false;
    reader->done(reader->user, &(struct log_reader_result){
                                   .code = code,
                                   .error = code ? error : NULL,
                                   .retry_after_s = retry_after_s,
                                   .next = code ? reader->from : reader->to + 1,
                               });
}

/* ---- Ranges ---- */

static void grow(struct log_reader *reader)
{
    if (reader->range >= LOG_READER_RANGE_MAX || ++reader->good < GROW_AFTER)
        return;
    reader->range = reader->range < LOG_READER_RANGE_MAX / 2 ? 2 * reader->range : LOG_READER_RANGE_MAX;
    reader->good = 0;
}

/* Halves what was asked. False when that was one block already. */
static bool halve(struct log_reader *reader)
{
    const uint64_t asked = reader->end - reader->from + 1;
    reader->range = asked > 1 ? asked / 2 : 1;
    reader->good = 0;
    return asked > 1;
}

/* ---- Answers ---- */

static int check_log(const struct log_reader *reader, const struct eth_log *log, const struct eth_log *before,
                     struct am_err *err)
{
    if (!log_filter_accepts(&reader->filter, log))
        return am_fail(err, AM_EFORMAT, "eth_getLogs: the answer has a log that was not asked for");
    if (log->block < reader->from || log->block > reader->end)
        return am_fail(err, AM_EFORMAT,
                       "eth_getLogs: the answer has a log of block %" PRIu64 ", outside of %" PRIu64
                       " to %" PRIu64,
                       log->block, reader->from, reader->end);
    if (!before || before->block != log->block)
        return 0;
    if (before->index == log->index)
        return am_fail(err, AM_EFORMAT, "eth_getLogs: the answer has one log of block %" PRIu64 " twice",
                       log->block);
    if (!bytes32_equal(&before->block_hash, &log->block_hash))
        return am_fail(err, AM_EFORMAT, "eth_getLogs: the answer has two blocks %" PRIu64, log->block);
    return 0;
}

static int read_answer(const struct log_reader *reader, const struct rpc_result *result,
                       struct eth_logs *logs, struct am_err *err)
{
    if (result->code)
        return am_fail(err, result->code, "%s", result->error);
    int code = eth_logs_parse(result->value, LOG_READER_LOGS_MAX, logs, err);
    eth_logs_sort(logs->items, logs->len);
    for (size_t i = 0; !code && i < logs->len; i++)
        code = check_log(reader, &logs->items[i], i > 0 ? &logs->items[i - 1] : NULL, err);
    return code;
}

/* False when `take` cancelled the read. */
static bool deliver(struct log_reader *reader, const struct eth_logs *logs)
{
    for (size_t i = 0; i < logs->len && reader->reading; i += LOG_READER_BATCH_MAX) {
        const size_t left = logs->len - i;
        reader->take(reader->user, logs->items + i,
                     left < LOG_READER_BATCH_MAX ? left : LOG_READER_BATCH_MAX);
    }
    return reader->reading;
}

/* Whether a smaller question may be answered where this one was not. */
static bool is_too_large(int code)
{
    return code == AM_EREMOTE || code == -EMSGSIZE || code == -ETIMEDOUT;
}

static void ask_or_fail(struct log_reader *reader);

static void on_logs(void *user, const struct rpc_result *result)
{
    struct log_reader *reader = user;
    struct eth_logs logs = {0};
    struct am_err err = {0};
    reader->call = NULL;
    const int code = read_answer(reader, result, &logs, &err);
    const bool delivered = !code && deliver(reader, &logs);
    eth_logs_free(&logs);
    if (code && is_too_large(code) && halve(reader)) {
        ask_or_fail(reader);
    } else if (code) {
        finish(reader, code, err.text, result->retry_after_s);
    } else if (delivered && reader->end == reader->to) {
        grow(reader);
        finish(reader, 0, NULL, 0);
    } else if (delivered) {
        grow(reader);
        reader->from = reader->end + 1;
        ask_or_fail(reader);
    }
}

/* ---- Questions ---- */

static int ask(struct log_reader *reader)
{
    const uint64_t left = reader->to - reader->from;
    reader->end = left < reader->range ? reader->to : reader->from + reader->range - 1;
    json_object *params =
        log_filter_params(&reader->filter, &(struct log_place){.from = reader->from, .to = reader->end});
    if (params)
        reader->call = rpc_call(reader->node, "eth_getLogs", params, on_logs, reader);
    return reader->call ? 0 : -ENOMEM;
}

static void ask_or_fail(struct log_reader *reader)
{
    if (ask(reader) != 0)
        finish(reader, -ENOMEM, "eth_getLogs: out of memory, or too many requests under way", 0);
}

int log_reader_start(struct log_reader *reader, uint64_t from, uint64_t to, log_reader_take_fn take,
                     log_reader_done_fn done, void *user)
{
    if (reader->reading)
        return -EBUSY;
    if (to < from)
        return -EINVAL;
    reader->from = from;
    reader->to = to;
    reader->take = take;
    reader->done = done;
    reader->user = user;
    const int code = ask(reader);
    reader->reading = code == 0;
    return code;
}

void log_reader_cancel(struct log_reader *reader)
{
    rpc_call_cancel(reader->call);
    reader->call = NULL;
    reader->reading = false;
}

/* ---- Life ---- */

struct log_reader *log_reader_new(struct rpc *node, const struct log_filter *filter)
{
    struct log_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return NULL;
    reader->node = node;
    reader->filter = *filter;
    reader->range = LOG_READER_RANGE_MAX;
    return reader;
}

void log_reader_free(struct log_reader *reader)
{
    if (!reader)
        return;
    log_reader_cancel(reader);
    free(reader);
}

uint64_t log_reader_range(const struct log_reader *reader)
{
    return reader->range;
}
