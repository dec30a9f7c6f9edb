#include "indexer/feed.h"

#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/log.h"
#include "evm/eth_log.h"
#include "evm/field.h"
#include "evm/log_filter.h"
#include "evm/rpc.h"

#define RETRY_MS 1000

struct feed {
    struct event_base *base;
    struct rpc *node;
    struct watcher *watcher;
    struct event *timer;
    struct rpc_call *call;
    bool for_latest; /* block, which tells how far an endpoint is */
    uint64_t calls;
    char error[AM_ERR_TEXT_MAX];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_ms(struct feed *feed, uint64_t delay_ms)
{
    const struct timeval delay = {(time_t)(delay_ms / 1000), (suseconds_t)(delay_ms % 1000 * 1000)};
    evtimer_add(feed->timer, &delay);
}

/* ---- Answers ---- */

static void fail(struct feed *feed, int code, const char *text)
{
    snprintf(feed->error, sizeof(feed->error), "%s", text);
    log_warn("feed.failed", log_text("reason", text));
    watcher_failed(feed->watcher, now_ms(), code);
}

static void take_header(struct feed *feed, const struct eth_header *header, size_t endpoint)
{
    if (feed->for_latest)
        rpc_note_block(feed->node, endpoint, header->number);
    watcher_header(feed->watcher, now_ms(), header, endpoint);
}

static void on_header(void *user, const struct rpc_result *result)
{
    struct feed *feed = user;
    struct eth_header header;
    struct am_err err;
    feed->call = NULL;
    if (result->code)
        fail(feed, result->code, result->error);
    else if (!result->value)
        watcher_header(feed->watcher, now_ms(), NULL, result->endpoint);
    else if (eth_header_parse(result->value, &header, &err) != 0)
        fail(feed, err.code, err.text);
    else
        take_header(feed, &header, result->endpoint);
    sleep_ms(feed, 0);
}

static void on_logs(void *user, const struct rpc_result *result)
{
    struct feed *feed = user;
    struct eth_logs logs;
    struct am_err err;
    feed->call = NULL;
    if (result->code) {
        fail(feed, result->code, result->error);
    } else if (eth_logs_parse(result->value, WATCHER_LOGS_MAX, &logs, &err) != 0) {
        fail(feed, err.code, err.text);
    } else {
        watcher_logs(feed->watcher, now_ms(), &logs, result->endpoint);
        eth_logs_free(&logs);
        feed->error[0] = '\0';
    }
    sleep_ms(feed, 0);
}

/* ---- Questions ---- */

static json_object *quantity(uint64_t value)
{
    const struct uint256 wide = uint256_of_u64(value);
    return field_of_quantity(&wide);
}

static json_object *header_params(uint64_t number)
{
    json_object *params = json_object_new_array();
    if (field_append(params,
                     number == WATCHER_LATEST ? json_object_new_string("latest") : quantity(number)) &&
        field_append(params, json_object_new_boolean(false)))
        return params;
    json_object_put(params);
    return NULL;
}

static json_object *logs_params(const struct watcher_ask *ask)
{
    const struct log_filter filter = {.addresses = ask->addresses, .addresses_len = ask->addresses_len};
    return log_filter_params(
        &filter,
        &(struct log_place){.hash = ask->by_hash ? &ask->hash : NULL, .from = ask->from, .to = ask->to});
}

static struct rpc_call *ask_node(struct feed *feed, const struct watcher_ask *ask)
{
    const bool for_header = ask->type == WATCHER_READ_HEADER;
    json_object *params = for_header ? header_params(ask->number) : logs_params(ask);
    if (!params)
        return NULL;
    feed->calls++;
    feed->for_latest = for_header && ask->number == WATCHER_LATEST;
    return rpc_call(feed->node, for_header ? "eth_getBlockByNumber" : "eth_getLogs", params,
                    for_header ? on_header : on_logs, feed);
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    struct feed *feed = user;
    struct watcher_ask ask;
    const uint64_t now = now_ms();
    (void)fd, (void)what;
    watcher_next(feed->watcher, now, &ask);
    if (ask.type == WATCHER_WAIT) {
        sleep_ms(feed, ask.until_ms - now);
        return;
    }
    feed->call = ask_node(feed, &ask);
    if (!feed->call)
        sleep_ms(feed, RETRY_MS);
}

/* ---- Life ---- */

struct feed *feed_new(struct event_base *base, struct rpc *node, struct watcher *watcher)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        return NULL;
    *feed = (struct feed){.base = base, .node = node, .watcher = watcher};
    feed->timer = evtimer_new(base, on_timer, feed);
    if (!feed->timer) {
        free(feed);
        return NULL;
    }
    sleep_ms(feed, 0);
    return feed;
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    rpc_call_cancel(feed->call);
    event_free(feed->timer);
    free(feed);
}

uint64_t feed_calls(const struct feed *feed)
{
    return feed->calls;
}

const char *feed_error(const struct feed *feed)
{
    return feed->error;
}
