/* Between watcher and store: signs each log once, stores it as the frame that subscribers get, and tells who
 * serves them. Events of a kind that no contract of ours emits are left out: nobody waits for them, and
 * whoever owns a cluster could fill the store with them. */
#ifndef INDEXER_LEDGER_H
#define INDEXER_LEDGER_H

#include "crypto/secret.h"
#include "indexer/store.h"
#include "indexer/watcher.h"

struct ledger;

/* Called when the store has it. */
struct ledger_listener {
    void (*appended)(void *user, const struct eth_header *tip, const struct store_log *logs, size_t logs_len);
    void (*retracted)(void *user, const struct address *cluster, const struct wire_cursor *block);
    void *user;
};

struct ledger_config {
    uint64_t chain_id;
    uint64_t first_block;
    const struct secret *seed; /* outlives the ledger */
    struct bytes32 key;
};

/* NULL without memory. `store` outlives the ledger. */
struct ledger *ledger_new(const struct ledger_config *config, struct store *store,
                          const struct ledger_listener *listener);
void ledger_free(struct ledger *ledger);

/* For watcher_new. */
struct watcher_sink ledger_sink(struct ledger *ledger);

/* Why the last append or retraction failed, "" when it did not. */
const char *ledger_error(const struct ledger *ledger);

#endif
