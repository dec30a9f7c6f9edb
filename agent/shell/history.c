#include "agent/shell/history.h"

#include <stdio.h>

#include "crypto/record.h"

#define HISTORY_VERSION 1

static struct history_entry *entry_at(struct history *history, size_t index)
{
    return &history->entries[(history->first + index) % HISTORY_MAX];
}

static bool goes_on(const struct history_entry *entry, const struct bytes32 *call)
{
    return entry->outcome != HISTORY_INCLUDED && bytes32_is_zero(&entry->tx_hash) &&
           bytes32_equal(&entry->call, call);
}

void history_begin(struct history *history, const char *purpose, const struct bytes32 *call, uint64_t unix_ms)
{
    struct history_entry *entry = history->len ? entry_at(history, history->len - 1) : NULL;
    if (!entry || !goes_on(entry, call)) {
        if (history->len == HISTORY_MAX)
            history->first = (history->first + 1) % HISTORY_MAX;
        else
            history->len++;
        entry = entry_at(history, history->len - 1);
        *entry = (struct history_entry){.call = *call, .started_unix_ms = unix_ms};
        snprintf(entry->purpose, sizeof(entry->purpose), "%s", purpose);
    }
    entry->outcome = HISTORY_PENDING;
    entry->ended_unix_ms = 0;
    entry->attempts++;
}

static enum history_outcome outcome_of(const struct operation_result *result)
{
    switch (result->code) {
    case 0: return HISTORY_INCLUDED;
    case AM_EREVERT: return HISTORY_REVERTED;
    case AM_EDENIED: return HISTORY_DENIED;
    default: return HISTORY_FAILED;
    }
}

void history_end(struct history *history, const struct operation_result *result, uint64_t unix_ms)
{
    if (history->len == 0)
        return;
    struct history_entry *entry = entry_at(history, history->len - 1);
    entry->outcome = outcome_of(result);
    history->ended[entry->outcome]++;
    entry->ended_unix_ms = unix_ms;
    entry->sends += result->sends;
    if (!bytes32_is_zero(&result->hash))
        entry->hash = result->hash;
    entry->tx_hash = result->tx_hash;
    entry->gas_used = result->gas_used;
    entry->cost = result->gas_cost;
    if (result->sponsor)
        snprintf(entry->sponsor, sizeof(entry->sponsor), "%s", result->sponsor);
    snprintf(entry->problem, sizeof(entry->problem), "%s", result->error ? result->error : "");
}

const struct history_entry *history_at(const struct history *history, size_t index)
{
    return index < history->len ? &history->entries[(history->first + index) % HISTORY_MAX] : NULL;
}

/* ---- As bytes: version, account, number of entries, then the entries' fields in the order of the struct
 * ---- */

#define HEADER_BYTES (3 * sizeof(uint64_t) + sizeof(struct address))
#define ENTRY_BYTES                                                                                          \
    (PENDING_PURPOSE_MAX + 6 * sizeof(uint64_t) + 3 * sizeof(struct bytes32) + sizeof(struct uint256) +      \
     SPONSOR_NAME_SIZE + AM_ERR_TEXT_MAX)

_Static_assert(HEADER_BYTES + HISTORY_MAX * ENTRY_BYTES <= HISTORY_BYTES_MAX, "room for a full history");

static void put_entry(uint8_t **at, const struct history_entry *entry)
{
    record_put(at, entry->purpose, sizeof(entry->purpose));
    record_put_u64(at, entry->outcome);
    record_put_u64(at, entry->started_unix_ms);
    record_put_u64(at, entry->ended_unix_ms);
    record_put_u64(at, entry->attempts);
    record_put_u64(at, entry->sends);
    record_put(at, entry->call.b, sizeof(entry->call.b));
    record_put(at, entry->hash.b, sizeof(entry->hash.b));
    record_put(at, entry->tx_hash.b, sizeof(entry->tx_hash.b));
    record_put_u64(at, entry->gas_used);
    record_put(at, entry->cost.b, sizeof(entry->cost.b));
    record_put(at, entry->sponsor, sizeof(entry->sponsor));
    record_put(at, entry->problem, sizeof(entry->problem));
}

size_t history_encode(const struct history *history, uint64_t chain_id, const struct address *account,
                      uint8_t out[HISTORY_BYTES_MAX])
{
    uint8_t *at = out;
    record_put_u64(&at, HISTORY_VERSION);
    record_put_u64(&at, chain_id);
    record_put(&at, account->b, sizeof(account->b));
    record_put_u64(&at, history->len);
    for (size_t i = 0; i < history->len; i++)
        put_entry(&at, history_at(history, i));
    return (size_t)(at - out);
}

/* False when a field has a value that none can have. */
static bool take_entry(struct record_reader *reader, struct history_entry *entry)
{
    bool sound = record_take_text(reader, entry->purpose, sizeof(entry->purpose));
    const uint64_t outcome = record_take_u64(reader);
    entry->started_unix_ms = record_take_u64(reader);
    entry->ended_unix_ms = record_take_u64(reader);
    const uint64_t attempts = record_take_u64(reader), sends = record_take_u64(reader);
    record_take(reader, entry->call.b, sizeof(entry->call.b));
    record_take(reader, entry->hash.b, sizeof(entry->hash.b));
    record_take(reader, entry->tx_hash.b, sizeof(entry->tx_hash.b));
    entry->gas_used = record_take_u64(reader);
    record_take(reader, entry->cost.b, sizeof(entry->cost.b));
    sound = record_take_text(reader, entry->sponsor, sizeof(entry->sponsor)) && sound;
    sound = record_take_text(reader, entry->problem, sizeof(entry->problem)) && sound;
    entry->outcome = (enum history_outcome)outcome;
    entry->attempts = (uint32_t)attempts;
    entry->sends = (uint32_t)sends;
    return sound && outcome > HISTORY_PENDING && outcome <= HISTORY_FAILED && attempts <= UINT32_MAX &&
           sends <= UINT32_MAX;
}

int history_decode(const uint8_t *data, size_t len, uint64_t chain_id, const struct address *account,
                   struct history *out, struct am_err *err)
{
    struct record_reader reader = {data, len};
    struct address whose;
    bool sound = record_take_u64(&reader) == HISTORY_VERSION;
    const uint64_t chain = record_take_u64(&reader);
    record_take(&reader, whose.b, sizeof(whose.b));
    const uint64_t entries = record_take_u64(&reader);
    *out = (struct history){0};
    if (!sound || entries > HISTORY_MAX || len != HEADER_BYTES + entries * ENTRY_BYTES)
        return am_fail(err, AM_EFORMAT, "the history of operations is of another version, or cut off");
    if (chain != chain_id || !address_equal(&whose, account))
        return am_fail(err, AM_EMISMATCH, "the history of operations is another account's");
    for (size_t i = 0; i < entries; i++)
        sound = take_entry(&reader, &out->entries[i]) && sound;
    if (!sound) {
        *out = (struct history){0};
        return am_fail(err, AM_EFORMAT, "the history of operations has an impossible entry");
    }
    out->len = (size_t)entries;
    return 0;
}
