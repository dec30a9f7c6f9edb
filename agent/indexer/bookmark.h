/* How far the indexer's events were dealt with, kept in a file for a restart to find. */
#ifndef AGENT_INDEXER_BOOKMARK_H
#define AGENT_INDEXER_BOOKMARK_H

#include <stdbool.h>

#include "indexer/wire/wire.h"

#define BOOKMARK_SIZE 137 /* version, chain, cluster, member, cursor, keccak of these */

/* The cursor means nothing to another member, cluster or chain. */
struct bookmark {
    uint64_t chain_id;
    struct address cluster;
    struct bytes32 member_id;
    struct wire_cursor cursor;
};

void bookmark_encode(const struct bookmark *bookmark, uint8_t out[BOOKMARK_SIZE]);

/* False when this is no bookmark of this version. */
bool bookmark_decode(const uint8_t *data, size_t len, struct bookmark *out);

/* As store_write; nothing without a folder. */
int bookmark_save(const char *folder, const struct bookmark *bookmark, struct am_err *err);

/* Fills in the cursor that was kept for this chain, cluster and member. False without one, or a folder; that
 * costs a replay, nothing else. */
bool bookmark_load(const char *folder, struct bookmark *bookmark);

#endif
