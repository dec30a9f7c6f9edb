/* The record of a pending operation: what is accepted stays the same when it is written again. */
#include <stdlib.h>
#include <string.h>

#include "evm/pending.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t again[PENDING_BYTES_MAX];
    struct pending_record record;
    struct am_err err = {0};
    if (pending_decode(data, len, &record, &err) != 0) {
        if (!err.text[0])
            abort();
        return 0;
    }
    if (pending_encode(&record, again) != len || memcmp(again, data, len) != 0)
        abort();
    return 0;
}
