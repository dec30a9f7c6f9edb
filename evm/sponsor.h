/* Sponsors: services that pay for UserOperations. What a kind of sponsor wants asked, and in which order, is
 * a table of steps; evm/sponsoring.c walks through it. What is known of a sponsor's behaviour stays with it,
 * from one operation to the next. */
#ifndef EVM_SPONSOR_H
#define EVM_SPONSOR_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "evm/health.h"
#include "evm/rpc.h"
#include "evm/userop.h"

#define SPONSORS_MAX 8
#define SPONSOR_DENIALS_MAX 4 /* denied calls remembered per sponsor */
#define SPONSOR_NAME_SIZE 64

enum sponsor_kind { SPONSOR_ERC7677, SPONSOR_ALCHEMY, SPONSOR_PIMLICO };

/* What it refuses to pay for, finally, as it says: it is asked about this call again after a while only. */
struct sponsor_denial {
    struct bytes32 call; /* keccak of the call data; zero: free */
    struct health health;
    char text[AM_ERR_TEXT_MAX];
};

struct sponsor {
    enum sponsor_kind kind;
    struct rpc *rpc;              /* the sponsor's own; the bundler's for ALCHEMY and PIMLICO */
    const char *policy;           /* policy id of ALCHEMY and PIMLICO */
    const char *context_json;     /* a JSON object of further parameters for the service, or NULL */
    char name[SPONSOR_NAME_SIZE]; /* for people */

    struct health health; /* zero at first, like the rest */
    char failure[AM_ERR_TEXT_MAX];
    struct sponsor_denial denials[SPONSOR_DENIALS_MAX];
};

/* Notes how a sponsor answered about the call whose data hash to `call`; `err` and `retry_after_s` are those
 * of its failure, `chance` is any random number. */
void sponsor_note_success(struct sponsor *sponsor);
void sponsor_note_failure(struct sponsor *sponsor, const struct bytes32 *call, const struct am_err *err,
                          uint32_t retry_after_s, uint64_t now_ms, uint32_t chance);

/* The order in which to ask about a call now, best first; left out is who denied it lately or asked to be
 * left alone. Returns how many. When that is 0, `err` says why not the first, and `wait_s` when one may be
 * asked. */
size_t sponsor_order(const struct sponsor *sponsors, size_t len, const struct bytes32 *call, uint64_t now_ms,
                     size_t order[SPONSORS_MAX], uint32_t *wait_s, struct am_err *err);

/* What a step's question is about. */
struct sponsor_request {
    const struct sponsor *sponsor;
    const struct userop *op;
    const struct address *entry_point;
    uint64_t chain_id;
    bool fees_fixed; /* the operation replaces another: its fees are not the service's to choose */
};

/* Whom a step asks: the sponsor, or somebody who does his ordinary work and knows nothing of sponsors. */
enum sponsor_service { SPONSOR_ITSELF, SPONSOR_BUNDLER, SPONSOR_NODE };

struct sponsor_step {
    const char *method;
    enum sponsor_service service;
    bool after_raise;  /* asked again when the fees were raised; the steps before it are not */
    bool not_if_final; /* left out when an earlier answer declared itself final */
    /* The call's parameters; NULL when memory is short. */
    json_object *(*params)(const struct sponsor_request *request);
    /* Takes the answer over into the operation. */
    int (*take)(struct userop *op, json_object *answer, struct am_err *err);
};

/* The steps of a kind, in order. */
const struct sponsor_step *sponsor_steps(enum sponsor_kind kind, size_t *len);

/* Whether an answer of the sponsor stands as it is: nothing is to follow (ERC-7677). */
bool sponsor_is_final(json_object *answer);

/* What a sponsor's failure means: AM_EDENIED with the reason when it refuses to pay, AM_EREVERT when it found
 * out that the operation would fail, the result's own code when asking again later can help. */
int sponsor_error_of_rpc(const struct rpc_result *result, struct am_err *err);

#endif
