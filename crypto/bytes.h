/* Value types that every layer shares, big-endian integers and hexadecimal text. */
#ifndef CRYPTO_BYTES_H
#define CRYPTO_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 32 bytes that are public: a hash, an id, a public key. Secrets live in struct secret (crypto/secret.h). */
struct bytes32 {
    uint8_t b[32];
};

/* An EVM address. */
struct address {
    uint8_t b[20];
};

/* Room for "0x", 64 digits and the NUL; for an address "0x", 40 digits and the NUL. */
#define BYTES32_HEX_SIZE 67
#define ADDRESS_HEX_SIZE 43

static inline bool bytes32_equal(const struct bytes32 *a, const struct bytes32 *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool address_equal(const struct address *a, const struct address *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool bytes32_is_zero(const struct bytes32 *value);
bool address_is_zero(const struct address *value);

static inline uint16_t be16_read(const uint8_t in[2])
{
    return (uint16_t)((uint16_t)in[0] << 8 | in[1]);
}

static inline uint32_t be32_read(const uint8_t in[4])
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static inline uint64_t be64_read(const uint8_t in[8])
{
    return (uint64_t)be32_read(in) << 32 | be32_read(in + 4);
}

static inline void be16_write(uint8_t out[2], uint16_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

static inline void be32_write(uint8_t out[4], uint32_t value)
{
    be16_write(out, (uint16_t)(value >> 16));
    be16_write(out + 2, (uint16_t)value);
}

static inline void be64_write(uint8_t out[8], uint64_t value)
{
    be32_write(out, (uint32_t)(value >> 32));
    be32_write(out + 4, (uint32_t)value);
}

/* Writes 2 * len lower-case digits and a NUL to `out`, without a prefix. Takes the same time for all
 * contents. */
void hex_encode(const uint8_t *in, size_t len, char *out);

/* Reads exactly `len` bytes from `text`, with or without "0x", either case. False, with `out` unspecified,
 * when the text has another length or another character. The time depends on the length only. */
bool hex_decode_exact(const char *text, uint8_t *out, size_t len);

/* Reads an even number of digits, at most `capacity` bytes, with or without "0x"; the count goes to `len`. */
bool hex_decode(const char *text, uint8_t *out, size_t capacity, size_t *len);

/* "0x..." in lower case; return `out` for use inside a printf call. */
const char *bytes32_hex(const struct bytes32 *value, char out[BYTES32_HEX_SIZE]);
const char *address_hex(const struct address *value, char out[ADDRESS_HEX_SIZE]);

#endif
