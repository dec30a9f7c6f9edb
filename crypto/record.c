#include "crypto/record.h"

#include <string.h>

#include "crypto/bytes.h"

void record_put(uint8_t **at, const void *data, size_t len)
{
    if (len > 0)
        memcpy(*at, data, len);
    *at += len;
}

void record_put_u64(uint8_t **at, uint64_t value)
{
    be64_write(*at, value);
    *at += sizeof(value);
}

void record_take(struct record_reader *reader, void *out, size_t len)
{
    if (!reader->at || reader->left < len) {
        reader->at = NULL;
        memset(out, 0, len);
        return;
    }
    memcpy(out, reader->at, len);
    reader->at += len;
    reader->left -= len;
}

uint64_t record_take_u64(struct record_reader *reader)
{
    uint8_t bytes[sizeof(uint64_t)];
    record_take(reader, bytes, sizeof(bytes));
    return be64_read(bytes);
}

bool record_take_text(struct record_reader *reader, char *out, size_t size)
{
    record_take(reader, out, size);
    return memchr(out, '\0', size);
}
