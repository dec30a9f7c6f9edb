/* JSON-RPC 2.0 over HTTP: one service (an EVM node, a bundler, a sponsor) behind one or more URLs.
 *
 * URLs are tried in order; those that failed lately come after the others, and those that asked to be left
 * alone (Retry-After) are: when all did, a call fails with -EBUSY. Whatever is no JSON-RPC answer (a
 * transport error, a 429, an error page, broken JSON, another request's id) moves on to the next URL; a
 * JSON-RPC error does not: it is an answer.
 */
#ifndef EVM_RPC_H
#define EVM_RPC_H

#include <json-c/json_object.h>

#include "evm/http_client.h"

#define RPC_URLS_MAX 8
#define RPC_REVERT_DATA_MAX 4096

struct rpc;
struct rpc_call;

struct rpc_result {
    int code;           /* 0, AM_EREMOTE (JSON-RPC error), AM_EFORMAT, -EBUSY (429), or http_answer's codes */
    json_object *value; /* "result" when code is 0, borrowed for the callback; NULL for JSON null */
    int rpc_code;       /* the error's code when AM_EREMOTE */
    const char *message; /* the error's message alone when AM_EREMOTE, as sent: not for a terminal */
    const uint8_t *data; /* ABI-encoded revert data found anywhere in the error, or NULL */
    size_t data_len;
    json_object *error_data; /* the error's "data" when AM_EREMOTE, borrowed, or NULL */
    uint32_t retry_after_s;  /* the last URL's wish, 0 when it had none */
    const char *error;       /* one printable line: method, host, cause; NULL when code is 0 */
};

typedef void (*rpc_done_fn)(void *user, const struct rpc_result *result);

/* `urls` (1 to RPC_URLS_MAX) are copied; `http` outlives the service. Returns NULL when memory is short or a
 * URL is unusable. */
struct rpc *rpc_new(struct http_client *http, const char *const *urls, size_t urls_len);

/* How many bytes an answer may have from now on, instead of 1 MiB. */
void rpc_set_answer_max(struct rpc *rpc, size_t answer_max);

/* Cancels what is under way (no callback comes) and frees; NULL is allowed; allowed from `done`. */
void rpc_free(struct rpc *rpc);

/* Calls `method` with `params` (a JSON array; ownership moves here, also on failure). `done` is called
 * exactly once from the loop, never from within this call, unless the call is cancelled. Returns NULL when
 * memory is short or too much is under way. */
struct rpc_call *rpc_call(struct rpc *rpc, const char *method, json_object *params, rpc_done_fn done,
                          void *user);

/* Ends a call without a callback; NULL is allowed. The handle is invalid once `done` has been called. */
void rpc_call_cancel(struct rpc_call *call);

#endif
