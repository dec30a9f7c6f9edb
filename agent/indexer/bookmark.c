#include "agent/indexer/bookmark.h"

#include <string.h>

#include "agent/store.h"
#include "crypto/keccak.h"

#define FILE_NAME "indexer-cursor"
#define VERSION 1

enum {
    AT_CHAIN = 1,
    AT_CLUSTER = AT_CHAIN + 8,
    AT_MEMBER = AT_CLUSTER + 20,
    AT_BLOCK = AT_MEMBER + 32,
    AT_INDEX = AT_BLOCK + 8,
    AT_HASH = AT_INDEX + 4,
    AT_CHECK = AT_HASH + 32
};

_Static_assert(AT_CHECK + 32 == BOOKMARK_SIZE, "the fields fill the bookmark");

void bookmark_encode(const struct bookmark *bookmark, uint8_t out[BOOKMARK_SIZE])
{
    out[0] = VERSION;
    be64_write(out + AT_CHAIN, bookmark->chain_id);
    memcpy(out + AT_CLUSTER, bookmark->cluster.b, sizeof(bookmark->cluster.b));
    memcpy(out + AT_MEMBER, bookmark->member_id.b, sizeof(bookmark->member_id.b));
    be64_write(out + AT_BLOCK, bookmark->cursor.block);
    be32_write(out + AT_INDEX, bookmark->cursor.log_index);
    memcpy(out + AT_HASH, bookmark->cursor.block_hash.b, sizeof(bookmark->cursor.block_hash.b));
    const struct bytes32 check = keccak256(out, AT_CHECK);
    memcpy(out + AT_CHECK, check.b, sizeof(check.b));
}

bool bookmark_decode(const uint8_t *data, size_t len, struct bookmark *out)
{
    if (len != BOOKMARK_SIZE || data[0] != VERSION)
        return false;
    const struct bytes32 check = keccak256(data, AT_CHECK);
    if (memcmp(data + AT_CHECK, check.b, sizeof(check.b)) != 0)
        return false;
    out->chain_id = be64_read(data + AT_CHAIN);
    memcpy(out->cluster.b, data + AT_CLUSTER, sizeof(out->cluster.b));
    memcpy(out->member_id.b, data + AT_MEMBER, sizeof(out->member_id.b));
    out->cursor.block = be64_read(data + AT_BLOCK);
    out->cursor.log_index = be32_read(data + AT_INDEX);
    memcpy(out->cursor.block_hash.b, data + AT_HASH, sizeof(out->cursor.block_hash.b));
    return true;
}

int bookmark_save(const char *folder, const struct bookmark *bookmark, struct am_err *err)
{
    uint8_t data[BOOKMARK_SIZE];
    bookmark_encode(bookmark, data);
    return !folder ? 0 : store_write(folder, FILE_NAME, data, sizeof(data), err);
}

bool bookmark_load(const char *folder, struct bookmark *bookmark)
{
    uint8_t data[BOOKMARK_SIZE];
    struct bookmark kept;
    size_t len;
    if (!folder || store_read(folder, FILE_NAME, data, sizeof(data), &len, NULL) != 0 ||
        !bookmark_decode(data, len, &kept) || kept.chain_id != bookmark->chain_id ||
        !address_equal(&kept.cluster, &bookmark->cluster) ||
        !bytes32_equal(&kept.member_id, &bookmark->member_id))
        return false;
    bookmark->cursor = kept.cursor;
    return true;
}
