#include "evm/bundler_error.h"

#include "evm/entry_point_error.h"
#include "evm/revert.h"

/* ERC-7769: rejected by account, by paymaster, and so on; -32521 is a reverting execution. */
#define VALIDATION_FIRST (-32507)
#define VALIDATION_LAST (-32500)
#define PAYMASTER_REJECTED (-32501)
#define EXECUTION_REVERTED (-32521)

/* The EntryPoint's code is in the message, or in the revert data, which are described in `reason`. */
static const char *code_of(const struct rpc_result *result, char reason[REVERT_TEXT_SIZE])
{
    reason[0] = '\0';
    if (result->code != AM_EREMOTE)
        return NULL;
    if (result->data)
        revert_describe(result->data, result->data_len, reason);
    const char *code = entry_point_error_find(result->message);
    return code ? code : entry_point_error_find(reason);
}

int bundler_error_of_rpc(const struct rpc_result *result, struct am_err *err)
{
    char reason[REVERT_TEXT_SIZE];
    const char *code = code_of(result, reason);
    const bool known = code || result->data || result->rpc_code == EXECUTION_REVERTED ||
                       (result->rpc_code >= VALIDATION_FIRST && result->rpc_code <= VALIDATION_LAST);
    if (result->code != AM_EREMOTE || !known)
        return am_fail(err, result->code, "%s", result->error);
    if (result->data) {
        const bool named = !code || entry_point_error_find(reason);
        return named ? am_fail(err, AM_EREVERT, "%s", reason)
                     : am_fail(err, AM_EREVERT, "%.4s: %s", code, reason);
    }
    const char *advice = code ? entry_point_error_explain(code) : NULL;
    return advice ? am_fail(err, AM_EREVERT, "%s: %s", result->message, advice)
                  : am_fail(err, AM_EREVERT, "%s", result->message);
}

bool bundler_error_blames_paymaster(const struct rpc_result *result)
{
    char reason[REVERT_TEXT_SIZE];
    const char *code = code_of(result, reason);
    return code ? code[2] == '3' : result->code == AM_EREMOTE && result->rpc_code == PAYMASTER_REJECTED;
}
