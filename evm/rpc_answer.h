/* A JSON-RPC 2.0 answer: bytes in, checked parts out. Pure; used by evm/rpc.c. */
#ifndef EVM_RPC_ANSWER_H
#define EVM_RPC_ANSWER_H

#include <json-c/json_object.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "evm/rpc.h"

struct rpc_answer {
    json_object *root;  /* owns everything below */
    json_object *value; /* "result"; NULL for JSON null */
    int rpc_code;       /* of "error" */
    const char *message;
    json_object *error_data; /* of "error", or NULL */
    uint8_t data[RPC_REVERT_DATA_MAX];
    size_t data_len; /* revert data found in the error, 0 when none */
};

/* Parses the answer to request `id`. Returns 0 with `value`; AM_EREMOTE with rpc_code, message and data;
 * AM_EFORMAT (JSON broken or nested too deeply, another id, neither result nor error); -ENOMEM.
 * `out` is cleaned up with rpc_answer_free in every case. */
int rpc_answer_parse(const char *text, size_t len, int64_t id, struct rpc_answer *out, struct am_err *err);
void rpc_answer_free(struct rpc_answer *answer);

#endif
