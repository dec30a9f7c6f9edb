/* The history of operations: what is accepted stays the same when it is written again. */
#include <stdlib.h>
#include <string.h>

#include "agent/shell/history.h"
#include "crypto/bytes.h"

#define CHAIN_AT 8
#define ACCOUNT_AT 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct history history;
    static uint8_t again[HISTORY_BYTES_MAX];
    struct address account = {{0}};
    struct am_err err = {0};
    uint64_t chain_id = 0;
    if (len >= ACCOUNT_AT + sizeof(account.b)) {
        chain_id = be64_read(data + CHAIN_AT);
        memcpy(account.b, data + ACCOUNT_AT, sizeof(account.b));
    }
    if (history_decode(data, len, chain_id, &account, &history, &err) != 0) {
        if (!err.text[0] || history_at(&history, 0))
            abort();
        return 0;
    }
    if (history_encode(&history, chain_id, &account, again) != len || memcmp(again, data, len) != 0)
        abort();
    return 0;
}
