#include "evm/pending.h"

#include "crypto/record.h"

/* The version, then the fields in the order of the struct, integers big-endian; the call data are the rest.
 */

size_t pending_encode(const struct pending_record *record, uint8_t out[PENDING_BYTES_MAX])
{
    const struct operation_pending *pending = &record->pending;
    uint8_t *at = out;
    record_put_u64(&at, PENDING_VERSION);
    record_put_u64(&at, record->chain_id);
    record_put(&at, record->entry_point.b, sizeof(record->entry_point.b));
    record_put(&at, record->sender.b, sizeof(record->sender.b));
    record_put(&at, record->purpose, sizeof(record->purpose));
    record_put(&at, pending->nonce.b, sizeof(pending->nonce.b));
    record_put(&at, pending->max_fee_per_gas.b, sizeof(pending->max_fee_per_gas.b));
    record_put(&at, pending->max_priority_fee_per_gas.b, sizeof(pending->max_priority_fee_per_gas.b));
    record_put_u64(&at, pending->sent_unix_s);
    record_put_u64(&at, pending->hashes_len);
    for (size_t i = 0; i < pending->hashes_len; i++)
        record_put(&at, pending->hashes[i].b, sizeof(pending->hashes[i].b));
    record_put(&at, record->call_data, record->call_data_len);
    return (size_t)(at - out);
}

int pending_decode(const uint8_t *data, size_t len, struct pending_record *out, struct am_err *err)
{
    struct record_reader reader = {data, len};
    struct operation_pending *pending = &out->pending;
    *out = (struct pending_record){0};
    if (record_take_u64(&reader) != PENDING_VERSION)
        return am_fail(err, AM_EFORMAT, "the pending operation was recorded by another version");
    out->chain_id = record_take_u64(&reader);
    record_take(&reader, out->entry_point.b, sizeof(out->entry_point.b));
    record_take(&reader, out->sender.b, sizeof(out->sender.b));
    const bool purpose_ends = record_take_text(&reader, out->purpose, sizeof(out->purpose));
    record_take(&reader, pending->nonce.b, sizeof(pending->nonce.b));
    record_take(&reader, pending->max_fee_per_gas.b, sizeof(pending->max_fee_per_gas.b));
    record_take(&reader, pending->max_priority_fee_per_gas.b, sizeof(pending->max_priority_fee_per_gas.b));
    pending->sent_unix_s = record_take_u64(&reader);
    const uint64_t hashes_len = record_take_u64(&reader);
    if (hashes_len == 0 || hashes_len > OPERATION_HASHES_MAX)
        return am_fail(err, AM_EFORMAT, "the pending operation has no hash, or too many");
    for (; pending->hashes_len < hashes_len; pending->hashes_len++)
        record_take(&reader, pending->hashes[pending->hashes_len].b, sizeof(pending->hashes[0].b));
    if (!reader.at || reader.left > USEROP_CALL_DATA_MAX)
        return am_fail(err, AM_EFORMAT, "the pending operation is cut off, or too long");
    if (!purpose_ends)
        return am_fail(err, AM_EFORMAT, "the pending operation's purpose has no end");
    out->call_data = reader.at;
    out->call_data_len = reader.left;
    return 0;
}
