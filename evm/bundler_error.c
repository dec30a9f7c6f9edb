#include "evm/bundler_error.h"

#include <ctype.h>
#include <string.h>

#include "evm/revert.h"

/* ERC-7769: rejected by account, by paymaster, and so on; -32521 is a reverting execution. */
#define VALIDATION_FIRST (-32507)
#define VALIDATION_LAST (-32500)
#define EXECUTION_REVERTED (-32521)

/* The EntryPoint's code inside a bundler's message ("... AA21 didn't pay prefund"), or NULL. */
static const char *entry_point_code(const char *message)
{
    for (const char *at = message; at && (at = strstr(at, "AA")); at += 2) {
        if (isdigit((unsigned char)at[2]) && isdigit((unsigned char)at[3]) && !isalnum((unsigned char)at[4]))
            return at;
    }
    return NULL;
}

static bool is_revert(const struct rpc_result *result)
{
    return result->code == AM_EREMOTE &&
           (result->data || result->rpc_code == EXECUTION_REVERTED ||
            (result->rpc_code >= VALIDATION_FIRST && result->rpc_code <= VALIDATION_LAST));
}

int bundler_error_of_rpc(const struct rpc_result *result, struct am_err *err)
{
    char reason[REVERT_TEXT_SIZE];
    const char *code = result->code == AM_EREMOTE ? entry_point_code(result->message) : NULL;
    if (!is_revert(result) && !code)
        return am_fail(err, result->code, "%s", result->error);
    if (result->data) {
        revert_describe(result->data, result->data_len, reason);
        return code ? am_fail(err, AM_EREVERT, "%.4s: %s", code, reason)
                    : am_fail(err, AM_EREVERT, "%s", reason);
    }
    const char *advice = code ? revert_advice(code) : NULL;
    return advice ? am_fail(err, AM_EREVERT, "%s: %s", result->message, advice)
                  : am_fail(err, AM_EREVERT, "%s", result->message);
}

bool bundler_error_blames_paymaster(const struct rpc_result *result)
{
    const char *code = result->code == AM_EREMOTE ? entry_point_code(result->message) : NULL;
    return code && code[2] == '3';
}
