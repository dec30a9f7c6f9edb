/* A JSON-RPC answer, and everything that is taken from its result. */
#include <stdint.h>

#include "evm/receipt.h"
#include "evm/rpc_answer.h"
#include "evm/sponsor.h"
#include "evm/userop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rpc_answer answer;
    struct receipt receipt;
    struct userop op = {.has_paymaster = true};
    struct am_err err;
    const int code = rpc_answer_parse((const char *)data, len, 1, &answer, &err);
    if (code == 0) {
        receipt_parse(answer.value, &receipt, &err);
        userop_take_gas(&op, answer.value, &err);
        userop_take_paymaster(&op, answer.value, &err);
        userop_take_fees(&op, answer.value, &err);
    }
    if (code == AM_EREMOTE) {
        char text[REVERT_TEXT_SIZE];
        revert_describe(answer.data, answer.data_len, text);
        sponsor_error_of_rpc(
            &(struct rpc_result){
                .code = code, .error_data = answer.error_data, .error = "x", .message = answer.message},
            &err);
    }
    rpc_answer_free(&answer);
    return 0;
}
