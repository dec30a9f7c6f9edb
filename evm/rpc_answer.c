#include "evm/rpc_answer.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "crypto/bytes.h"

#define DEPTH_MAX 32
#define ERROR_DEPTH_MAX 4
#define DATA_MIN 4 /* an error selector */

static json_object *parse_text(const char *text, size_t len, int *code, struct am_err *err)
{
    if (len > INT32_MAX) {
        *code = am_fail(err, AM_EFORMAT, "the answer is too large");
        return NULL;
    }
    json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    if (!tokener) {
        *code = am_fail(err, -ENOMEM, "no memory to parse an answer");
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json_object *root = json_tokener_parse_ex(tokener, text, (int)len);
    const enum json_tokener_error result = json_tokener_get_error(tokener);
    json_tokener_free(tokener);
    if (result != json_tokener_success) {
        json_object_put(root);
        *code = am_fail(err, AM_EFORMAT, "the answer is not JSON (%s)", json_tokener_error_desc(result));
        return NULL;
    }
    if (!json_object_is_type(root, json_type_object)) {
        json_object_put(root);
        *code = am_fail(err, AM_EFORMAT, "the answer is not a JSON object");
        return NULL;
    }
    return root;
}

/* Takes hex digits at `digits` as revert data when they can be an ABI-encoded error: a selector and whole
 * words. The length rule keeps addresses and hashes that stand in error texts from being taken for one. */
static bool take_digits(const char *digits, struct rpc_answer *out)
{
    char hex[2 * RPC_REVERT_DATA_MAX + 1];
    size_t len = 0;
    while (isxdigit((unsigned char)digits[len]))
        len++;
    if (len >= sizeof(hex) || len < 2 * DATA_MIN || len % 64 != 2 * DATA_MIN)
        return false;
    memcpy(hex, digits, len);
    hex[len] = '\0';
    return hex_decode(hex, out->data, sizeof(out->data), &out->data_len);
}

static bool take_text(const char *text, struct rpc_answer *out)
{
    for (const char *found = text; (found = strstr(found, "0x")); found += 2) {
        if (take_digits(found + 2, out))
            return true;
    }
    return false;
}

/* Nodes put the data into error.data, or into objects below it under one of these names. */
static bool take_nested(json_object *value, unsigned depth, struct rpc_answer *out)
{
    static const char *const names[] = {"data",  "revertData", "originalError", "error",
                                        "cause", "reason",     "message"};
    json_object *inner;
    if (json_object_is_type(value, json_type_string))
        return take_text(json_object_get_string(value), out);
    if (depth == ERROR_DEPTH_MAX || !json_object_is_type(value, json_type_object))
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (json_object_object_get_ex(value, names[i], &inner) && take_nested(inner, depth + 1, out))
            return true;
    }
    return false;
}

static int take_error(json_object *error, struct rpc_answer *out, struct am_err *err)
{
    json_object *code, *message;
    if (!json_object_is_type(error, json_type_object) || !json_object_object_get_ex(error, "code", &code) ||
        !json_object_is_type(code, json_type_int))
        return am_fail(err, AM_EFORMAT, "the answer's \"error\" has no code");
    out->rpc_code = json_object_get_int(code);
    out->message = "no message";
    if (json_object_object_get_ex(error, "message", &message) &&
        json_object_is_type(message, json_type_string))
        out->message = json_object_get_string(message);
    json_object_object_get_ex(error, "data", &out->error_data);
    if (!take_nested(error, 0, out))
        out->data_len = 0;
    return am_fail(err, AM_EREMOTE, "%s (code %d)", out->message, out->rpc_code);
}

int rpc_answer_parse(const char *text, size_t len, int64_t id, struct rpc_answer *out, struct am_err *err)
{
    json_object *answered_id, *error;
    int code = 0;
    *out = (struct rpc_answer){0};
    out->root = parse_text(text, len, &code, err);
    if (!out->root)
        return code;
    if (!json_object_object_get_ex(out->root, "id", &answered_id) ||
        !json_object_is_type(answered_id, json_type_int) || json_object_get_int64(answered_id) != id)
        return am_fail(err, AM_EFORMAT, "the answer is to another request");
    if (json_object_object_get_ex(out->root, "error", &error) && error)
        return take_error(error, out, err);
    if (!json_object_object_get_ex(out->root, "result", &out->value))
        return am_fail(err, AM_EFORMAT, "the answer has neither \"result\" nor \"error\"");
    return 0;
}

void rpc_answer_free(struct rpc_answer *answer)
{
    json_object_put(answer->root);
    *answer = (struct rpc_answer){0};
}
