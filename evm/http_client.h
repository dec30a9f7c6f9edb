/* HTTP requests on a libevent loop, by libcurl's multi interface. Nothing here blocks.
 *
 * Used for JSON-RPC, sponsors and the dstack guest agent (also over a unix socket). Redirects are not
 * followed, answers are bounded, TLS certificates are verified, proxy settings of the environment are
 * ignored.
 */
#ifndef EVM_HTTP_CLIENT_H
#define EVM_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"

#define HTTP_EXCHANGES_MAX 64 /* under way in one client */
#define HTTP_ORIGIN_SIZE 128

struct event_base;
struct http_client;
struct http_exchange;

struct http_request {
    const char *url;            /* http:// or https:// */
    const char *unix_socket;    /* path to connect to instead of the URL's host, or NULL */
    const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
    const char *body; /* POST when not NULL (as application/json unless a header differs), else GET */
    size_t body_len;
    uint32_t timeout_ms;   /* for the whole exchange; 0 means 20,000 */
    size_t answer_max;     /* bytes of body accepted; 0 means 1 MiB */
    bool answer_is_secret; /* the body is kept in locked memory and wiped after the callback */
};

struct http_answer {
    int code;    /* 0: an HTTP answer of any status; else -ETIMEDOUT, -ECONNREFUSED, -EMSGSIZE or -EIO */
    long status; /* HTTP status, 0 when none */
    uint32_t retry_after_s; /* from Retry-After (seconds or a date), 0 when absent */
    const char *body;       /* NUL-terminated; valid during the callback only */
    size_t body_len;
    const char *error; /* when code is not 0, one line: host and cause, neither path nor query */
};

typedef void (*http_done_fn)(void *user, const struct http_answer *answer);

/* Returns NULL when libcurl or memory fails. `base` outlives the client. */
struct http_client *http_client_new(struct event_base *base);

/* Cancels what is in flight (no callback comes) and frees; NULL is allowed. Not to be called from `done`. */
void http_client_free(struct http_client *client);

/* The loop it was made with. */
struct event_base *http_client_base(const struct http_client *client);

/* Starts a request; everything in `request` is copied. `done` is called exactly once from the loop, never
 * from within this call, unless the exchange is cancelled; it may start and cancel other exchanges. Returns
 * NULL when memory is short, HTTP_EXCHANGES_MAX are under way, or the URL is unusable. */
struct http_exchange *http_client_start(struct http_client *client, const struct http_request *request,
                                        http_done_fn done, void *user);

/* Ends an exchange without a callback; NULL is allowed. The handle is invalid once `done` has been called. */
void http_exchange_cancel(struct http_exchange *exchange);

/* "host:port" of an http or https URL, for texts: paths and queries may carry API keys. False when it is
 * none. */
bool http_url_origin(const char *url, char origin[HTTP_ORIGIN_SIZE]);

#endif
