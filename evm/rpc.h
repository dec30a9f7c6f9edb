/* JSON-RPC 2.0 over HTTP: one service (an EVM node, a bundler, a sponsor) behind one or more URLs.
 *
 * URLs are tried in order; those that failed lately, or lag behind another, come after the others, and those
 * that want to be left alone (Retry-After, 429) are: when all do, a call fails with -EBUSY. Whatever is no
 * JSON-RPC answer (a transport error, a 429, an error page, broken JSON, another request's id) moves on to
 * the next URL; a JSON-RPC error does not, unless it is code 429: it is an answer.
 */
#ifndef EVM_RPC_H
#define EVM_RPC_H

#include <json-c/json_object.h>

#include "evm/http_client.h"

#define RPC_URLS_MAX 8
#define RPC_REVERT_DATA_MAX 4096
#define RPC_LAG_BLOCKS 5 /* how far a URL may be behind another before that one is preferred */

struct rpc;
struct rpc_call;

struct rpc_result {
    int code;        /* 0, AM_EREMOTE (JSON-RPC error), AM_EFORMAT, -EBUSY (429), AM_EMISMATCH (another chain
                        at every URL), or http_answer's codes */
    size_t endpoint; /* index of the last URL asked */
    json_object *value;  /* "result" when code is 0, borrowed for the callback; NULL for JSON null */
    int rpc_code;        /* the error's code when AM_EREMOTE */
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

typedef void (*rpc_wrong_chain_fn)(void *user, const char *origin, uint64_t chain_id);

/* From now on each URL is asked for its chain before anything else. One that serves another chain is never
 * used again, and `wrong_chain` is told once; when all do, calls fail with AM_EMISMATCH. */
void rpc_expect_chain(struct rpc *rpc, uint64_t chain_id, rpc_wrong_chain_fn wrong_chain, void *user);

/* A URL's latest block, as an answer of it says. */
void rpc_note_block(struct rpc *rpc, size_t endpoint, uint64_t block);

struct rpc_endpoint {
    const char *origin;   /* host:port, as long as the service lives */
    uint64_t other_chain; /* that it serves instead of the right one: it is set aside; else 0 */
    bool working;         /* the last request was answered, or there was none */
    uint64_t requests;
    uint64_t failures; /* requests without an answer, rate limits included */
    uint64_t rate_limits;
    uint64_t block; /* the last one noted, 0 for none */
    uint64_t lag;   /* blocks that it was behind the newest then known */
};

/* All URLs in their order; returns their number. */
size_t rpc_endpoints(const struct rpc *rpc, struct rpc_endpoint out[RPC_URLS_MAX]);

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
