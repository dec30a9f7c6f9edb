/* 256-bit unsigned integers as the EVM stores them, and the hexadecimal quantities of JSON-RPC. */
#ifndef EVM_UINT256_H
#define EVM_UINT256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"

/* Big-endian. */
struct uint256 {
    uint8_t b[32];
};

/* "0x", 64 digits and the NUL. */
#define UINT256_HEX_SIZE 67

struct uint256 uint256_of_u64(uint64_t value);
struct uint256 uint256_of_u128(unsigned __int128 value);

/* False, leaving `out` alone, when the value needs more bits. */
bool uint256_to_u64(const struct uint256 *value, uint64_t *out);
bool uint256_to_u128(const struct uint256 *value, unsigned __int128 *out);

/* Below, at or above 0 as a is below, at or above b. */
int uint256_compare(const struct uint256 *a, const struct uint256 *b);

/* a + b and value * factor, modulo 2^256; false when that cut something off. */
bool uint256_add(const struct uint256 *a, const struct uint256 *b, struct uint256 *out);
bool uint256_multiply(const struct uint256 *value, uint32_t factor, struct uint256 *out);

/* A quantity: "0x" and 1 to 64 digits. Servers that pad with zeros are understood; anything else is false. */
bool uint256_parse_quantity(const char *text, struct uint256 *out);

/* Without leading zeros, "0x0" for zero; returns `out`. */
const char *uint256_print_quantity(const struct uint256 *value, char out[UINT256_HEX_SIZE]);

/* In decimal, cut when `size` is too small; the largest value has 78 digits. Returns `out`. */
const char *uint256_print_decimal(const struct uint256 *value, char *out, size_t size);

/* A quantity that must fit 64 bits. */
bool quantity_parse_u64(const char *text, uint64_t *out);

#endif
