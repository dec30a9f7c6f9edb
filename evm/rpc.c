#include "evm/rpc.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evm/field.h"
#include "evm/health.h"
#include "evm/monotonic.h"
#include "evm/rpc_answer.h"

#define METHOD_SIZE 64
#define CHECK_SIZE 128
#define HTTP_TOO_MANY_REQUESTS 429 /* also a JSON-RPC code */
#define LEAVE_DOUBLINGS 5          /* a second, doubled so often at most */
#define LAGGING_MS 60000           /* others are asked first for so long */

enum chain_check { CHAIN_UNCHECKED, CHAIN_RIGHT, CHAIN_WRONG };

struct rpc_url {
    char *text;
    char origin[HTTP_ORIGIN_SIZE];
    struct health health;
    enum chain_check chain;
    uint64_t chain_id; /* that it serves, once checked */
    uint64_t requests, failures, rate_limits;
    uint64_t block, lag;
    uint64_t lagging_until_ms;
};

struct rpc_call {
    struct rpc *rpc;
    struct rpc_call *next, **link;
    struct http_exchange *exchange; /* one of the two */
    struct event *refusal;          /* fails the call from the loop */
    int64_t id;
    size_t order[RPC_URLS_MAX]; /* indices into rpc->urls */
    size_t order_len;           /* without those that asked to be left alone */
    size_t tried, url;          /* how many of `order`; the last one's index */
    char *body;
    char method[METHOD_SIZE];
    rpc_done_fn done;
    void *user;
};

struct rpc {
    struct http_client *http;
    struct rpc_url urls[RPC_URLS_MAX];
    size_t urls_len;
    size_t answer_max; /* 0: the client's own */
    int64_t last_id;
    struct rpc_call *calls;
    uint64_t chain_id; /* 0: any */
    rpc_wrong_chain_fn wrong_chain;
    void *user;
    uint64_t newest; /* block */
    size_t newest_url;
};

static const struct health_backoff url_backoff = {.floor_ms = 2000, .ceiling_ms = 300000};

/* ---- URLs ---- */

static enum health_rank rank_url(const struct rpc_url *url, uint64_t now_ms)
{
    if (url->chain == CHAIN_WRONG)
        return HEALTH_CLOSED;
    const enum health_rank rank = health_rank(&url->health, now_ms);
    return rank == HEALTH_GOOD && now_ms < url->lagging_until_ms ? HEALTH_DOUBTFUL : rank;
}

static void order_urls(struct rpc_call *call)
{
    const struct rpc *rpc = call->rpc;
    enum health_rank ranks[RPC_URLS_MAX] = {0};
    const uint64_t now_ms = monotonic_ms();
    for (size_t i = 0; i < rpc->urls_len; i++) {
        ranks[i] = rank_url(&rpc->urls[i], now_ms);
        call->order_len += ranks[i] != HEALTH_CLOSED;
    }
    health_order(ranks, rpc->urls_len, call->order);
}

static bool all_wrong(const struct rpc *rpc)
{
    size_t wrong = 0;
    for (size_t i = 0; i < rpc->urls_len; i++)
        wrong += rpc->urls[i].chain == CHAIN_WRONG;
    return wrong == rpc->urls_len;
}

/* A 429 that does not say for how long is left alone for a time of our own. */
static void fail_url(struct rpc_url *url, int code, uint32_t retry_after_s)
{
    const uint32_t doublings =
        url->health.failures < LEAVE_DOUBLINGS ? url->health.failures : LEAVE_DOUBLINGS;
    url->failures++;
    if (code == -EBUSY) {
        url->rate_limits++;
        if (retry_after_s == 0)
            retry_after_s = UINT32_C(1) << doublings;
    }
    health_fail(&url->health, &url_backoff, monotonic_ms(), retry_after_s, randombytes_random());
}

void rpc_note_block(struct rpc *rpc, size_t endpoint, uint64_t block)
{
    struct rpc_url *url = &rpc->urls[endpoint];
    if (block >= rpc->newest || endpoint == rpc->newest_url) {
        rpc->newest = block;
        rpc->newest_url = endpoint;
    }
    url->block = block;
    url->lag = rpc->newest - block;
    url->lagging_until_ms = url->lag > RPC_LAG_BLOCKS ? monotonic_ms() + LAGGING_MS : 0;
}

/* ---- Calls ---- */

static void call_unlink(struct rpc_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
}

static void call_free(struct rpc_call *call)
{
    if (call->refusal)
        event_free(call->refusal);
    free(call->body);
    free(call);
}

/* The call leaves the list first, so that `done` may free the service. */
static void call_finish(struct rpc_call *call, const struct rpc_result *result)
{
    call_unlink(call);
    call->done(call->user, result);
    call_free(call);
}

static int read_answer(const struct rpc_call *call, const struct http_answer *http, struct rpc_answer *answer,
                       struct am_err *err)
{
    int code = http->code;
    if (code)
        am_fail(err, code, "%s", http->error);
    else if (http->status == HTTP_TOO_MANY_REQUESTS)
        code = am_fail(err, -EBUSY, "too many requests");
    else
        code = rpc_answer_parse(http->body, http->body_len, call->id, answer, err);
    if (code == AM_EREMOTE && answer->rpc_code == HTTP_TOO_MANY_REQUESTS)
        code = err->code = -EBUSY;
    if (code == AM_EFORMAT && (http->status < 200 || http->status > 299))
        code = am_fail(err, -EIO, "HTTP status %ld", http->status);
    if (code)
        am_fail_context(err, "%s", call->rpc->urls[call->url].origin);
    return code;
}

static void on_http(void *user, const struct http_answer *http);
static void on_check(void *user, const struct http_answer *http);

static bool send_body(struct rpc_call *call, const char *body, http_done_fn done)
{
    struct rpc_url *url = &call->rpc->urls[call->url];
    const struct http_request request = {
        .url = url->text,
        .body = body,
        .body_len = strlen(body),
        .answer_max = call->rpc->answer_max,
    };
    call->exchange = http_client_start(call->rpc->http, &request, done, call);
    url->requests += call->exchange != NULL;
    return call->exchange;
}

/* Sends to call->url, which may have to show its chain first. */
static bool send_call(struct rpc_call *call)
{
    char check[CHECK_SIZE];
    if (call->rpc->chain_id == 0 || call->rpc->urls[call->url].chain == CHAIN_RIGHT)
        return send_body(call, call->body, on_http);
    snprintf(check, sizeof(check),
             "{\"params\":[],\"jsonrpc\":\"2.0\",\"id\":%" PRId64 ",\"method\":\"eth_chainId\"}", call->id);
    return send_body(call, check, on_check);
}

/* Sends to the first of the URLs left that takes a request at all. */
static bool send_to_next(struct rpc_call *call)
{
    while (call->tried < call->order_len) {
        call->url = call->order[call->tried++];
        if (call->rpc->urls[call->url].chain != CHAIN_WRONG && send_call(call))
            return true;
    }
    return false;
}

/* Every URL serves another chain: no caller can do anything but stop. */
static int fail_all_wrong(const struct rpc *rpc, struct am_err *err)
{
    return am_fail(err, AM_EMISMATCH, "%s serves chain %" PRIu64 " instead of %" PRIu64 "%s",
                   rpc->urls[0].origin, rpc->urls[0].chain_id, rpc->chain_id,
                   rpc->urls_len > 1 ? ", and the others serve wrong ones too" : "");
}

/* What the URL's chain is. Returns 0 when it is the right one. */
static int check_chain(struct rpc_call *call, const struct rpc_answer *answer, struct am_err *err)
{
    struct rpc *rpc = call->rpc;
    struct rpc_url *url = &rpc->urls[call->url];
    if (!json_object_is_type(answer->value, json_type_string) ||
        !quantity_parse_u64(json_object_get_string(answer->value), &url->chain_id))
        return am_fail(err, AM_EFORMAT, "%s: eth_chainId: the result is no quantity", url->origin);
    if (url->chain_id == rpc->chain_id) {
        url->chain = CHAIN_RIGHT;
        return 0;
    }
    const bool is_news = url->chain != CHAIN_WRONG;
    url->chain = CHAIN_WRONG;
    if (is_news && rpc->wrong_chain)
        rpc->wrong_chain(rpc->user, url->origin, url->chain_id);
    return am_fail(err, AM_EMISMATCH, "%s serves chain %" PRIu64 " instead of %" PRIu64, url->origin,
                   url->chain_id, rpc->chain_id);
}

/* Goes on to the next URL, or ends the call with what the last one said. */
static void call_move_on(struct rpc_call *call, const struct http_answer *http, struct am_err *err)
{
    if (send_to_next(call))
        return;
    if (all_wrong(call->rpc))
        fail_all_wrong(call->rpc, err);
    else if (err->code == AM_EMISMATCH)
        err->code = -EIO; /* the others may come back */
    am_fail_context(err, "%s", call->method);
    call_finish(call, &(struct rpc_result){.code = err->code,
                                           .endpoint = call->url,
                                           .retry_after_s = http->retry_after_s,
                                           .error = err->text});
}

static void call_answer(struct rpc_call *call, const struct http_answer *http,
                        const struct rpc_answer *answer, int code, struct am_err *err)
{
    if (code)
        am_fail_context(err, "%s", call->method);
    call_finish(call, &(struct rpc_result){
                          .code = code,
                          .endpoint = call->url,
                          .value = answer->value,
                          .rpc_code = answer->rpc_code,
                          .message = answer->message,
                          .data = answer->data_len ? answer->data : NULL,
                          .data_len = answer->data_len,
                          .error_data = answer->error_data,
                          .retry_after_s = http->retry_after_s,
                          .error = code ? err->text : NULL,
                      });
}

static void on_http(void *user, const struct http_answer *http)
{
    struct rpc_call *call = user;
    struct rpc_url *url = &call->rpc->urls[call->url];
    struct rpc_answer answer = {0};
    struct am_err err = {0};
    const int code = read_answer(call, http, &answer, &err);
    call->exchange = NULL;
    if (code == 0 || code == AM_EREMOTE) {
        health_succeed(&url->health);
        call_answer(call, http, &answer, code, &err);
    } else {
        fail_url(url, code, http->retry_after_s);
        call_move_on(call, http, &err);
    }
    rpc_answer_free(&answer);
}

/* The URL has shown its chain; if that is the right one, the call goes there. */
static void on_check(void *user, const struct http_answer *http)
{
    struct rpc_call *call = user;
    struct rpc_url *url = &call->rpc->urls[call->url];
    struct rpc_answer answer = {0};
    struct am_err err = {0};
    int code = read_answer(call, http, &answer, &err);
    call->exchange = NULL;
    if (!code)
        code = check_chain(call, &answer, &err);
    rpc_answer_free(&answer);
    if (code)
        fail_url(url, code, http->retry_after_s);
    else if (send_body(call, call->body, on_http))
        return;
    else
        am_fail(&err, -ENOMEM, "out of memory, or too many requests under way");
    call_move_on(call, http, &err);
}

/* No URL is left to ask: they want to be left alone for a while, or serve another chain. */
static void on_refusal(evutil_socket_t fd, short what, void *user)
{
    struct rpc_call *call = user;
    struct am_err err;
    uint64_t open_ms = UINT64_MAX;
    const uint64_t now_ms = monotonic_ms();
    (void)fd, (void)what;
    for (size_t i = 0; i < call->rpc->urls_len; i++) {
        if (call->rpc->urls[i].health.closed_until_ms < open_ms)
            open_ms = call->rpc->urls[i].health.closed_until_ms;
    }
    if (all_wrong(call->rpc))
        fail_all_wrong(call->rpc, &err);
    else
        am_fail(&err, -EBUSY, "%s: asked not to be called for a while", call->rpc->urls[0].origin);
    am_fail_context(&err, "%s", call->method);
    call_finish(call, &(struct rpc_result){
                          .code = err.code,
                          .retry_after_s = open_ms > now_ms ? (uint32_t)((open_ms - now_ms + 999) / 1000) : 0,
                          .error = err.text,
                      });
}

static bool refuse(struct rpc_call *call)
{
    call->refusal = evtimer_new(http_client_base(call->rpc->http), on_refusal, call);
    if (call->refusal)
        event_active(call->refusal, EV_TIMEOUT, 0);
    return call->refusal;
}

struct rpc *rpc_new(struct http_client *http, const char *const *urls, size_t urls_len)
{
    struct rpc *rpc = calloc(1, sizeof(*rpc));
    bool usable = rpc && urls_len >= 1 && urls_len <= RPC_URLS_MAX;
    for (size_t i = 0; usable && i < urls_len; i++) {
        usable = http_url_origin(urls[i], rpc->urls[i].origin);
        rpc->urls[i].text = strdup(urls[i]);
        usable = usable && rpc->urls[i].text;
    }
    if (!usable) {
        rpc_free(rpc);
        return NULL;
    }
    rpc->http = http;
    rpc->urls_len = urls_len;
    return rpc;
}

void rpc_set_answer_max(struct rpc *rpc, size_t answer_max)
{
    rpc->answer_max = answer_max;
}

void rpc_expect_chain(struct rpc *rpc, uint64_t chain_id, rpc_wrong_chain_fn wrong_chain, void *user)
{
    rpc->chain_id = chain_id;
    rpc->wrong_chain = wrong_chain;
    rpc->user = user;
}

size_t rpc_endpoints(const struct rpc *rpc, struct rpc_endpoint out[RPC_URLS_MAX])
{
    for (size_t i = 0; i < rpc->urls_len; i++) {
        const struct rpc_url *url = &rpc->urls[i];
        out[i] = (struct rpc_endpoint){
            .origin = url->origin,
            .other_chain = url->chain == CHAIN_WRONG ? url->chain_id : 0,
            .working = url->health.failures == 0,
            .requests = url->requests,
            .failures = url->failures,
            .rate_limits = url->rate_limits,
            .block = url->block,
            .lag = url->lag,
        };
    }
    return rpc->urls_len;
}

void rpc_free(struct rpc *rpc)
{
    if (!rpc)
        return;
    while (rpc->calls)
        rpc_call_cancel(rpc->calls);
    for (size_t i = 0; i < RPC_URLS_MAX; i++)
        free(rpc->urls[i].text);
    free(rpc);
}

/* Takes `params`; NULL when memory is short. The caller frees the text. */
static char *request_text(int64_t id, const char *method, json_object *params)
{
    char *text = NULL;
    json_object *request = json_object_new_object();
    const bool complete = field_add(request, "params", params) &&
                          field_add(request, "jsonrpc", json_object_new_string("2.0")) &&
                          field_add(request, "id", json_object_new_int64(id)) &&
                          field_add(request, "method", json_object_new_string(method));
    if (complete)
        text = field_serialize(request);
    json_object_put(request);
    return text;
}

struct rpc_call *rpc_call(struct rpc *rpc, const char *method, json_object *params, rpc_done_fn done,
                          void *user)
{
    struct rpc_call *call = calloc(1, sizeof(*call));
    char *body = request_text(rpc->last_id + 1, method, params);
    if (!call || !body) {
        free(call);
        free(body);
        return NULL;
    }
    call->rpc = rpc;
    call->id = ++rpc->last_id;
    order_urls(call);
    call->body = body;
    call->done = done;
    call->user = user;
    snprintf(call->method, sizeof(call->method), "%s", method);
    if (!(call->order_len > 0 ? send_to_next(call) : refuse(call))) {
        call_free(call);
        return NULL;
    }
    call->next = rpc->calls;
    call->link = &rpc->calls;
    if (call->next)
        call->next->link = &call->next;
    rpc->calls = call;
    return call;
}

void rpc_call_cancel(struct rpc_call *call)
{
    if (!call)
        return;
    http_exchange_cancel(call->exchange);
    call_unlink(call);
    call_free(call);
}
