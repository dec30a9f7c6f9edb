#include "indexer/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool unit_accepts(const struct unit *unit, const struct eth_log *log)
{
    if (log->block < unit->from || log->block > unit->end.number)
        return false;
    return log->block != unit->end.number || bytes32_equal(&log->block_hash, &unit->end.hash);
}

static uint8_t *copy_data(const struct eth_logs *logs)
{
    size_t len = 1;
    for (size_t i = 0; i < logs->len; i++)
        len += logs->items[i].data_len;
    return malloc(len);
}

int unit_add(struct unit *unit, const struct eth_logs *logs, size_t max)
{
    if (logs->len == 0)
        return 0;
    if (logs->len > max || unit->logs_len > max - logs->len)
        return -EMSGSIZE;
    struct eth_log *grown = reallocarray(unit->logs, unit->logs_len + logs->len, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    unit->logs = grown;
    uint8_t **const all = reallocarray(unit->data, unit->data_len + 1, sizeof(*all));
    if (!all)
        return -ENOMEM;
    unit->data = all;
    uint8_t *data = copy_data(logs);
    if (!data)
        return -ENOMEM;
    unit->data[unit->data_len++] = data;
    for (size_t i = 0; i < logs->len; i++) {
        struct eth_log *const log = &unit->logs[unit->logs_len++];
        *log = logs->items[i];
        memcpy(data, log->data, log->data_len);
        log->data = data;
        data += log->data_len;
    }
    return 0;
}

void unit_clear(struct unit *unit)
{
    for (size_t i = 0; i < unit->data_len; i++)
        free(unit->data[i]);
    free(unit->data);
    free(unit->logs);
    *unit = (struct unit){0};
}
