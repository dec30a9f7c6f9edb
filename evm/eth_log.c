#include "evm/eth_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/keccak.h"
#include "evm/field.h"

static int log_fail(const char *field, struct am_err *err)
{
    return am_fail(err, AM_EFORMAT, "eth_getLogs: %s is missing or has not its shape", field);
}

static bool is_retracted(json_object *value)
{
    json_object *removed;
    return json_object_object_get_ex(value, "removed", &removed) && json_object_get_boolean(removed);
}

static int parse_topics(json_object *value, struct eth_log *out, struct am_err *err)
{
    json_object *topics;
    if (!json_object_object_get_ex(value, "topics", &topics) ||
        !json_object_is_type(topics, json_type_array) ||
        json_object_array_length(topics) > ETH_LOG_TOPICS_MAX)
        return log_fail("topics", err);
    out->topics_len = json_object_array_length(topics);
    for (size_t i = 0; i < out->topics_len; i++) {
        if (!field_item_bytes32(topics, i, &out->topics[i]))
            return log_fail("topics", err);
    }
    return 0;
}

/* Writes the log's data at `data` and gives their length. */
static int parse_log(json_object *value, uint8_t *data, struct eth_log *out, struct am_err *err)
{
    uint64_t index;
    const char *const text = field_text(value, "data");
    if (!field_address(value, "address", &out->address))
        return log_fail("address", err);
    if (!field_u64(value, "blockNumber", &out->block))
        return log_fail("blockNumber", err);
    if (!field_bytes32(value, "blockHash", &out->block_hash))
        return log_fail("blockHash", err);
    if (!field_bytes32(value, "transactionHash", &out->tx_hash))
        return log_fail("transactionHash", err);
    if (!field_u64(value, "logIndex", &index) || index >= UINT32_MAX)
        return log_fail("logIndex", err);
    if (!text || !hex_decode(text, data, ETH_LOG_DATA_MAX, &out->data_len))
        return log_fail("data", err);
    if (is_retracted(value))
        return am_fail(err, AM_EFORMAT, "eth_getLogs: the answer has a log of a block that was undone");
    out->index = (uint32_t)index;
    out->data = data;
    return parse_topics(value, out, err);
}

static bool is_oversized(json_object *value)
{
    const char *const text = field_text(value, "data");
    return text && strlen(text) > 2 + 2 * ETH_LOG_DATA_MAX;
}

/* Bytes that the data of all logs need at most. */
static size_t data_room(json_object *value, size_t len)
{
    size_t room = 1;
    for (size_t i = 0; i < len; i++) {
        const char *const text = field_text(json_object_array_get_idx(value, i), "data");
        room += text ? strlen(text) / 2 : 0;
    }
    return room;
}

int eth_logs_parse(json_object *value, size_t max, struct eth_logs *out, struct am_err *err)
{
    memset(out, 0, sizeof(*out));
    if (!json_object_is_type(value, json_type_array))
        return am_fail(err, AM_EFORMAT, "eth_getLogs: the result is no array");
    const size_t len = json_object_array_length(value);
    if (len > max)
        return am_fail(err, -EMSGSIZE, "eth_getLogs: %zu logs in one answer, %zu are allowed", len, max);
    out->items = calloc(len ? len : 1, sizeof(*out->items));
    out->data = malloc(data_room(value, len));
    if (!out->items || !out->data) {
        eth_logs_free(out);
        return am_fail(err, -ENOMEM, "no memory for %zu logs", len);
    }
    uint8_t *data = out->data;
    int code = 0;
    for (size_t i = 0; code == 0 && i < len; i++) {
        struct eth_log *const log = &out->items[out->len];
        json_object *const item = json_object_array_get_idx(value, i);
        if (is_oversized(item)) {
            out->oversized++;
            continue;
        }
        code = parse_log(item, data, log, err);
        data += log->data_len;
        out->len++;
    }
    if (code)
        eth_logs_free(out);
    return code;
}

void eth_logs_free(struct eth_logs *logs)
{
    free(logs->items);
    free(logs->data);
    memset(logs, 0, sizeof(*logs));
}

static int compare_logs(const void *a, const void *b)
{
    const struct eth_log *const x = a, *const y = b;
    if (x->block != y->block)
        return x->block < y->block ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

void eth_logs_sort(struct eth_log *items, size_t len)
{
    if (len > 1)
        qsort(items, len, sizeof(*items), compare_logs);
}

int eth_header_parse(json_object *value, struct eth_header *out, struct am_err *err)
{
    static const char call[] = "eth_getBlockByNumber";
    if (!field_u64(value, "number", &out->number) || !field_u64(value, "timestamp", &out->timestamp))
        return am_fail(err, AM_EFORMAT, "%s: number or timestamp is missing", call);
    if (!field_bytes32(value, "hash", &out->hash) || !field_bytes32(value, "parentHash", &out->parent))
        return am_fail(err, AM_EFORMAT, "%s: hash or parentHash is missing", call);
    const char *const bloom = field_text(value, "logsBloom");
    if (!bloom || !hex_decode_exact(bloom, out->bloom, ETH_BLOOM_SIZE))
        return am_fail(err, AM_EFORMAT, "%s: logsBloom is missing or has not its length", call);
    return 0;
}

bool eth_bloom_may_contain(const uint8_t bloom[ETH_BLOOM_SIZE], const struct address *address)
{
    const struct bytes32 hash = keccak256(address->b, sizeof(address->b));
    for (size_t i = 0; i < 6; i += 2) {
        const unsigned bit = be16_read(hash.b + i) % (8 * ETH_BLOOM_SIZE);
        if (!(bloom[ETH_BLOOM_SIZE - 1 - bit / 8] >> bit % 8 & 1))
            return false;
    }
    return true;
}
