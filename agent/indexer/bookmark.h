/* How far the indexer's events were dealt with, as bytes for a restart to find. Pure. */
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

#endif
