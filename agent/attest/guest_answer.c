#include "agent/attest/guest_answer.h"

#include <errno.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <limits.h>

#include "evm/field.h"

#define DEPTH_MAX 16
#define NOT_AN_OBJECT "the answer is not a JSON object"
#define KEY_DIGITS (2 * SECRET_SIZE)
#define SIGNATURE_DIGITS (2 * SECP_SIGNATURE_SIZE)

/* ---- JSON in place: a cursor that fails once stays failed ---- */

struct cursor {
    const char *at;
    const char *end;
    bool failed;
};

/* A string's contents as they stand in the text: escapes are not resolved, which no field here needs. */
struct slice {
    const char *text;
    size_t len;
};

static char peek(struct cursor *in)
{
    while (!in->failed && in->at < in->end && memchr(" \t\r\n", *in->at, 4))
        in->at++;
    return in->failed || in->at == in->end ? '\0' : *in->at;
}

static bool take_if(struct cursor *in, char wanted)
{
    if (wanted == '\0' || peek(in) != wanted)
        return false;
    in->at++;
    return true;
}

static void take(struct cursor *in, char wanted)
{
    if (!take_if(in, wanted))
        in->failed = true;
}

static struct slice take_string(struct cursor *in)
{
    take(in, '"');
    const char *const start = in->at;
    while (!in->failed && in->at < in->end && *in->at != '"')
        in->at += *in->at == '\\' && in->end - in->at > 1 ? 2 : 1;
    const struct slice slice = {start, (size_t)(in->at - start)};
    take(in, '"');
    return in->failed ? (struct slice){"", 0} : slice;
}

static void skip_word(struct cursor *in)
{
    const char *const start = in->at;
    while (in->at < in->end && memchr("+-.0123456789Eaeflnrstu", *in->at, 23))
        in->at++;
    if (in->at == start)
        in->failed = true;
}

static void skip_value(struct cursor *in, unsigned depth)
{
    const char open = peek(in);
    if (open == '"') {
        take_string(in);
        return;
    }
    if (open != '{' && open != '[') {
        skip_word(in);
        return;
    }
    const char close = open == '{' ? '}' : ']';
    take(in, open);
    if (depth == DEPTH_MAX)
        in->failed = true;
    if (take_if(in, close))
        return;
    do {
        if (open == '{') {
            take_string(in);
            take(in, ':');
        }
        skip_value(in, depth + 1);
    } while (!in->failed && take_if(in, ','));
    take(in, close);
}

/* ---- GetKey ---- */

/* Digits of exactly `len` bytes, with or without "0x", by way of `scratch`, which has room for them and a
 * NUL. */
static bool decode_slice(struct slice slice, uint8_t *out, size_t len, char *scratch)
{
    if (slice.len != 2 * len && slice.len != 2 * len + 2)
        return false;
    memcpy(scratch, slice.text, slice.len);
    scratch[slice.len] = '\0';
    return hex_decode_exact(scratch, out, len);
}

static int take_key(struct cursor *in, struct guest_key *out, struct am_err *err)
{
    if (peek(in) != '"')
        return am_fail(err, AM_EFORMAT, "field key is not a string");
    const struct slice slice = take_string(in);
    if (in->failed)
        return am_fail(err, AM_EFORMAT, NOT_AN_OBJECT);
    char *scratch = secret_buffer_new(KEY_DIGITS + 3);
    out->key = secret_new();
    const bool good = scratch && out->key && decode_slice(slice, out->key->b, SECRET_SIZE, scratch);
    const bool short_of_memory = !scratch || !out->key;
    secret_buffer_free(scratch);
    if (short_of_memory)
        return -ENOMEM;
    return good ? 0 : am_fail(err, AM_EFORMAT, "field key is not 64 hexadecimal digits");
}

static int take_chain(struct cursor *in, struct guest_key *out, struct am_err *err)
{
    char scratch[SIGNATURE_DIGITS + 3];
    take(in, '[');
    const struct slice app = take_string(in);
    take(in, ',');
    const struct slice kms = take_string(in);
    take(in, ']');
    if (in->failed)
        return am_fail(err, AM_EFORMAT, "field signature_chain is not a list of two strings");
    if (!decode_slice(app, out->app_signature.b, SECP_SIGNATURE_SIZE, scratch))
        return am_fail(err, AM_EFORMAT, "field signature_chain[0] is not 65 bytes in hexadecimal");
    if (!decode_slice(kms, out->kms_signature.b, SECP_SIGNATURE_SIZE, scratch))
        return am_fail(err, AM_EFORMAT, "field signature_chain[1] is not 65 bytes in hexadecimal");
    return 0;
}

static bool slice_is(struct slice slice, const char *name)
{
    return slice.len == strlen(name) && memcmp(slice.text, name, slice.len) == 0;
}

static int take_key_members(struct cursor *in, struct guest_key *out, struct am_err *err)
{
    bool has_chain = false;
    int code = 0;
    take(in, '{');
    do {
        const struct slice name = take_string(in);
        take(in, ':');
        if (in->failed)
            break;
        if (slice_is(name, "key"))
            code = out->key ? am_fail(err, AM_EFORMAT, "field key comes twice") : take_key(in, out, err);
        else if (slice_is(name, "signature_chain"))
            code = has_chain ? am_fail(err, AM_EFORMAT, "field signature_chain comes twice")
                             : take_chain(in, out, err);
        else
            skip_value(in, 0);
        has_chain = has_chain || slice_is(name, "signature_chain");
    } while (!code && !in->failed && take_if(in, ','));
    if (code)
        return code;
    take(in, '}');
    if (in->failed || peek(in) != '\0' || in->at != in->end)
        return am_fail(err, AM_EFORMAT, NOT_AN_OBJECT);
    if (!out->key)
        return am_fail(err, AM_EFORMAT, "field key is missing");
    return has_chain ? 0 : am_fail(err, AM_EFORMAT, "field signature_chain is missing");
}

int guest_answer_parse_key(const char *body, size_t len, struct guest_key *out, struct am_err *err)
{
    struct cursor in = {.at = body, .end = body + len};
    *out = (struct guest_key){0};
    const int code = take_key_members(&in, out, err);
    if (code) {
        secret_free(out->key);
        out->key = NULL;
    }
    return code;
}

/* ---- /Info ---- */

static json_object *parse_object(const char *body, size_t len)
{
    struct json_tokener *tokener = len <= INT_MAX ? json_tokener_new_ex(DEPTH_MAX) : NULL;
    if (!tokener)
        return NULL;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json_object *object = json_tokener_parse_ex(tokener, body, (int)len);
    const bool whole = json_tokener_get_error(tokener) == json_tokener_success;
    json_tokener_free(tokener);
    if (whole && json_object_is_type(object, json_type_object))
        return object;
    json_object_put(object);
    return NULL;
}

static int take_info_field(json_object *object, const char *name, uint8_t *out, size_t len, bool required,
                           struct am_err *err)
{
    json_object *field = NULL;
    json_object_object_get_ex(object, name, &field);
    if (!field ||
        (!required && json_object_is_type(field, json_type_string) && !json_object_get_string_len(field)))
        return required ? am_fail(err, AM_EFORMAT, "field %s is missing", name) : 0;
    if (!json_object_is_type(field, json_type_string) ||
        !hex_decode_exact(json_object_get_string(field), out, len))
        return am_fail(err, AM_EFORMAT, "field %s is not %zu bytes in hexadecimal", name, len);
    return 0;
}

int guest_answer_parse_info(const char *body, size_t len, struct guest_info *out, struct am_err *err)
{
    *out = (struct guest_info){0};
    const struct {
        const char *name;
        uint8_t *bytes;
        size_t len;
        bool required;
    } fields[] = {
        {"app_id", out->app_id.b, sizeof(out->app_id.b), true},
        {"instance_id", out->instance_id.b, sizeof(out->instance_id.b), false},
        {"device_id", out->device_id.b, sizeof(out->device_id.b), false},
        {"compose_hash", out->compose_hash.b, sizeof(out->compose_hash.b), false},
    };
    json_object *object = parse_object(body, len);
    if (!object)
        return am_fail(err, AM_EFORMAT, NOT_AN_OBJECT);
    int code = 0;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && code == 0; i++)
        code =
            take_info_field(object, fields[i].name, fields[i].bytes, fields[i].len, fields[i].required, err);
    json_object_put(object);
    return code;
}

/* ---- /GetQuote ---- */

int guest_answer_parse_quote(const char *body, size_t len, uint8_t **quote, size_t *quote_len,
                             struct am_err *err)
{
    json_object *object = parse_object(body, len);
    if (!object)
        return am_fail(err, AM_EFORMAT, NOT_AN_OBJECT);
    const char *const text = field_text(object, "quote");
    const bool good = text && field_text_bytes(text, GUEST_QUOTE_MAX, quote, quote_len);
    json_object_put(object);
    return good ? 0
                : am_fail(err, AM_EFORMAT, "field quote is not up to %d bytes in hexadecimal",
                          GUEST_QUOTE_MAX);
}
