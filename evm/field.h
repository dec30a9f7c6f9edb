/* Fields of JSON objects as Ethereum's RPCs write them: bytes and quantities are strings of hexadecimal
 * digits.
 *
 * The adders take ownership of what they add, also on failure, and accept NULL for any argument, so that a
 * chain of them with && needs one check at its end. */
#ifndef EVM_FIELD_H
#define EVM_FIELD_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"
#include "evm/uint256.h"

bool field_add(json_object *object, const char *name, json_object *value);
bool field_append(json_object *array, json_object *value);

/* New values; NULL when memory is short. */
json_object *field_of_bytes(const uint8_t *data, size_t len);
json_object *field_of_address(const struct address *address);
json_object *field_of_quantity(const struct uint256 *value);

/* The JSON text without spaces, for the caller to free; NULL when memory is short. */
char *field_serialize(json_object *object);

/* The string `name` of an object, borrowed; NULL when the object has none (or is none). */
const char *field_text(json_object *object, const char *name);

/* Typed fields of an object: false when missing, of another type or out of range. */
bool field_quantity(json_object *object, const char *name, struct uint256 *out);
bool field_u64(json_object *object, const char *name, uint64_t *out);
bool field_address(json_object *object, const char *name, struct address *out);
bool field_bytes32(json_object *object, const char *name, struct bytes32 *out);

/* The same for item `index` of an array. */
bool field_item_bytes32(json_object *array, size_t index, struct bytes32 *out);

/* Hexadecimal text of any length up to `max` bytes, into memory that the caller frees. False when it is no
 * such text, longer than `max`, or memory is short. */
bool field_text_bytes(const char *text, size_t max, uint8_t **out, size_t *len);

#endif
