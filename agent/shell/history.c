#include "agent/shell/history.h"

#include <stdio.h>

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
    case 0:
        return HISTORY_INCLUDED;
    case AM_EREVERT:
        return HISTORY_REVERTED;
    case AM_EDENIED:
        return HISTORY_DENIED;
    default:
        return HISTORY_FAILED;
    }
}

void history_end(struct history *history, const struct operation_result *result, uint64_t unix_ms)
{
    if (history->len == 0)
        return;
    struct history_entry *entry = entry_at(history, history->len - 1);
    entry->outcome = outcome_of(result);
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
