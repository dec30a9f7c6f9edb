#include "evm/rpc.h"

#include <errno.h>
#include <event2/event.h>
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
#define HTTP_TOO_MANY_REQUESTS 429

struct rpc_url {
    char *text;
    char origin[HTTP_ORIGIN_SIZE];
    struct health health;
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
};

static const struct health_backoff url_backoff = {.floor_ms = 2000, .ceiling_ms = 300000};

static void order_urls(struct rpc_call *call)
{
    const struct rpc *rpc = call->rpc;
    enum health_rank ranks[RPC_URLS_MAX] = {0};
    const uint64_t now_ms = monotonic_ms();
    for (size_t i = 0; i < rpc->urls_len; i++) {
        ranks[i] = health_rank(&rpc->urls[i].health, now_ms);
        call->order_len += ranks[i] != HEALTH_CLOSED;
    }
    health_order(ranks, rpc->urls_len, call->order);
}

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
    if (http->code)
        return am_fail(err, http->code, "%s", http->error);
    const int code = http->status == HTTP_TOO_MANY_REQUESTS
                         ? am_fail(err, -EBUSY, "too many requests")
                         : rpc_answer_parse(http->body, http->body_len, call->id, answer, err);
    if (code == AM_EFORMAT && (http->status < 200 || http->status > 299))
        am_fail(err, -EIO, "HTTP status %ld", http->status);
    if (code)
        am_fail_context(err, "%s", call->rpc->urls[call->url].origin);
    return code ? err->code : 0;
}

static void on_http(void *user, const struct http_answer *http);

/* Sends to call->url, or to the first of those after it that takes a request at all. */
static bool send_to_next(struct rpc_call *call)
{
    struct rpc *rpc = call->rpc;
    for (; call->tried < call->order_len; call->tried++) {
        call->url = call->order[call->tried];
        const struct http_request request = {
            .url = rpc->urls[call->url].text,
            .body = call->body,
            .body_len = strlen(call->body),
            .answer_max = rpc->answer_max,
        };
        call->exchange = http_client_start(rpc->http, &request, on_http, call);
        if (call->exchange) {
            call->tried++;
            return true;
        }
    }
    return false;
}

static void on_http(void *user, const struct http_answer *http)
{
    struct rpc_call *call = user;
    struct rpc_answer answer = {0};
    struct am_err err = {0};
    const int code = read_answer(call, http, &answer, &err);
    const bool answered = code == 0 || code == AM_EREMOTE;
    struct health *health = &call->rpc->urls[call->url].health;
    call->exchange = NULL;
    if (answered)
        health_succeed(health);
    else
        health_fail(health, &url_backoff, monotonic_ms(), http->retry_after_s, randombytes_random());
    if (answered || !send_to_next(call)) {
        if (code)
            am_fail_context(&err, "%s", call->method);
        call_finish(call, &(struct rpc_result){
                              .code = code,
                              .value = answer.value,
                              .rpc_code = answer.rpc_code,
                              .message = answer.message,
                              .data = answer.data_len ? answer.data : NULL,
                              .data_len = answer.data_len,
                              .error_data = answer.error_data,
                              .retry_after_s = http->retry_after_s,
                              .error = code ? err.text : NULL,
                          });
    }
    rpc_answer_free(&answer);
}

/* Every URL asked to be left alone for a while. */
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
    am_fail(&err, -EBUSY, "%s: %s: asked not to be called for a while", call->method,
            call->rpc->urls[0].origin);
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
