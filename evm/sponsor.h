/* Sponsors: services that pay for UserOperations. What a kind of sponsor wants asked, and in which order, is
 * a table of steps; evm/operation.c walks through it. */
#ifndef EVM_SPONSOR_H
#define EVM_SPONSOR_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "evm/rpc.h"
#include "evm/userop.h"

enum sponsor_kind { SPONSOR_ERC7677 };

struct sponsor {
    enum sponsor_kind kind;
    struct rpc *rpc;
    const char *context_json; /* a JSON object that the service wants to see, or NULL */
};

/* What a step's question is about. */
struct sponsor_request {
    const struct sponsor *sponsor;
    const struct userop *op;
    const struct address *entry_point;
    uint64_t chain_id;
};

struct sponsor_step {
    const char *method;
    bool at_bundler;   /* else at the sponsor */
    bool after_raise;  /* asked again when the fees were raised; the steps before it are not */
    bool not_if_final; /* left out when an earlier answer declared itself final */
    /* The call's parameters; NULL when memory is short. */
    json_object *(*params)(const struct sponsor_request *request);
    /* Takes the answer over into the operation; sets `*final` when the sponsor says that nothing is to
     * follow. */
    int (*take)(struct userop *op, json_object *answer, bool *final, struct am_err *err);
};

/* The steps of a kind, in order. */
const struct sponsor_step *sponsor_steps(enum sponsor_kind kind, size_t *len);

/* What a sponsor's failure means: AM_EDENIED with the reason when it refuses to pay, the result's own code
 * when asking again later can help. */
int sponsor_error_of_rpc(const struct rpc_result *result, struct am_err *err);

#endif
