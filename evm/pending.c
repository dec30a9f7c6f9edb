#include "evm/pending.h"

#include <string.h>

/* The version, then the fields in the order of the struct, integers big-endian; the call data are the rest.
 */

struct cursor {
    const uint8_t *at; /* NULL once something was missing */
    size_t left;
};

static void put(uint8_t **at, const void *data, size_t len)
{
    if (len > 0)
        memcpy(*at, data, len);
    *at += len;
}

static void put_u64(uint8_t **at, uint64_t value)
{
    be64_write(*at, value);
    *at += sizeof(value);
}

size_t pending_encode(const struct pending_record *record, uint8_t out[PENDING_BYTES_MAX])
{
    const struct operation_pending *pending = &record->pending;
    uint8_t *at = out;
    put_u64(&at, PENDING_VERSION);
    put_u64(&at, record->chain_id);
    put(&at, record->entry_point.b, sizeof(record->entry_point.b));
    put(&at, record->sender.b, sizeof(record->sender.b));
    put(&at, record->purpose, sizeof(record->purpose));
    put(&at, pending->nonce.b, sizeof(pending->nonce.b));
    put(&at, pending->max_fee_per_gas.b, sizeof(pending->max_fee_per_gas.b));
    put(&at, pending->max_priority_fee_per_gas.b, sizeof(pending->max_priority_fee_per_gas.b));
    put_u64(&at, pending->sent_unix_s);
    put_u64(&at, pending->hashes_len);
    for (size_t i = 0; i < pending->hashes_len; i++)
        put(&at, pending->hashes[i].b, sizeof(pending->hashes[i].b));
    put(&at, record->call_data, record->call_data_len);
    return (size_t)(at - out);
}

static void take(struct cursor *cursor, void *out, size_t len)
{
    if (!cursor->at || cursor->left < len) {
        cursor->at = NULL;
        memset(out, 0, len);
        return;
    }
    memcpy(out, cursor->at, len);
    cursor->at += len;
    cursor->left -= len;
}

static uint64_t take_u64(struct cursor *cursor)
{
    uint8_t bytes[8];
    take(cursor, bytes, sizeof(bytes));
    return be64_read(bytes);
}

int pending_decode(const uint8_t *data, size_t len, struct pending_record *out, struct am_err *err)
{
    struct cursor cursor = {data, len};
    struct operation_pending *pending = &out->pending;
    *out = (struct pending_record){0};
    if (take_u64(&cursor) != PENDING_VERSION)
        return am_fail(err, AM_EFORMAT, "the pending operation was recorded by another version");
    out->chain_id = take_u64(&cursor);
    take(&cursor, out->entry_point.b, sizeof(out->entry_point.b));
    take(&cursor, out->sender.b, sizeof(out->sender.b));
    take(&cursor, out->purpose, sizeof(out->purpose));
    take(&cursor, pending->nonce.b, sizeof(pending->nonce.b));
    take(&cursor, pending->max_fee_per_gas.b, sizeof(pending->max_fee_per_gas.b));
    take(&cursor, pending->max_priority_fee_per_gas.b, sizeof(pending->max_priority_fee_per_gas.b));
    pending->sent_unix_s = take_u64(&cursor);
    const uint64_t hashes_len = take_u64(&cursor);
    if (hashes_len == 0 || hashes_len > OPERATION_HASHES_MAX)
        return am_fail(err, AM_EFORMAT, "the pending operation has no hash, or too many");
    for (; pending->hashes_len < hashes_len; pending->hashes_len++)
        take(&cursor, pending->hashes[pending->hashes_len].b, sizeof(pending->hashes[0].b));
    if (!cursor.at || cursor.left > USEROP_CALL_DATA_MAX)
        return am_fail(err, AM_EFORMAT, "the pending operation is cut off, or too long");
    if (!memchr(out->purpose, '\0', sizeof(out->purpose)))
        return am_fail(err, AM_EFORMAT, "the pending operation's purpose has no end");
    out->call_data = cursor.at;
    out->call_data_len = cursor.left;
    return 0;
}
