/* What eth_getLogs is asked for: whose logs, with which topics, of which blocks. Pure. */
#ifndef EVM_LOG_FILTER_H
#define EVM_LOG_FILTER_H

#include <json-c/json_object.h>

#include "evm/eth_log.h"

/* Everything that it points to is borrowed. */
struct log_filter {
    const struct address *addresses; /* any of these; at least one */
    size_t addresses_len;
    struct {
        const struct bytes32
            *any; /* the topic is one of these; len 0: whatever it is, if it is there at all */
        size_t len;
    } topics[ETH_LOG_TOPICS_MAX];
};

/* One block by its hash, or all of from..to. */
struct log_place {
    const struct bytes32 *hash; /* NULL: from..to */
    uint64_t from, to;
};

/* The params of an eth_getLogs call, owned by the caller; NULL when memory is short. */
json_object *log_filter_params(const struct log_filter *filter, const struct log_place *place);

/* Whether this is a log that the filter asks for. */
bool log_filter_accepts(const struct log_filter *filter, const struct eth_log *log);

#endif
