/* Reads the logs of contracts over a span of blocks, however little a provider gives at once.
 *
 * The span is read in ranges, in order. A range that the RPC refuses, or whose answer is too large or too
 * late, is halved and asked again; after some good answers the ranges grow. The reader remembers the size
 * from one read to the next. Every answer is checked against the question: address, topics, blocks, nothing
 * twice, no log that was undone, one hash per block. What no check here can find, logs that are left out, the
 * caller finds by the chained heads of the contracts.
 */
#ifndef EVM_LOG_READER_H
#define EVM_LOG_READER_H

#include "evm/log_filter.h"
#include "evm/rpc.h"

#define LOG_READER_RANGE_MAX 4096 /* blocks in one question */
#define LOG_READER_LOGS_MAX 4096  /* logs in one answer */
#define LOG_READER_BATCH_MAX 64   /* logs in one callback */

struct log_reader;

struct log_reader_result {
    int code; /* 0, -EMSGSIZE (one block has too much), AM_EFORMAT, -ENOMEM, or one of rpc_result's */
    const char *error;      /* one printable line, NULL when code is 0 */
    uint32_t retry_after_s; /* as of rpc_result */
    uint64_t next;          /* all logs before this block have been given: where to go on */
};

/* Up to LOG_READER_BATCH_MAX logs, in the order of block and index, valid during the call. */
typedef void (*log_reader_take_fn)(void *user, const struct eth_log *logs, size_t len);
typedef void (*log_reader_done_fn)(void *user, const struct log_reader_result *result);

/* `node`, and what `filter` points to, outlive the reader. NULL when memory is short. */
struct log_reader *log_reader_new(struct rpc *node, const struct log_filter *filter);

/* Ends a read without a callback; NULL is allowed. Not from `take`; allowed from `done`. */
void log_reader_free(struct log_reader *reader);

/* Reads blocks from..to, both included. `take` is called as often as there are logs, then `done` exactly once
 * (which may start the next read), both from the loop and never from within this call. Returns 0, -EBUSY
 * while a read is under way, -EINVAL when `to` is before `from`, or -ENOMEM; then no callback comes. */
int log_reader_start(struct log_reader *reader, uint64_t from, uint64_t to, log_reader_take_fn take,
                     log_reader_done_fn done, void *user);

/* Ends a read without a further callback, also from `take` (which must not start another). */
void log_reader_cancel(struct log_reader *reader);

/* How many blocks the next question has at most; for metrics. */
uint64_t log_reader_range(const struct log_reader *reader);

#endif
