#include "evm/abi.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 512

void abi_writer_free(struct abi_writer *writer)
{
    free(writer->data);
    *writer = (struct abi_writer){0};
}

/* `len` zeroed bytes at the end, NULL after a failure. */
static uint8_t *extend(struct abi_writer *writer, size_t len)
{
    if (writer->failed || len > ABI_WRITER_MAX - writer->len) {
        writer->failed = true;
        return NULL;
    }
    size_t capacity = writer->capacity ? writer->capacity : FIRST_CAPACITY;
    while (capacity < writer->len + len)
        capacity *= 2;
    if (capacity != writer->capacity) {
        uint8_t *grown = realloc(writer->data, capacity);
        if (!grown) {
            writer->failed = true;
            return NULL;
        }
        writer->data = grown;
        writer->capacity = capacity;
    }
    uint8_t *end = writer->data + writer->len;
    memset(end, 0, len);
    writer->len += len;
    return end;
}

/* One word with `len` bytes at its end. */
static void put_right_aligned(struct abi_writer *writer, const uint8_t *value, size_t len)
{
    uint8_t *word = extend(writer, ABI_WORD);
    if (word)
        memcpy(word + ABI_WORD - len, value, len);
}

void abi_put_selector(struct abi_writer *writer, uint32_t selector)
{
    uint8_t *end = extend(writer, 4);
    if (end)
        be32_write(end, selector);
}

void abi_put_bytes32(struct abi_writer *writer, const struct bytes32 *value)
{
    put_right_aligned(writer, value->b, sizeof(value->b));
}

void abi_put_address(struct abi_writer *writer, const struct address *value)
{
    put_right_aligned(writer, value->b, sizeof(value->b));
}

void abi_put_u64(struct abi_writer *writer, uint64_t value)
{
    uint8_t *word = extend(writer, ABI_WORD);
    if (word)
        be64_write(word + ABI_WORD - 8, value);
}

void abi_put_bytes(struct abi_writer *writer, const void *data, size_t len)
{
    if (len > ABI_WRITER_MAX) {
        writer->failed = true;
        return;
    }
    abi_put_u64(writer, len);
    uint8_t *end = extend(writer, (len + ABI_WORD - 1) / ABI_WORD * ABI_WORD);
    if (end && len)
        memcpy(end, data, len);
}

size_t abi_here(const struct abi_writer *writer)
{
    return writer->len;
}

size_t abi_reserve(struct abi_writer *writer)
{
    const size_t slot = writer->len;
    extend(writer, ABI_WORD);
    return slot;
}

void abi_point(struct abi_writer *writer, size_t tuple, size_t slot)
{
    if (!writer->failed)
        be64_write(writer->data + slot + ABI_WORD - 8, writer->len - tuple);
}

struct abi_reader abi_reader_of(const uint8_t *data, size_t len, bool *ok)
{
    *ok = true;
    return (struct abi_reader){.data = data, .len = len, .ok = ok};
}

/* The next word, or a word of zeros once anything has failed. */
static const uint8_t *take_word(struct abi_reader *reader)
{
    static const uint8_t zero[ABI_WORD];
    if (!*reader->ok || reader->len - reader->offset < ABI_WORD) {
        *reader->ok = false;
        return zero;
    }
    reader->offset += ABI_WORD;
    return reader->data + reader->offset - ABI_WORD;
}

/* A word whose value fits its last `len` bytes; returns these. */
static const uint8_t *take_right_aligned(struct abi_reader *reader, size_t len)
{
    static const uint8_t zero[ABI_WORD];
    const uint8_t *word = take_word(reader);
    if (memcmp(word, zero, ABI_WORD - len) != 0) {
        *reader->ok = false;
        return zero;
    }
    return word + ABI_WORD - len;
}

struct bytes32 abi_take_bytes32(struct abi_reader *reader)
{
    struct bytes32 value;
    memcpy(value.b, take_word(reader), sizeof(value.b));
    return value;
}

struct address abi_take_address(struct abi_reader *reader)
{
    struct address value;
    memcpy(value.b, take_right_aligned(reader, sizeof(value.b)), sizeof(value.b));
    return value;
}

struct uint256 abi_take_uint256(struct abi_reader *reader)
{
    struct uint256 value;
    memcpy(value.b, take_word(reader), sizeof(value.b));
    return value;
}

uint64_t abi_take_u64(struct abi_reader *reader)
{
    return be64_read(take_right_aligned(reader, 8));
}

uint32_t abi_take_u32(struct abi_reader *reader)
{
    return be32_read(take_right_aligned(reader, 4));
}

uint8_t abi_take_u8(struct abi_reader *reader)
{
    return *take_right_aligned(reader, 1);
}

bool abi_take_bool(struct abi_reader *reader)
{
    const uint8_t value = abi_take_u8(reader);
    if (value > 1)
        *reader->ok = false;
    return value == 1;
}

/* Follows an offset of the head to its tail. */
static struct abi_reader take_tail(struct abi_reader *reader)
{
    struct abi_reader tail = {.data = reader->data, .ok = reader->ok};
    const uint64_t offset = abi_take_u64(reader);
    if (offset > reader->len) {
        *reader->ok = false;
        return tail;
    }
    tail.data = reader->data + offset;
    tail.len = reader->len - offset;
    return tail;
}

const uint8_t *abi_take_bytes(struct abi_reader *reader, size_t *len)
{
    struct abi_reader tail = take_tail(reader);
    const uint64_t claimed = abi_take_u64(&tail);
    *len = 0;
    if (!*reader->ok || claimed > tail.len - tail.offset) {
        *reader->ok = false;
        return (const uint8_t *)"";
    }
    *len = claimed;
    return tail.data + tail.offset;
}

struct abi_reader abi_take_array(struct abi_reader *reader, size_t element_size, size_t *count)
{
    struct abi_reader tail = take_tail(reader);
    const uint64_t claimed = abi_take_u64(&tail);
    *count = 0;
    if (!*reader->ok || claimed > (tail.len - tail.offset) / element_size) {
        *reader->ok = false;
        return tail;
    }
    *count = claimed;
    /* Offsets inside an array count from behind its length. */
    tail.data += tail.offset;
    tail.len -= tail.offset;
    tail.offset = 0;
    return tail;
}
