/* Logs and headers from a chain's RPC. */
#include <json-c/json.h>

#include "evm/eth_log.h"
#include "evm/rpc_answer.h"
#include "indexer/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rpc_answer answer;
    struct eth_header header;
    struct eth_logs logs;
    struct am_err err;
    if (rpc_answer_parse((const char *)data, len, 1, &answer, &err) == 0) {
        eth_header_parse(answer.value, &header, &err);
        if (eth_logs_parse(answer.value, 1000, &logs, &err) == 0) {
            struct unit unit = {.end = {.number = UINT64_MAX}};
            unit_add(&unit, &logs, 1000);
            eth_logs_sort(unit.logs, unit.logs_len);
            unit_clear(&unit);
            eth_logs_free(&logs);
        }
    }
    rpc_answer_free(&answer);
    return 0;
}
