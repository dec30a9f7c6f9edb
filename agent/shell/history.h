/* What this node had done on chain: the newest operations, for the operator. */
#ifndef AGENT_SHELL_HISTORY_H
#define AGENT_SHELL_HISTORY_H

#include "evm/operation.h"
#include "evm/pending.h"

#define HISTORY_MAX 64
#define HISTORY_BYTES_MAX (HISTORY_MAX * 640)

enum history_outcome {
    HISTORY_PENDING,  /* under way */
    HISTORY_INCLUDED, /* with success */
    HISTORY_REVERTED, /* included, or refused before, because the call fails */
    HISTORY_DENIED,   /* no sponsor wants to pay */
    HISTORY_FAILED,   /* for another reason, which may pass */
    HISTORY_OUTCOMES
};

struct history_entry {
    char purpose[PENDING_PURPOSE_MAX];
    enum history_outcome outcome;
    uint64_t started_unix_ms;
    uint64_t ended_unix_ms; /* 0 while it is under way */
    uint32_t attempts;      /* how often it was begun */
    uint32_t sends;         /* how often something was handed to the bundler */
    struct bytes32 call;    /* keccak of the call data */
    struct bytes32 hash;    /* userOpHash; zero when nothing was sent */
    struct bytes32 tx_hash; /* zero without a receipt, as the next two */
    uint64_t gas_used;
    struct uint256 cost; /* wei */
    char sponsor[SPONSOR_NAME_SIZE];
    char problem[AM_ERR_TEXT_MAX]; /* why it failed; "" otherwise */
};

struct history {
    struct history_entry entries[HISTORY_MAX];
    size_t first, len;
    uint64_t ended[HISTORY_OUTCOMES]; /* attempts of this process that ended so */
};

/* Notes that an operation is begun. What failed before and is tried again goes on as the same entry. */
void history_begin(struct history *history, const char *purpose, const struct bytes32 *call,
                   uint64_t unix_ms);

/* Notes how the operation that was begun last ended. */
void history_end(struct history *history, const struct operation_result *result, uint64_t unix_ms);

/* The whole history of an account as bytes, for a restart to find. No operation is under way. Returns the
 * length. */
size_t history_encode(const struct history *history, uint64_t chain_id, const struct address *account,
                      uint8_t out[HISTORY_BYTES_MAX]);

/* Returns 0, AM_EMISMATCH when it is another account's, or AM_EFORMAT when this is no such record; `out` is
 * empty then. */
int history_decode(const uint8_t *data, size_t len, uint64_t chain_id, const struct address *account,
                   struct history *out, struct am_err *err);

/* Oldest first; NULL at the end. */
const struct history_entry *history_at(const struct history *history, size_t index);

#endif
