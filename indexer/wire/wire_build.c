#include <errno.h>
#include <json-c/json.h>
#include <pb_encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/keccak.h"
#include "evm/field.h"
#include "indexer/wire/domains.h"
#include "indexer/wire/event_kind.h"
#include "indexer/wire/wire.h"

#define PREFIX_MAX 3 /* WIRE_FRAME_MAX needs a varint of so many bytes */

struct slice {
    const void *data;
    size_t len;
};

static bool put_slice(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const struct slice *slice = *arg;
    return slice->len == 0 ||
           (pb_encode_tag_for_field(stream, field) && pb_encode_string(stream, slice->data, slice->len));
}

static pb_callback_t slice_field(struct slice *slice)
{
    return (pb_callback_t){.funcs.encode = put_slice, .arg = slice};
}

/* One field of a frame, and the frame's length in front. Returns 0 when it does not fit. */
static size_t put_frame(pb_size_t tag, const pb_msgdesc_t *type, const void *message, uint8_t *out,
                        size_t capacity)
{
    size_t size;
    if (!pb_get_encoded_size(&size, type, message))
        return 0;
    pb_ostream_t sizing = PB_OSTREAM_SIZING;
    pb_encode_tag(&sizing, PB_WT_STRING, tag);
    pb_encode_varint(&sizing, size);
    pb_ostream_t stream = pb_ostream_from_buffer(out, capacity);
    if (pb_encode_varint(&stream, sizing.bytes_written + size) && pb_encode_tag(&stream, PB_WT_STRING, tag) &&
        pb_encode_varint(&stream, size) && pb_encode(&stream, type, message))
        return stream.bytes_written;
    return 0;
}

/* The same into memory of its own. */
static int new_frame(pb_size_t tag, const pb_msgdesc_t *type, const void *message, uint8_t **out, size_t *len)
{
    size_t size;
    if (!pb_get_encoded_size(&size, type, message) || size > WIRE_FRAME_MAX - 16)
        return -EMSGSIZE;
    const size_t capacity = size + 4 + 2 * PREFIX_MAX;
    *out = malloc(capacity);
    if (!*out)
        return -ENOMEM;
    *len = put_frame(tag, type, message, *out, capacity);
    return 0;
}

static int encode_new(const pb_msgdesc_t *type, const void *message, uint8_t **out, size_t *len)
{
    if (!pb_get_encoded_size(len, type, message))
        return -EMSGSIZE;
    *out = malloc(*len + 1);
    if (!*out)
        return -ENOMEM;
    pb_ostream_t stream = pb_ostream_from_buffer(*out, *len);
    return pb_encode(&stream, type, message) ? 0 : -EMSGSIZE;
}

char *wire_build_repro(const struct eth_log *log)
{
    json_object *params = json_object_new_array(), *filter = json_object_new_object();
    json_object *topics = json_object_new_array();
    bool complete = filter && topics;
    for (size_t i = 0; complete && i < log->topics_len; i++)
        complete = field_append(topics, field_of_bytes(log->topics[i].b, sizeof(log->topics[i].b)));
    complete = field_add(filter, "blockHash", field_of_bytes(log->block_hash.b, sizeof(log->block_hash.b))) &&
               field_add(filter, "address", field_of_address(&log->address)) && complete;
    complete = field_add(filter, "topics", topics) && complete;
    complete = field_append(params, filter) && complete;
    char *const text = complete ? field_serialize(params) : NULL;
    json_object_put(params);
    return text;
}

static int build_body(uint64_t chain_id, const struct eth_log *log, const char *repro, uint8_t **out,
                      size_t *len)
{
    struct slice data = {log->data, log->data_len}, stub = {repro, strlen(repro)};
    indexer_PushBody body = {
        .chain_id = chain_id,
        .block_number = log->block,
        .log_index = log->index,
        .topics_count = (pb_size_t)log->topics_len,
        .data = slice_field(&data),
        .kind = log->topics_len ? event_kind_of_topic(&log->topics[0]) : indexer_EventKind_EVENT_OTHER,
        .repro = slice_field(&stub),
    };
    memcpy(body.cluster, log->address.b, sizeof(body.cluster));
    memcpy(body.address, log->address.b, sizeof(body.address));
    memcpy(body.block_hash, log->block_hash.b, sizeof(body.block_hash));
    memcpy(body.tx_hash, log->tx_hash.b, sizeof(body.tx_hash));
    for (size_t i = 0; i < log->topics_len; i++)
        memcpy(body.topics[i], log->topics[i].b, sizeof(body.topics[i]));
    return encode_new(indexer_PushBody_fields, &body, out, len);
}

int wire_build_push(const struct secret *seed, const struct bytes32 *key, uint64_t chain_id,
                    const struct eth_log *log, uint8_t **out, size_t *len)
{
    uint8_t *body = NULL;
    size_t body_len;
    char *const repro = wire_build_repro(log);
    int code = repro ? build_body(chain_id, log, repro, &body, &body_len) : -ENOMEM;
    if (code == 0) {
        struct slice slice = {body, body_len};
        indexer_Push push = {.body = slice_field(&slice)};
        const struct sign_part parts[] = {{WIRE_PUSH_DOMAIN, sizeof(WIRE_PUSH_DOMAIN) - 1}, {body, body_len}};
        memcpy(push.served_by, key->b, sizeof(push.served_by));
        code = sign_parts(seed, parts, 2, push.signature);
        if (code == 0)
            code = new_frame(indexer_ServerFrame_push_tag, indexer_Push_fields, &push, out, len);
    }
    free(body);
    free(repro);
    return code;
}

int wire_build_welcome(const uint8_t *quote, size_t quote_len, uint8_t **out, size_t *len)
{
    struct slice slice = {quote, quote_len};
    const indexer_Welcome welcome = {.protocol = WIRE_PROTOCOL, .quote = slice_field(&slice)};
    return new_frame(indexer_ServerFrame_welcome_tag, indexer_Welcome_fields, &welcome, out, len);
}

size_t wire_build_retraction(const struct secret *seed, const struct wire_retraction *retraction,
                             uint8_t out[WIRE_SMALL_MAX])
{
    uint8_t bytes[WIRE_SMALL_MAX];
    indexer_RetractionBody body = {.chain_id = retraction->chain_id, .block_number = retraction->block};
    memcpy(body.cluster, retraction->cluster.b, sizeof(body.cluster));
    memcpy(body.block_hash, retraction->block_hash.b, sizeof(body.block_hash));
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof(bytes));
    if (!pb_encode(&stream, indexer_RetractionBody_fields, &body))
        return 0;
    struct slice slice = {bytes, stream.bytes_written};
    indexer_Retraction frame = {.body = slice_field(&slice)};
    const struct sign_part parts[] = {{WIRE_RETRACTION_DOMAIN, sizeof(WIRE_RETRACTION_DOMAIN) - 1},
                                      {bytes, stream.bytes_written}};
    if (sign_parts(seed, parts, 2, frame.signature) != 0)
        return 0;
    return put_frame(indexer_ServerFrame_retraction_tag, indexer_Retraction_fields, &frame, out,
                     WIRE_SMALL_MAX);
}

size_t wire_build_checkpoint(const struct wire_checkpoint *checkpoint, uint8_t out[WIRE_SMALL_MAX])
{
    indexer_Checkpoint frame = {.block_number = checkpoint->block, .block_time = checkpoint->block_time};
    memcpy(frame.block_hash, checkpoint->block_hash.b, sizeof(frame.block_hash));
    return put_frame(indexer_ServerFrame_checkpoint_tag, indexer_Checkpoint_fields, &frame, out,
                     WIRE_SMALL_MAX);
}

size_t wire_build_refusal(indexer_RefusalCode code, const char *text, uint8_t out[WIRE_SMALL_MAX])
{
    indexer_Refusal frame = {.code = code};
    snprintf(frame.text, sizeof(frame.text), "%s", text);
    return put_frame(indexer_ServerFrame_refusal_tag, indexer_Refusal_fields, &frame, out, WIRE_SMALL_MAX);
}

static indexer_Cursor cursor_message(const struct wire_cursor *cursor)
{
    indexer_Cursor message = {.block_number = cursor->block, .log_index = cursor->log_index};
    memcpy(message.block_hash, cursor->block_hash.b, sizeof(message.block_hash));
    return message;
}

size_t wire_build_hello(const struct secret *seed, struct wire_hello *hello,
                        const uint8_t exporter[WIRE_EXPORTER_SIZE], uint8_t out[WIRE_HELLO_MAX])
{
    const struct sign_part parts[] = {{WIRE_HELLO_DOMAIN, sizeof(WIRE_HELLO_DOMAIN) - 1},
                                      {exporter, WIRE_EXPORTER_SIZE},
                                      {hello->cluster.b, sizeof(hello->cluster.b)},
                                      {hello->member_id.b, sizeof(hello->member_id.b)}};
    if (sign_parts(seed, parts, 4, hello->signature) != 0)
        return 0;
    indexer_Hello frame = {.protocol = hello->protocol,
                           .chain_id = hello->chain_id,
                           .has_cursor = hello->has_cursor,
                           .cursor = cursor_message(&hello->cursor)};
    memcpy(frame.cluster, hello->cluster.b, sizeof(frame.cluster));
    memcpy(frame.member_id, hello->member_id.b, sizeof(frame.member_id));
    memcpy(frame.signature, hello->signature, sizeof(frame.signature));
    return put_frame(indexer_ClientFrame_hello_tag, indexer_Hello_fields, &frame, out, WIRE_HELLO_MAX);
}

size_t wire_build_ack(const struct wire_cursor *cursor, uint8_t out[WIRE_HELLO_MAX])
{
    const indexer_Ack frame = {.has_cursor = true, .cursor = cursor_message(cursor)};
    return put_frame(indexer_ClientFrame_ack_tag, indexer_Ack_fields, &frame, out, WIRE_HELLO_MAX);
}

/* abi.encode puts the string into the tail: two head words, its length, and its 21 bytes padded to a word. */
struct bytes32 wire_report_data(const struct bytes32 *key)
{
    static const uint8_t offset[32] = {[31] = 64}, len[32] = {[31] = 21};
    static const char domain[32] = "attestmesh.indexer.v1";
    struct bytes32 hash;
    struct keccak k;
    keccak_init(&k);
    keccak_update(&k, offset, sizeof(offset));
    keccak_update(&k, key->b, sizeof(key->b));
    keccak_update(&k, len, sizeof(len));
    keccak_update(&k, domain, sizeof(domain));
    keccak_final(&k, &hash);
    return hash;
}
