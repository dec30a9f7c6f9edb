/* The shared vectors as JSON, for unit tests: a broken or missing file ends the test. */
#ifndef UNIT_VECTORS_H
#define UNIT_VECTORS_H

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <string.h>

#include "crypto/bytes.h"

static inline json_object *vector_get(json_object *object, const char *name)
{
    json_object *value = NULL;
    cr_assert(json_object_object_get_ex(object, name, &value), "the vectors have no '%s'", name);
    return value;
}

static inline const char *vector_text(json_object *object, const char *name)
{
    return json_object_get_string(vector_get(object, name));
}

/* One top-level entry of core.json. The tree lives until the test process ends. */
static inline json_object *vectors_section(const char *name)
{
    static json_object *core;
    if (!core)
        core = json_object_from_file(VECTORS_DIR "/core.json");
    cr_assert(core, "%s", json_util_get_last_err());
    return vector_get(core, name);
}

static inline void vector_bytes(json_object *object, const char *name, uint8_t *out, size_t len)
{
    cr_assert(hex_decode_exact(vector_text(object, name), out, len), "'%s' has not %zu bytes", name, len);
}

static inline struct bytes32 vector_bytes32(json_object *object, const char *name)
{
    struct bytes32 value;
    vector_bytes(object, name, value.b, sizeof(value.b));
    return value;
}

static inline struct address vector_address(json_object *object, const char *name)
{
    struct address value;
    vector_bytes(object, name, value.b, sizeof(value.b));
    return value;
}

#endif
