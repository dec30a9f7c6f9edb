#include "evm/receipt.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contracts_abi.h"
#include "evm/abi.h"
#include "evm/field.h"

#define LOGS_MAX 256
#define LOG_DATA_MAX 8192

/* UserOperationRevertReason(bytes32 indexed userOpHash, address indexed sender, uint256 nonce, bytes reason)
 */
static bool take_revert_log(json_object *log, const struct bytes32 *hash, char out[REVERT_TEXT_SIZE])
{
    static const struct bytes32 reason_topic = ABI_USER_OPERATION_REVERT_REASON_TOPIC;
    const char *text = field_text(log, "data");
    json_object *topics;
    struct bytes32 topic, logged_hash;
    uint8_t *data;
    size_t len, reason_len;
    bool ok;
    if (!text || !json_object_object_get_ex(log, "topics", &topics) ||
        !json_object_is_type(topics, json_type_array) || json_object_array_length(topics) != 3)
        return false;
    if (!field_item_bytes32(topics, 0, &topic) || !bytes32_equal(&topic, &reason_topic) ||
        !field_item_bytes32(topics, 1, &logged_hash) || !bytes32_equal(&logged_hash, hash) ||
        !field_text_bytes(text, LOG_DATA_MAX, &data, &len))
        return false;
    struct abi_reader reader = abi_reader_of(data, len, &ok);
    abi_take_uint256(&reader);
    const uint8_t *reason = abi_take_bytes(&reader, &reason_len);
    if (ok)
        revert_describe(reason, reason_len, out);
    free(data);
    return ok;
}

static void find_reason(json_object *value, struct receipt *out)
{
    json_object *logs;
    snprintf(out->reason, sizeof(out->reason), "no reason given, as when the gas limit is too low");
    if (!json_object_object_get_ex(value, "logs", &logs) || !json_object_is_type(logs, json_type_array))
        return;
    const size_t logs_len = json_object_array_length(logs);
    for (size_t i = 0; i < logs_len && i < LOGS_MAX; i++) {
        if (take_revert_log(json_object_array_get_idx(logs, i), &out->hash, out->reason))
            return;
    }
}

int receipt_parse(json_object *value, struct receipt *out, struct am_err *err)
{
    json_object *success, *transaction = NULL;
    *out = (struct receipt){0};
    if (!field_bytes32(value, "userOpHash", &out->hash))
        return am_fail(err, AM_EFORMAT, "receipt: userOpHash is missing or malformed");
    if (!json_object_object_get_ex(value, "success", &success) ||
        !json_object_is_type(success, json_type_boolean))
        return am_fail(err, AM_EFORMAT, "receipt: success is missing or malformed");
    if (!json_object_object_get_ex(value, "receipt", &transaction) ||
        !field_bytes32(transaction, "transactionHash", &out->tx_hash))
        return am_fail(err, AM_EFORMAT, "receipt: transactionHash is missing or malformed");
    if (!field_quantity(value, "actualGasCost", &out->gas_cost))
        return am_fail(err, AM_EFORMAT, "receipt: actualGasCost is missing or malformed");
    if (!field_u64(value, "actualGasUsed", &out->gas_used))
        out->gas_used = 0;
    out->success = json_object_get_boolean(success);
    if (!out->success)
        find_reason(value, out);
    return 0;
}
