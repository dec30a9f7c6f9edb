#include "evm/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "crypto/secret.h"

#define TIMEOUT_DEFAULT_MS 20000
#define CONNECT_TIMEOUT_MS 10000
#define ANSWER_MAX_DEFAULT (1u << 20)
#define BODY_FIRST_SIZE 2048
#define CONNECTIONS_MAX 16
#define HEADERS_MAX 16

struct body {
    char *data;
    size_t len, capacity, max;
    bool secret, too_large;
};

struct http_exchange {
    struct http_client *client;
    struct http_exchange *next, **link;
    CURL *easy;
    struct curl_slist *headers;
    struct body body;
    http_done_fn done;
    void *user;
    char origin[HTTP_ORIGIN_SIZE];
    char curl_error[CURL_ERROR_SIZE];
};

struct http_client {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
    struct http_exchange *exchanges;
    size_t exchanges_len;
};

/* libcurl's own buffers have held guest agent answers with keys: whatever it frees is wiped first. */
static void wiping_free(void *memory)
{
    if (memory)
        secret_wipe(memory, malloc_usable_size(memory));
    free(memory);
}

static void *wiping_realloc(void *memory, size_t len)
{
    void *moved = malloc(len);
    if (moved && memory) {
        const size_t old_len = malloc_usable_size(memory);
        memcpy(moved, memory, old_len < len ? old_len : len);
        wiping_free(memory);
    }
    return moved;
}

static CURLcode global_result;

static void global_init(void)
{
    global_result =
        curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc);
}

/* The answer's body, kept NUL-terminated. */

static void body_free(struct body *body)
{
    if (body->secret)
        secret_buffer_free(body->data);
    else
        free(body->data);
    body->data = NULL;
}

static bool body_reserve(struct body *body, size_t len)
{
    if (len <= body->capacity)
        return true;
    struct body grown = *body;
    grown.capacity = body->capacity ? body->capacity : BODY_FIRST_SIZE;
    while (grown.capacity < len)
        grown.capacity *= 2;
    grown.data = body->secret ? secret_buffer_new(grown.capacity + 1) : malloc(grown.capacity + 1);
    if (!grown.data)
        return false;
    if (body->len)
        memcpy(grown.data, body->data, body->len);
    body_free(body);
    *body = grown;
    return true;
}

static size_t body_receive(char *data, size_t size, size_t count, void *user)
{
    struct body *body = user;
    const size_t len = size * count;
    if (len > body->max - body->len) {
        body->too_large = true;
        return 0;
    }
    if (!body_reserve(body, body->len + len))
        return 0;
    memcpy(body->data + body->len, data, len);
    body->len += len;
    return len;
}

static void exchange_free(struct http_exchange *exchange)
{
    if (exchange->link) {
        curl_multi_remove_handle(exchange->client->multi, exchange->easy);
        *exchange->link = exchange->next;
        if (exchange->next)
            exchange->next->link = exchange->link;
        exchange->client->exchanges_len--;
    }
    curl_easy_cleanup(exchange->easy);
    curl_slist_free_all(exchange->headers);
    body_free(&exchange->body);
    free(exchange);
}

static void exchange_link(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    exchange->next = client->exchanges;
    exchange->link = &client->exchanges;
    if (exchange->next)
        exchange->next->link = &exchange->next;
    client->exchanges = exchange;
    client->exchanges_len++;
}

static int code_of_failure(const struct http_exchange *exchange, CURLcode result)
{
    if (exchange->body.too_large)
        return -EMSGSIZE;
    if (result == CURLE_OPERATION_TIMEDOUT)
        return -ETIMEDOUT;
    return result == CURLE_COULDNT_CONNECT ? -ECONNREFUSED : -EIO;
}

static const char *cause_of_failure(const struct http_exchange *exchange, CURLcode result)
{
    if (exchange->body.too_large)
        return "the answer is too large";
    return exchange->curl_error[0] ? exchange->curl_error : curl_easy_strerror(result);
}

static void exchange_finish(struct http_exchange *exchange, CURLcode result)
{
    struct am_err err;
    struct http_answer answer = {.body = "", .body_len = 0};
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_easy_getinfo(exchange->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    answer.retry_after_s = retry_after_s > UINT32_MAX ? UINT32_MAX : (uint32_t)retry_after_s;
    if (result != CURLE_OK) {
        answer.code = am_fail(&err, code_of_failure(exchange, result), "%s: %s", exchange->origin,
                              cause_of_failure(exchange, result));
        answer.error = err.text;
    } else if (exchange->body.data) {
        exchange->body.data[exchange->body.len] = '\0';
        answer.body = exchange->body.data;
        answer.body_len = exchange->body.len;
    }
    exchange->done(exchange->user, &answer);
    exchange_free(exchange);
}

static void finish_completed(struct http_client *client)
{
    CURLMsg *message;
    int remaining;
    while ((message = curl_multi_info_read(client->multi, &remaining))) {
        struct http_exchange *exchange;
        const CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        exchange_finish(exchange, result);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    struct http_client *client = user;
    int running;
    (void)fd, (void)what;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_completed(client);
}

static void on_socket(evutil_socket_t fd, short what, void *user)
{
    struct http_client *client = user;
    const int ready = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    int running;
    curl_multi_socket_action(client->multi, fd, ready, &running);
    finish_completed(client);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct http_client *client = user;
    (void)multi;
    if (timeout_ms < 0)
        return event_del(client->timer);
    const struct timeval delay = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    return event_add(client->timer, &delay);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *per_socket)
{
    struct http_client *client = user;
    struct event *watch = per_socket;
    (void)easy;
    if (watch)
        event_free(watch);
    watch = NULL;
    if (what != CURL_POLL_REMOVE) {
        const int events =
            EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
        watch = event_new(client->base, fd, (short)events, on_socket, client);
        if (!watch)
            return -1;
        event_add(watch, NULL);
    }
    curl_multi_assign(client->multi, fd, watch);
    return 0;
}

struct event_base *http_client_base(const struct http_client *client)
{
    return client->base;
}

struct http_client *http_client_new(struct event_base *base)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    if (global_result != CURLE_OK)
        return NULL;
    struct http_client *client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    client->base = base;
    client->multi = curl_multi_init();
    client->timer = event_new(base, -1, 0, on_timer, client);
    if (!client->multi || !client->timer) {
        http_client_free(client);
        return NULL;
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    while (client->exchanges)
        exchange_free(client->exchanges); /* leaves the list: NOLINT(clang-analyzer-unix.Malloc) */
    if (client->multi)
        curl_multi_cleanup(client->multi);
    if (client->timer)
        event_free(client->timer);
    free(client);
}

bool http_url_origin(const char *url, char origin[HTTP_ORIGIN_SIZE])
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    CURLU *parts = curl_url();
    const bool usable = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                        (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
                        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (usable)
        snprintf(origin, HTTP_ORIGIN_SIZE, "%s:%s", host, port);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return usable;
}

static bool headers_add(struct curl_slist **headers, const char *header)
{
    struct curl_slist *longer = curl_slist_append(*headers, header);
    if (longer)
        *headers = longer;
    return longer;
}

/* "Expect:" keeps libcurl from waiting for a 100-continue, which small servers never send. */
static bool headers_set(struct http_exchange *exchange, const struct http_request *request)
{
    bool typed = !request->body;
    if (!headers_add(&exchange->headers, "Expect:"))
        return false;
    for (size_t i = 0; request->headers && request->headers[i]; i++) {
        typed = typed || strncasecmp(request->headers[i], "Content-Type:", 13) == 0;
        if (i == HEADERS_MAX || !headers_add(&exchange->headers, request->headers[i]))
            return false;
    }
    return typed || headers_add(&exchange->headers, "Content-Type: application/json");
}

static bool body_set(CURL *easy, const struct http_request *request)
{
    if (!request->body)
        return true;
    return curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body) == CURLE_OK;
}

static bool easy_set(struct http_exchange *exchange, const struct http_request *request)
{
    CURL *easy = exchange->easy;
    const long timeout_ms = request->timeout_ms ? (long)request->timeout_ms : TIMEOUT_DEFAULT_MS;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->curl_error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange->body);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Without this a cancelled or timed-out request waits for its resolver thread, on the control thread. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    /* Only the agent's own configuration decides where requests go, not http_proxy in the environment. */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket) == CURLE_OK &&
           body_set(easy, request);
}

struct http_exchange *http_client_start(struct http_client *client, const struct http_request *request,
                                        http_done_fn done, void *user)
{
    if (client->exchanges_len >= HTTP_EXCHANGES_MAX)
        return NULL;
    struct http_exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange)
        return NULL;
    exchange->client = client;
    exchange->done = done;
    exchange->user = user;
    exchange->body.max = request->answer_max ? request->answer_max : ANSWER_MAX_DEFAULT;
    exchange->body.secret = request->answer_is_secret;
    exchange->easy = curl_easy_init();
    if (!exchange->easy || !http_url_origin(request->url, exchange->origin) ||
        !headers_set(exchange, request) || !easy_set(exchange, request) ||
        curl_multi_add_handle(client->multi, exchange->easy) != CURLM_OK) {
        exchange_free(exchange);
        return NULL;
    }
    if (request->unix_socket)
        snprintf(exchange->origin, sizeof(exchange->origin), "%s", request->unix_socket);
    exchange_link(exchange);
    return exchange;
}

void http_exchange_cancel(struct http_exchange *exchange)
{
    if (exchange)
        exchange_free(exchange);
}
