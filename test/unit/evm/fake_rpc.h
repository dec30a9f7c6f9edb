/* A JSON-RPC service whose answers are scripted per method. */
#ifndef UNIT_EVM_FAKE_RPC_H
#define UNIT_EVM_FAKE_RPC_H

#include <json-c/json_object.h>

#include "crypto/bytes.h"
#include "evm/rpc.h"
#include "test/unit/evm/fake_server.h"

#define FAKE_RPC_METHODS_MAX 8
#define FAKE_RPC_ANSWERS_MAX 8

/* Instead of a fragment: no answer ever; an answer that is no JSON; an HTTP error; come back in a minute. */
#define FAKE_NEVER "!never"
#define FAKE_GARBAGE "!garbage"
#define FAKE_HTTP_ERROR "!http error"
#define FAKE_BUSY "!busy"

struct fake_method {
    const char *name;
    const char *answers[FAKE_RPC_ANSWERS_MAX]; /* fragments; the last one repeats */
    unsigned calls;
};

struct fake_rpc {
    struct fake_method methods[FAKE_RPC_METHODS_MAX];
    /* Sees every request before it is answered; may be NULL. */
    void (*observe)(void *user, const char *method, json_object *params);
    void *user;
    const struct bytes32 *hash; /* what "$HASH" in a fragment stands for */
    struct fake_server *server;
    struct rpc *rpc;
};

/* Fills server and rpc; everything else is the test's. */
void fake_rpc_start(struct fake_rpc *fake, struct event_base *base, struct http_client *http);
void fake_rpc_stop(struct fake_rpc *fake);

/* Replaces a method's answers by one. */
void fake_rpc_answer(struct fake_rpc *fake, const char *method, const char *fragment);
struct fake_method *fake_rpc_method(struct fake_rpc *fake, const char *method);

#endif
