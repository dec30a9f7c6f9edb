/* Logs and block headers as eth_getLogs and eth_getBlockByNumber return them. Pure. */
#ifndef EVM_ETH_LOG_H
#define EVM_ETH_LOG_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"

#define ETH_LOG_TOPICS_MAX 4
#define ETH_LOG_DATA_MAX 65536 /* longer ones, of anybody's making, must not stop those who read all */
#define ETH_BLOOM_SIZE 256

struct eth_log {
    struct address address;
    uint64_t block;
    uint32_t index; /* within the block */
    struct bytes32 block_hash;
    struct bytes32 tx_hash;
    struct bytes32 topics[ETH_LOG_TOPICS_MAX];
    size_t topics_len;
    const uint8_t *data;
    size_t data_len;
};

/* The logs of one answer; their data share one piece of memory. A zeroed struct is empty. */
struct eth_logs {
    struct eth_log *items;
    size_t len;
    size_t oversized; /* left out: more data than ETH_LOG_DATA_MAX, which no contract of ours emits */
    uint8_t *data;
};

struct eth_header {
    uint64_t number;
    uint64_t timestamp; /* unix seconds */
    struct bytes32 hash;
    struct bytes32 parent;
    uint8_t bloom[ETH_BLOOM_SIZE];
};

/* Reads the result of eth_getLogs: at most `max` logs, each mined, none of them retracted. Returns 0 with
 * `out` for eth_logs_free, AM_EFORMAT naming the field, or -ENOMEM. */
int eth_logs_parse(json_object *value, size_t max, struct eth_logs *out, struct am_err *err);
void eth_logs_free(struct eth_logs *logs);

/* Puts logs into the chain's order: by block, then by index. */
void eth_logs_sort(struct eth_log *items, size_t len);

/* Reads the result of eth_getBlockByNumber. Returns 0 or AM_EFORMAT naming the field. */
int eth_header_parse(json_object *value, struct eth_header *out, struct am_err *err);

/* False only if no log of the block comes from `address` (Yellow Paper 4.3.1). */
bool eth_bloom_may_contain(const uint8_t bloom[ETH_BLOOM_SIZE], const struct address *address);

#endif
