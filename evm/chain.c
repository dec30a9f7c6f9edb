#include "evm/chain.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evm/abi.h"
#include "evm/field.h"
#include "evm/revert.h"

#define CALL_RESULT_MAX (CHAIN_PAGE_MAX * 9 * ABI_WORD + 3 * ABI_WORD)
#define REVERT_RPC_CODE 3 /* "execution reverted" of eth_call */

/* Decodes an answer into the result: the JSON value itself, or the bytes that eth_call returned. */
typedef int (*take_json_fn)(json_object *value, struct chain_result *out, struct am_err *err);
typedef int (*take_bytes_fn)(struct chain_read *read, const uint8_t *data, size_t len,
                             struct chain_result *out, struct am_err *err);

struct chain_read {
    struct rpc *node;
    struct rpc_call *call;
    take_json_fn take_json; /* one of the two */
    take_bytes_fn take_bytes;
    bool latest;       /* the answer tells how far the endpoint is */
    struct address to; /* of an eth_call */
    size_t page_limit;
    struct cluster_member *members; /* of a page, until the callback is over */
    chain_done_fn done;
    void *user;
};

static int take_tip(json_object *value, struct chain_result *out, struct am_err *err)
{
    unsigned __int128 narrow;
    if (json_object_is_type(value, json_type_string) &&
        uint256_parse_quantity(json_object_get_string(value), &out->number) &&
        uint256_to_u128(&out->number, &narrow))
        return 0;
    return am_fail(err, AM_EFORMAT, "eth_maxPriorityFeePerGas: the result is no quantity");
}

static int take_block(json_object *value, struct chain_result *out, struct am_err *err)
{
    unsigned __int128 narrow;
    if (!field_u64(value, "number", &out->block.number) ||
        !field_u64(value, "timestamp", &out->block.timestamp) ||
        !field_bytes32(value, "hash", &out->block.hash))
        return am_fail(err, AM_EFORMAT, "eth_getBlockByNumber: number, timestamp or hash is missing");
    if (field_text(value, "baseFeePerGas") &&
        (!field_quantity(value, "baseFeePerGas", &out->block.base_fee) ||
         !uint256_to_u128(&out->block.base_fee, &narrow)))
        return am_fail(err, AM_EFORMAT, "eth_getBlockByNumber: baseFeePerGas is no quantity");
    return 0;
}

static int take_nonce(struct chain_read *read, const uint8_t *data, size_t len, struct chain_result *out,
                      struct am_err *err)
{
    bool ok;
    struct abi_reader reader = abi_reader_of(data, len, &ok);
    (void)read;
    out->number = abi_take_uint256(&reader);
    return ok ? 0 : am_fail(err, AM_EFORMAT, "getNonce: the result is no number");
}

static int take_cluster(struct chain_read *read, const uint8_t *data, size_t len, struct chain_result *out,
                        struct am_err *err)
{
    (void)read;
    return cluster_take_cluster(data, len, &out->address, err);
}

static int take_member(struct chain_read *read, const uint8_t *data, size_t len, struct chain_result *out,
                       struct am_err *err)
{
    struct cluster_member *member = &out->member;
    const int code = cluster_take_member(data, len, member, err);
    if (!code && !bytes32_is_zero(&member->attestor_id))
        member->member_id = cluster_member_id(&read->to, &member->member_contract, &member->attestor_id);
    return code;
}

static int take_state(struct chain_read *read, const uint8_t *data, size_t len, struct chain_result *out,
                      struct am_err *err)
{
    (void)read;
    return cluster_take_node_state(data, len, &out->state, err);
}

static int take_page(struct chain_read *read, const uint8_t *data, size_t len, struct chain_result *out,
                     struct am_err *err)
{
    read->members = calloc(read->page_limit, sizeof(*read->members));
    if (!read->members)
        return am_fail(err, -ENOMEM, "no memory for a page of members");
    out->page.members = read->members;
    return cluster_take_members_page(data, len, read->page_limit, read->members, &out->page.count,
                                     &out->page.total, err);
}

static int take_indexer(struct chain_read *read, const uint8_t *data, size_t len, struct chain_result *out,
                        struct am_err *err)
{
    (void)read;
    return cluster_take_indexer(data, len, &out->indexer, err);
}

int chain_error_of_rpc(const struct rpc_result *result, struct am_err *err)
{
    char reason[REVERT_TEXT_SIZE];
    if (result->code == AM_EREMOTE && result->data)
        return am_fail(err, AM_EREVERT, "%s", revert_describe(result->data, result->data_len, reason));
    if (result->code == AM_EREMOTE && result->rpc_code == REVERT_RPC_CODE)
        return am_fail(err, AM_EREVERT, "%s", result->message);
    return result->code ? am_fail(err, result->code, "%s", result->error) : 0;
}

static int take_call_result(struct chain_read *read, json_object *value, struct chain_result *out,
                            struct am_err *err)
{
    uint8_t *data;
    size_t len;
    char to[ADDRESS_HEX_SIZE];
    if (!json_object_is_type(value, json_type_string) ||
        !field_text_bytes(json_object_get_string(value), CALL_RESULT_MAX, &data, &len))
        return am_fail(err, AM_EFORMAT, "eth_call: the result is not hexadecimal, or too long");
    /* Where there is no code a call succeeds with nothing. */
    const int code =
        len ? read->take_bytes(read, data, len, out, err)
            : am_fail(err, AM_EMISMATCH, "no such contract at %s on this chain", address_hex(&read->to, to));
    free(data);
    return code;
}

static void on_result(void *user, const struct rpc_result *rpc)
{
    struct chain_read *read = user;
    struct chain_result result = {.retry_after_s = rpc->retry_after_s};
    struct am_err err;
    result.code = chain_error_of_rpc(rpc, &err);
    if (!result.code)
        result.code = read->take_json ? read->take_json(rpc->value, &result, &err)
                                      : take_call_result(read, rpc->value, &result, &err);
    result.error = result.code ? err.text : NULL;
    if (!result.code && read->latest)
        rpc_note_block(read->node, rpc->endpoint, result.block.number);
    read->done(read->user, &result);
    free(read->members);
    free(read);
}

static struct chain_read *start(struct rpc *node, const struct chain_read *wanted, const char *method,
                                json_object *params)
{
    struct chain_read *read = malloc(sizeof(*read));
    if (!read) {
        json_object_put(params);
        return NULL;
    }
    *read = *wanted;
    read->node = node;
    read->call = rpc_call(node, method, params, on_result, read);
    if (!read->call) {
        free(read);
        return NULL;
    }
    return read;
}

/* The latest block without a hash. */
static json_object *block_param(const struct bytes32 *hash)
{
    if (!hash)
        return json_object_new_string("latest");
    json_object *param = json_object_new_object();
    if (field_add(param, "blockHash", field_of_bytes(hash->b, sizeof(hash->b))))
        return param;
    json_object_put(param);
    return NULL;
}

/* eth_call of `wanted->to`; frees the call data. */
static struct chain_read *start_call(struct rpc *node, const struct chain_read *wanted,
                                     struct abi_writer *data, const struct bytes32 *block)
{
    json_object *params = json_object_new_array(), *call = json_object_new_object();
    const bool complete = !data->failed && field_add(call, "to", field_of_address(&wanted->to)) &&
                          field_add(call, "data", field_of_bytes(data->data, data->len));
    abi_writer_free(data);
    if (!complete) {
        json_object_put(call);
        call = NULL;
    }
    if (!field_append(params, call) || !field_append(params, block_param(block))) {
        json_object_put(params);
        return NULL;
    }
    return start(node, wanted, "eth_call", params);
}

/* eth_getBlockByNumber; `tag` is owned by the call. */
static struct chain_read *start_block(struct rpc *node, json_object *tag, bool latest, chain_done_fn done,
                                      void *user)
{
    const struct chain_read wanted = {.take_json = take_block, .latest = latest, .done = done, .user = user};
    json_object *params = json_object_new_array();
    if (!field_append(params, tag) || !field_append(params, json_object_new_boolean(false))) {
        json_object_put(params);
        return NULL;
    }
    return start(node, &wanted, "eth_getBlockByNumber", params);
}

struct chain_read *chain_read_block(struct rpc *node, chain_done_fn done, void *user)
{
    return start_block(node, block_param(NULL), true, done, user);
}

struct chain_read *chain_read_block_at(struct rpc *node, uint64_t number, chain_done_fn done, void *user)
{
    const struct uint256 quantity = uint256_of_u64(number);
    return start_block(node, field_of_quantity(&quantity), false, done, user);
}

struct chain_read *chain_read_tip(struct rpc *node, chain_done_fn done, void *user)
{
    const struct chain_read wanted = {.take_json = take_tip, .done = done, .user = user};
    return start(node, &wanted, "eth_maxPriorityFeePerGas", json_object_new_array());
}

struct chain_read *chain_read_nonce(struct rpc *node, const struct address *entry_point,
                                    const struct address *sender, chain_done_fn done, void *user)
{
    const struct chain_read wanted = {
        .take_bytes = take_nonce, .to = *entry_point, .done = done, .user = user};
    struct abi_writer data = {0};
    cluster_put_get_nonce(&data, sender);
    return start_call(node, &wanted, &data, NULL);
}

struct chain_read *chain_read_cluster(struct rpc *node, const struct address *member_contract,
                                      chain_done_fn done, void *user)
{
    const struct chain_read wanted = {
        .take_bytes = take_cluster, .to = *member_contract, .done = done, .user = user};
    struct abi_writer data = {0};
    cluster_put_cluster(&data);
    return start_call(node, &wanted, &data, NULL);
}

struct chain_read *chain_read_member(struct rpc *node, const struct address *cluster,
                                     const struct address *member_contract, const struct bytes32 *block,
                                     chain_done_fn done, void *user)
{
    const struct chain_read wanted = {.take_bytes = take_member, .to = *cluster, .done = done, .user = user};
    struct abi_writer data = {0};
    cluster_put_member_of(&data, member_contract);
    return start_call(node, &wanted, &data, block);
}

struct chain_read *chain_read_state(struct rpc *node, const struct address *cluster,
                                    const struct bytes32 *member_id, const struct bytes32 *block,
                                    chain_done_fn done, void *user)
{
    const struct chain_read wanted = {.take_bytes = take_state, .to = *cluster, .done = done, .user = user};
    struct abi_writer data = {0};
    cluster_put_node_state(&data, member_id);
    return start_call(node, &wanted, &data, block);
}

struct chain_read *chain_read_page(struct rpc *node, const struct address *cluster, uint64_t offset,
                                   uint64_t limit, const struct bytes32 *block, chain_done_fn done,
                                   void *user)
{
    if (limit == 0 || limit > CHAIN_PAGE_MAX)
        return NULL;
    const struct chain_read wanted = {
        .take_bytes = take_page, .to = *cluster, .page_limit = limit, .done = done, .user = user};
    struct abi_writer data = {0};
    cluster_put_members_page(&data, offset, limit);
    return start_call(node, &wanted, &data, block);
}

struct chain_read *chain_read_indexer(struct rpc *node, const struct address *registry, chain_done_fn done,
                                      void *user)
{
    const struct chain_read wanted = {
        .take_bytes = take_indexer, .to = *registry, .done = done, .user = user};
    struct abi_writer data = {0};
    cluster_put_indexer(&data);
    return start_call(node, &wanted, &data, NULL);
}

void chain_read_cancel(struct chain_read *read)
{
    if (!read)
        return;
    rpc_call_cancel(read->call);
    free(read);
}
