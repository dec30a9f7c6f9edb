/* JSON-RPC 2.0 over HTTP: one service (an EVM node, a bundler, a sponsor) behind one or more URLs.
 *
 * URLs are tried in order; the one that answered last is tried first. A transport error, a 429 or a 5xx moves
 * on to the next URL; a JSON-RPC error does not (it is an answer). Ids and the shape of answers are checked.
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
    int code; /* 0, AM_EREMOTE (JSON-RPC error), AM_EFORMAT, or http_answer's codes when no URL answered */
    json_object *value; /* "result" when code is 0, borrowed for the callback; may be JSON null (NULL) */
    int rpc_code;       /* the error's code when AM_EREMOTE */
    const uint8_t
        *data; /* revert data found in the error (hex string, or nested as nodes and bundlers do), or NULL */
    size_t data_len;
    uint32_t retry_after_s;
    const char *error; /* one line: method, host, cause */
};

typedef void (*rpc_done_fn)(void *user, const struct rpc_result *result);

/* `urls` are copied; 1 to RPC_URLS_MAX. Returns NULL on memory shortage. */
struct rpc *rpc_new(struct http_client *http, const char *const *urls, size_t urls_len);
void rpc_free(struct rpc *rpc);

/* Calls `method` with `params` (a JSON array; ownership moves here, also on failure). `done` is called
 * exactly once from the loop unless the call is cancelled. Returns NULL when memory is short. */
struct rpc_call *rpc_call(struct rpc *rpc, const char *method, json_object *params, rpc_done_fn done,
                          void *user);
void rpc_call_cancel(struct rpc_call *call);

#endif
