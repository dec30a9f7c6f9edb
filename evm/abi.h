/* Solidity's ABI coding: a growing writer and a sticky-failure reader.
 *
 * Dynamic values stand in the tail of the tuple that holds them, and the tuple's head holds their offset. The
 * writer reserves the head's word and points it when the tail is written:
 *
 *     const size_t tuple = abi_here(&w);           // where the tuple's head begins
 *     abi_put_address(&w, &target);
 *     const size_t data_slot = abi_reserve(&w);    // the offset of `bytes data`
 *     abi_point(&w, tuple, data_slot);
 *     abi_put_bytes(&w, data, len);
 */
#ifndef EVM_ABI_H
#define EVM_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"
#include "evm/uint256.h"

#define ABI_WORD 32u
#define ABI_WRITER_MAX (1u << 17) /* bytes; a writer that would grow beyond fails */

struct abi_writer {
    uint8_t *data;
    size_t len, capacity;
    bool failed; /* out of memory or beyond ABI_WRITER_MAX; later calls do nothing */
};

/* A zeroed writer is empty. Everything is freed, and the writer empty again, after abi_writer_free. */
void abi_writer_free(struct abi_writer *writer);

void abi_put_selector(struct abi_writer *writer, uint32_t selector);
void abi_put_bytes32(struct abi_writer *writer, const struct bytes32 *value);
void abi_put_address(struct abi_writer *writer, const struct address *value);
void abi_put_u64(struct abi_writer *writer, uint64_t value);

/* The length, the bytes and their padding: a `bytes` or `string` in a tail. */
void abi_put_bytes(struct abi_writer *writer, const void *data, size_t len);

/* The present end; a zero word reserved there (returns its place); the offset from `tuple` to the present end
 * written into the reserved word. */
size_t abi_here(const struct abi_writer *writer);
size_t abi_reserve(struct abi_writer *writer);
void abi_point(struct abi_writer *writer, size_t tuple, size_t slot);

/* Reads one tuple's head, word by word. The first read that finds too few bytes or a value out of its type's
 * range clears `*ok`, which nested readers share; from then on every read gives zero. */
struct abi_reader {
    const uint8_t *data; /* where the tuple begins: offsets count from here */
    size_t len, offset;
    bool *ok;
};

/* `*ok` starts as true. The data outlive the reader and everything read by reference. */
struct abi_reader abi_reader_of(const uint8_t *data, size_t len, bool *ok);

struct bytes32 abi_take_bytes32(struct abi_reader *reader);
struct address abi_take_address(struct abi_reader *reader);
struct uint256 abi_take_uint256(struct abi_reader *reader);
uint64_t abi_take_u64(struct abi_reader *reader);
uint32_t abi_take_u32(struct abi_reader *reader);
uint8_t abi_take_u8(struct abi_reader *reader);
bool abi_take_bool(struct abi_reader *reader);

/* A `bytes` or `string`, by reference; "" of length 0 on failure. */
const uint8_t *abi_take_bytes(struct abi_reader *reader, size_t *len);

/* An array whose elements take `element_size` bytes each in line; returns the reader of its elements and
 * their number, which is never more than the data can hold. */
struct abi_reader abi_take_array(struct abi_reader *reader, size_t element_size, size_t *count);

#endif
