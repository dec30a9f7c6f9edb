#include "evm/field.h"

#include <stdlib.h>
#include <string.h>

bool field_add(json_object *object, const char *name, json_object *value)
{
    if (object && value && json_object_object_add(object, name, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

bool field_append(json_object *array, json_object *value)
{
    if (array && value && json_object_array_add(array, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

json_object *field_of_bytes(const uint8_t *data, size_t len)
{
    if (len > INT32_MAX / 4)
        return NULL;
    char *text = malloc(2 * len + 3);
    if (!text)
        return NULL;
    memcpy(text, "0x", 2);
    hex_encode(data, len, text + 2);
    json_object *value = json_object_new_string(text);
    free(text);
    return value;
}

json_object *field_of_address(const struct address *address)
{
    char text[ADDRESS_HEX_SIZE];
    return json_object_new_string(address_hex(address, text));
}

json_object *field_of_quantity(const struct uint256 *value)
{
    char text[UINT256_HEX_SIZE];
    return json_object_new_string(uint256_print_quantity(value, text));
}

char *field_serialize(json_object *object)
{
    const char *text =
        json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    return text ? strdup(text) : NULL;
}

const char *field_text(json_object *object, const char *name)
{
    json_object *value;
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &value) ||
        !json_object_is_type(value, json_type_string))
        return NULL;
    return json_object_get_string(value);
}

bool field_quantity(json_object *object, const char *name, struct uint256 *out)
{
    const char *text = field_text(object, name);
    return text && uint256_parse_quantity(text, out);
}

bool field_u64(json_object *object, const char *name, uint64_t *out)
{
    const char *text = field_text(object, name);
    return text && quantity_parse_u64(text, out);
}

bool field_address(json_object *object, const char *name, struct address *out)
{
    const char *text = field_text(object, name);
    return text && hex_decode_exact(text, out->b, sizeof(out->b));
}

bool field_bytes32(json_object *object, const char *name, struct bytes32 *out)
{
    const char *text = field_text(object, name);
    return text && hex_decode_exact(text, out->b, sizeof(out->b));
}

bool field_item_bytes32(json_object *array, size_t index, struct bytes32 *out)
{
    json_object *item = json_object_array_get_idx(array, index);
    return json_object_is_type(item, json_type_string) &&
           hex_decode_exact(json_object_get_string(item), out->b, sizeof(out->b));
}

bool field_text_bytes(const char *text, size_t max, uint8_t **out, size_t *len)
{
    const size_t capacity = strlen(text) / 2 + 1;
    uint8_t *data = malloc(capacity);
    if (!data || !hex_decode(text, data, capacity, len) || *len > max) {
        free(data);
        return false;
    }
    *out = data;
    return true;
}
