#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "evm/http_client.h"
#include "test/unit/evm/fake_server.h"

struct fixture {
    struct event_base *base;
    struct http_client *client;
    struct fake_server *server;
    struct fake_reply script;
    const char *script_body;
    char seen_method[8], seen_type[64], seen_body[64];
    unsigned requests, answers;
    struct http_answer answer;
    char body[256], error[256];
};

static void handle(void *user, const struct fake_request *request, struct fake_reply *reply)
{
    struct fixture *f = user;
    f->requests++;
    snprintf(f->seen_method, sizeof(f->seen_method), "%s", request->method);
    snprintf(f->seen_type, sizeof(f->seen_type), "%s", request->content_type ? request->content_type : "");
    snprintf(f->seen_body, sizeof(f->seen_body), "%s", request->body);
    *reply = f->script;
    reply->body = f->script_body ? strdup(f->script_body) : NULL;
}

static void on_answer(void *user, const struct http_answer *answer)
{
    struct fixture *f = user;
    f->answers++;
    f->answer = *answer;
    snprintf(f->body, sizeof(f->body), "%s", answer->body);
    snprintf(f->error, sizeof(f->error), "%s", answer->error ? answer->error : "");
    event_base_loopbreak(f->base);
}

static void setup_at(struct fixture *f, const char *path)
{
    *f = (struct fixture){.script = {.status = 200}, .script_body = "hello"};
    cr_assert_eq(secret_init(), 0);
    f->base = event_base_new();
    f->client = http_client_new(f->base);
    cr_assert(f->base && f->client);
    f->server = fake_server_new(f->base, path, handle, f);
}

static void teardown(struct fixture *f)
{
    http_client_free(f->client);
    fake_server_free(f->server);
    event_base_free(f->base);
}

static void exchange(struct fixture *f, struct http_request request)
{
    if (!request.url)
        request.url = fake_server_url(f->server);
    cr_assert(http_client_start(f->client, &request, on_answer, f));
    cr_assert_eq(f->answers, 0, "no callback from within start");
    event_base_dispatch(f->base);
    cr_assert_eq(f->answers, 1);
}

Test(http_client, get_returns_status_and_body)
{
    struct fixture f;
    setup_at(&f, NULL);
    f.script.status = 404;
    exchange(&f, (struct http_request){0});
    cr_assert_eq(f.answer.code, 0);
    cr_assert_eq(f.answer.status, 404);
    cr_assert_str_eq(f.body, "hello");
    cr_assert_eq(f.answer.body_len, 5);
    cr_assert_str_eq(f.seen_method, "GET");
    teardown(&f);
}

Test(http_client, post_sends_json_by_default)
{
    struct fixture f;
    setup_at(&f, NULL);
    exchange(&f, (struct http_request){.body = "{\"a\":1}trailing", .body_len = 7});
    cr_assert_str_eq(f.seen_method, "POST");
    cr_assert_str_eq(f.seen_type, "application/json");
    cr_assert_str_eq(f.seen_body, "{\"a\":1}");
    teardown(&f);
}

Test(http_client, a_header_replaces_the_content_type)
{
    const char *const headers[] = {"content-type: text/plain", NULL};
    struct fixture f;
    setup_at(&f, NULL);
    exchange(&f, (struct http_request){.body = "x", .body_len = 1, .headers = headers});
    cr_assert_str_eq(f.seen_type, "text/plain");
    teardown(&f);
}

Test(http_client, empty_body_is_an_empty_string)
{
    struct fixture f;
    setup_at(&f, NULL);
    f.script_body = NULL;
    exchange(&f, (struct http_request){0});
    cr_assert_eq(f.answer.body_len, 0);
    cr_assert_str_eq(f.body, "");
    teardown(&f);
}

Test(http_client, a_unix_socket_replaces_the_host)
{
    char path[] = "/tmp/attestmesh-unit-XXXXXX";
    struct fixture f;
    cr_assert(mkdtemp(path));
    char socket_path[64];
    snprintf(socket_path, sizeof(socket_path), "%s/sock", path);
    setup_at(&f, socket_path);
    exchange(&f, (struct http_request){.url = "http://dstack/Info", .unix_socket = socket_path});
    cr_assert_eq(f.answer.status, 200);
    cr_assert_str_eq(f.body, "hello");
    teardown(&f);
    unlink(socket_path);
    rmdir(path);
}

Test(http_client, a_missing_unix_socket_is_named)
{
    struct fixture f;
    setup_at(&f, NULL);
    exchange(&f,
             (struct http_request){.url = "http://dstack/Info", .unix_socket = "/nonexistent/dstack.sock"});
    cr_assert_eq(f.answer.code, -ECONNREFUSED);
    cr_assert(strstr(f.error, "/nonexistent/dstack.sock"), "%s", f.error);
    teardown(&f);
}

Test(http_client, a_large_answer_arrives_whole)
{
    struct fixture f;
    setup_at(&f, NULL);
    char *large = malloc(300001);
    memset(large, 'x', 300000);
    large[300000] = '\0';
    f.script_body = large;
    exchange(&f, (struct http_request){0});
    cr_assert_eq(f.answer.code, 0);
    cr_assert_eq(f.answer.body_len, 300000);
    teardown(&f);
    free(large);
}

Test(http_client, an_answer_at_the_limit_passes_and_one_byte_more_does_not)
{
    struct fixture f;
    setup_at(&f, NULL);
    exchange(&f, (struct http_request){.answer_max = 5});
    cr_assert_eq(f.answer.code, 0);
    f.answers = 0;
    exchange(&f, (struct http_request){.answer_max = 4});
    cr_assert_eq(f.answer.code, -EMSGSIZE);
    teardown(&f);
}

Test(http_client, a_secret_answer_arrives_and_grows)
{
    struct fixture f;
    setup_at(&f, NULL);
    char large[8001];
    memset(large, 'k', 8000);
    large[8000] = '\0';
    f.script_body = large;
    exchange(&f, (struct http_request){.answer_is_secret = true});
    cr_assert_eq(f.answer.body_len, 8000);
    cr_assert_eq(f.body[254], 'k');
    teardown(&f);
}

Test(http_client, no_answer_times_out)
{
    struct fixture f;
    setup_at(&f, NULL);
    f.script.never = true;
    exchange(&f, (struct http_request){.timeout_ms = 50});
    cr_assert_eq(f.answer.code, -ETIMEDOUT);
    cr_assert_eq(f.answer.status, 0);
    teardown(&f);
}

Test(http_client, a_refused_connection_names_the_host_and_no_secret)
{
    struct fixture f;
    setup_at(&f, NULL);
    exchange(&f, (struct http_request){.url = "http://127.0.0.1:1/v2/topsecret?key=topsecret"});
    cr_assert_eq(f.answer.code, -ECONNREFUSED);
    cr_assert(strstr(f.error, "127.0.0.1:1"), "%s", f.error);
    cr_assert_not(strstr(f.error, "topsecret"), "%s", f.error);
    teardown(&f);
}

Test(http_client, an_unresolvable_host_is_an_error)
{
    struct fixture f;
    setup_at(&f, NULL);
    exchange(&f, (struct http_request){.url = "http://nowhere.invalid/", .timeout_ms = 500});
    cr_assert_neq(f.answer.code, 0);
    cr_assert(strstr(f.error, "nowhere.invalid"), "%s", f.error);
    teardown(&f);
}

Test(http_client, retry_after_is_reported)
{
    struct fixture f;
    setup_at(&f, NULL);
    f.script.status = 429;
    f.script.retry_after = "17";
    exchange(&f, (struct http_request){0});
    cr_assert_eq(f.answer.status, 429);
    cr_assert_eq(f.answer.retry_after_s, 17);
    teardown(&f);
}

Test(http_client, unusable_urls_are_refused_at_once)
{
    const char *const urls[] = {"", "ftp://example.net/", "file:///etc/passwd", "http://", "http://a:99999/"};
    struct fixture f;
    setup_at(&f, NULL);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        cr_assert_null(http_client_start(f.client, &(struct http_request){.url = urls[i]}, on_answer, &f),
                       "%s", urls[i]);
    teardown(&f);
}

Test(http_client, a_redirect_is_not_followed)
{
    struct fixture f;
    setup_at(&f, NULL);
    f.script.status = 302;
    exchange(&f, (struct http_request){0});
    cr_assert_eq(f.answer.status, 302);
    cr_assert_eq(f.requests, 1);
    teardown(&f);
}

Test(http_client, a_cancelled_exchange_calls_nobody)
{
    const struct timeval moment = {0, 100000};
    struct fixture f;
    setup_at(&f, NULL);
    struct http_request request = {.url = fake_server_url(f.server)};
    struct http_exchange *one = http_client_start(f.client, &request, on_answer, &f);
    struct http_exchange *two = http_client_start(f.client, &request, on_answer, &f);
    cr_assert(one && two);
    http_exchange_cancel(one);
    http_exchange_cancel(NULL);
    event_base_dispatch(f.base);
    event_base_loopexit(f.base, &moment);
    event_base_dispatch(f.base);
    cr_assert_eq(f.answers, 1);
    teardown(&f);
}

Test(http_client, the_number_of_exchanges_is_bounded)
{
    struct fixture f;
    setup_at(&f, NULL);
    struct http_request request = {.url = fake_server_url(f.server)};
    for (int i = 0; i < HTTP_EXCHANGES_MAX; i++)
        cr_assert(http_client_start(f.client, &request, on_answer, &f));
    cr_assert_null(http_client_start(f.client, &request, on_answer, &f));
    teardown(&f);
    cr_assert_eq(f.answers, 0);
}
