/* The logs of some blocks while they are being collected: one block by hash, or a range. */
#ifndef INDEXER_UNIT_H
#define INDEXER_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evm/eth_log.h"

/* A zeroed unit is empty. */
struct unit {
    bool by_hash;
    uint64_t from;
    struct eth_header end;
    size_t endpoint; /* that knows the end */
    struct eth_log *logs;
    size_t logs_len;
    uint8_t **data; /* of each batch of logs */
    size_t data_len;
};

/* Whether a log can be of these blocks: its number, and its block's hash as far as that is known. */
bool unit_accepts(const struct unit *unit, const struct eth_log *log);

/* Copies the logs in. -EMSGSIZE when there would be more than `max`; -ENOMEM. */
int unit_add(struct unit *unit, const struct eth_logs *logs, size_t max);

void unit_clear(struct unit *unit);

#endif
