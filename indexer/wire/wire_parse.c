#include <pb_decode.h>
#include <stdlib.h>
#include <string.h>

#include "indexer/wire/domains.h"
#include "indexer/wire/event_kind.h"
#include "indexer/wire/wire.h"

/* A TDX quote begins with a header of 48 bytes; the report follows, its report data at 520. */
#define QUOTE_REPORT_DATA 568
#define QUOTE_REPORT_DATA_LEN 64

struct slice {
    const uint8_t *data;
    size_t len;
};

/* Gives the bytes where they stand: messages are parsed from memory, whose place is the stream's state. */
static bool take_slice(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    struct slice *slice = *arg;
    (void)field;
    *slice = (struct slice){stream->state, stream->bytes_left};
    return pb_read(stream, NULL, stream->bytes_left);
}

static pb_callback_t slice_field(struct slice *slice)
{
    return (pb_callback_t){.funcs.decode = take_slice, .arg = slice};
}

static int parse_fail(const char *what, struct am_err *err)
{
    return am_fail(err, AM_EFORMAT, "%s does not have its shape", what);
}

static bool decode(const pb_msgdesc_t *type, struct slice message, void *out)
{
    pb_istream_t stream = pb_istream_from_buffer(message.data, message.len);
    return pb_decode(&stream, type, out);
}

/* The one field that a frame is: its tag and its message. */
static bool take_frame(const uint8_t *message, size_t len, pb_size_t *tag, struct slice *out)
{
    pb_istream_t stream = pb_istream_from_buffer(message, len), inner;
    pb_wire_type_t wire;
    uint32_t number;
    bool end;
    if (!pb_decode_tag(&stream, &wire, &number, &end) || wire != PB_WT_STRING || number > 15 ||
        !pb_make_string_substream(&stream, &inner))
        return false;
    *tag = (pb_size_t)number;
    *out = (struct slice){inner.state, inner.bytes_left};
    return stream.bytes_left == 0;
}

static struct wire_cursor cursor_of(const indexer_Cursor *message)
{
    struct wire_cursor cursor = {.block = message->block_number, .log_index = message->log_index};
    memcpy(cursor.block_hash.b, message->block_hash, sizeof(cursor.block_hash.b));
    return cursor;
}

static void take_hello(const indexer_Hello *message, struct wire_hello *out)
{
    *out = (struct wire_hello){.protocol = message->protocol,
                               .chain_id = message->chain_id,
                               .has_cursor = message->has_cursor,
                               .cursor = cursor_of(&message->cursor)};
    memcpy(out->cluster.b, message->cluster, sizeof(out->cluster.b));
    memcpy(out->member_id.b, message->member_id, sizeof(out->member_id.b));
    memcpy(out->signature, message->signature, sizeof(out->signature));
}

int wire_parse_client(const uint8_t *message, size_t len, struct wire_client_frame *out, struct am_err *err)
{
    struct slice inner;
    pb_size_t tag;
    indexer_Hello hello = indexer_Hello_init_zero;
    indexer_Ack ack = indexer_Ack_init_zero;
    if (!take_frame(message, len, &tag, &inner))
        return parse_fail("the frame", err);
    *out = (struct wire_client_frame){.is_hello = tag == indexer_ClientFrame_hello_tag};
    if (out->is_hello) {
        if (!decode(indexer_Hello_fields, inner, &hello))
            return parse_fail("the Hello", err);
        take_hello(&hello, &out->hello);
        return 0;
    }
    if (tag != indexer_ClientFrame_ack_tag || !decode(indexer_Ack_fields, inner, &ack) || !ack.has_cursor)
        return parse_fail("the Ack", err);
    out->ack = cursor_of(&ack.cursor);
    return 0;
}

static bool take_welcome(struct slice inner, struct wire_server_frame *out)
{
    struct slice quote = {0};
    indexer_Welcome message = {.quote = slice_field(&quote)};
    if (!decode(indexer_Welcome_fields, inner, &message) || message.protocol != WIRE_PROTOCOL)
        return false;
    out->welcome.quote = quote.data;
    out->welcome.quote_len = quote.len;
    return true;
}

static bool take_push(struct slice inner, struct wire_server_frame *out)
{
    struct slice body = {0};
    indexer_Push message = {.body = slice_field(&body)};
    if (!decode(indexer_Push_fields, inner, &message) || body.len == 0)
        return false;
    out->push = (struct wire_signed){.body = body.data, .body_len = body.len};
    memcpy(out->push.signature, message.signature, sizeof(out->push.signature));
    return true;
}

static bool take_retraction(struct slice inner, struct wire_server_frame *out)
{
    struct slice body = {0};
    indexer_Retraction message = {.body = slice_field(&body)};
    if (!decode(indexer_Retraction_fields, inner, &message) || body.len == 0)
        return false;
    out->retraction = (struct wire_signed){.body = body.data, .body_len = body.len};
    memcpy(out->retraction.signature, message.signature, sizeof(out->retraction.signature));
    return true;
}

static bool take_checkpoint(struct slice inner, struct wire_server_frame *out)
{
    indexer_Checkpoint message = indexer_Checkpoint_init_zero;
    if (!decode(indexer_Checkpoint_fields, inner, &message))
        return false;
    out->checkpoint =
        (struct wire_checkpoint){.block = message.block_number, .block_time = message.block_time};
    memcpy(out->checkpoint.block_hash.b, message.block_hash, sizeof(out->checkpoint.block_hash.b));
    return true;
}

static bool take_refusal(struct slice inner, struct wire_server_frame *out)
{
    indexer_Refusal message = indexer_Refusal_init_zero;
    if (!decode(indexer_Refusal_fields, inner, &message))
        return false;
    out->refusal.code = message.code;
    memcpy(out->refusal.text, message.text, sizeof(out->refusal.text));
    return true;
}

int wire_parse_server(const uint8_t *message, size_t len, struct wire_server_frame *out, struct am_err *err)
{
    static const struct {
        const char *name;
        bool (*take)(struct slice, struct wire_server_frame *);
    } types[] = {
        [indexer_ServerFrame_welcome_tag] = {"the Welcome", take_welcome},
        [indexer_ServerFrame_push_tag] = {"a Push", take_push},
        [indexer_ServerFrame_retraction_tag] = {"a Retraction", take_retraction},
        [indexer_ServerFrame_checkpoint_tag] = {"a Checkpoint", take_checkpoint},
        [indexer_ServerFrame_refusal_tag] = {"a Refusal", take_refusal},
    };
    struct slice inner;
    memset(out, 0, sizeof(*out));
    if (!take_frame(message, len, &out->type, &inner) || out->type >= sizeof(types) / sizeof(types[0]) ||
        !types[out->type].take)
        return parse_fail("the frame", err);
    return types[out->type].take(inner, out) ? 0 : parse_fail(types[out->type].name, err);
}

static int verify(const struct bytes32 *pubkey, const struct sign_part *parts, size_t parts_len,
                  const uint8_t *signature, const char *what, struct am_err *err)
{
    const int code = sign_verify_parts(pubkey, parts, parts_len, signature);
    return code ? am_fail(err, code, "the signature of %s is wrong", what) : 0;
}

int wire_verify_hello(const struct wire_hello *hello, const struct bytes32 *pubkey,
                      const uint8_t exporter[WIRE_EXPORTER_SIZE], struct am_err *err)
{
    const struct sign_part parts[] = {{WIRE_HELLO_DOMAIN, sizeof(WIRE_HELLO_DOMAIN) - 1},
                                      {exporter, WIRE_EXPORTER_SIZE},
                                      {hello->cluster.b, sizeof(hello->cluster.b)},
                                      {hello->member_id.b, sizeof(hello->member_id.b)}};
    return verify(pubkey, parts, 4, hello->signature, "the Hello", err);
}

static void take_event(const indexer_PushBody *body, struct slice data, struct slice repro,
                       struct wire_event *out)
{
    *out = (struct wire_event){
        .chain_id = body->chain_id,
        .kind = body->kind,
        .repro = (const char *)repro.data,
        .repro_len = repro.len,
        .log = {.block = body->block_number,
                .index = body->log_index,
                .topics_len = body->topics_count,
                .data = data.data,
                .data_len = data.len},
    };
    memcpy(out->cluster.b, body->cluster, sizeof(out->cluster.b));
    memcpy(out->log.address.b, body->address, sizeof(out->log.address.b));
    memcpy(out->log.block_hash.b, body->block_hash, sizeof(out->log.block_hash.b));
    memcpy(out->log.tx_hash.b, body->tx_hash, sizeof(out->log.tx_hash.b));
    for (size_t i = 0; i < body->topics_count; i++)
        memcpy(out->log.topics[i].b, body->topics[i], sizeof(out->log.topics[i].b));
}

static bool is_consistent(const struct wire_event *event)
{
    const struct eth_log *log = &event->log;
    const indexer_EventKind kind =
        log->topics_len ? event_kind_of_topic(&log->topics[0]) : indexer_EventKind_EVENT_OTHER;
    char *const repro = wire_build_repro(log);
    const bool same_repro =
        repro && strlen(repro) == event->repro_len && memcmp(repro, event->repro, event->repro_len) == 0;
    free(repro);
    return kind == event->kind && same_repro && address_equal(&event->cluster, &log->address);
}

int wire_parse_push(const struct wire_signed *push, struct wire_event *out, struct am_err *err)
{
    struct slice data = {0}, repro = {0};
    indexer_PushBody body = {.data = slice_field(&data), .repro = slice_field(&repro)};
    if (!decode(indexer_PushBody_fields, (struct slice){push->body, push->body_len}, &body))
        return parse_fail("a push's body", err);
    take_event(&body, data, repro, out);
    return is_consistent(out) ? 0 : am_fail(err, AM_EFORMAT, "a push's kind or repro is not its log's");
}

int wire_verify_push(const struct wire_signed *push, const struct bytes32 *pubkey, struct wire_event *out,
                     struct am_err *err)
{
    const struct sign_part parts[] = {{WIRE_PUSH_DOMAIN, sizeof(WIRE_PUSH_DOMAIN) - 1},
                                      {push->body, push->body_len}};
    const int code = verify(pubkey, parts, 2, push->signature, "a push", err);
    return code ? code : wire_parse_push(push, out, err);
}

int wire_verify_retraction(const struct wire_signed *retraction, const struct bytes32 *pubkey,
                           struct wire_retraction *out, struct am_err *err)
{
    const struct sign_part parts[] = {{WIRE_RETRACTION_DOMAIN, sizeof(WIRE_RETRACTION_DOMAIN) - 1},
                                      {retraction->body, retraction->body_len}};
    indexer_RetractionBody body = indexer_RetractionBody_init_zero;
    const int code = verify(pubkey, parts, 2, retraction->signature, "a retraction", err);
    if (code)
        return code;
    if (!decode(indexer_RetractionBody_fields, (struct slice){retraction->body, retraction->body_len}, &body))
        return parse_fail("a retraction's body", err);
    *out = (struct wire_retraction){.chain_id = body.chain_id, .block = body.block_number};
    memcpy(out->cluster.b, body.cluster, sizeof(out->cluster.b));
    memcpy(out->block_hash.b, body.block_hash, sizeof(out->block_hash.b));
    return 0;
}

const uint8_t *wire_quote_report_data(const uint8_t *quote, size_t quote_len)
{
    static const uint8_t version_4[] = {4, 0};
    if (quote_len < QUOTE_REPORT_DATA + QUOTE_REPORT_DATA_LEN || memcmp(quote, version_4, 2) != 0)
        return NULL;
    return quote + QUOTE_REPORT_DATA;
}

int wire_cursor_compare(const struct wire_cursor *a, const struct wire_cursor *b)
{
    if (a->block != b->block)
        return a->block < b->block ? -1 : 1;
    return (a->log_index > b->log_index) - (a->log_index < b->log_index);
}
