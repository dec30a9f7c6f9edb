/* The kept cursor: what is accepted stays the same when it is written again. */
#include <stdlib.h>
#include <string.h>

#include "agent/indexer/bookmark.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t again[BOOKMARK_SIZE];
    struct bookmark bookmark;
    if (!bookmark_decode(data, len, &bookmark))
        return 0;
    bookmark_encode(&bookmark, again);
    if (memcmp(again, data, len) != 0)
        abort();
    return 0;
}
