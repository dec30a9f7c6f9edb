/* The chain's record of who sent what to whom: MessageSent logs of one member, sent or received. */
#ifndef AGENT_SHELL_ARCHIVE_H
#define AGENT_SHELL_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"
#include "evm/rpc.h"

struct archive;
struct archive_reader;

enum archive_side { ARCHIVE_RECEIVED, ARCHIVE_SENT };

/* The member whose messages they are. */
struct archive_member {
    struct address cluster;
    struct bytes32 member_id;
    uint64_t registered_at; /* unix seconds; nothing was sent before */
};

struct archive_message {
    uint64_t block;
    uint32_t log_index;
    struct bytes32 sender, recipient, envelope_id;
    const uint8_t *ciphertext; /* valid during the call */
    size_t ciphertext_len;
};

/* In the order of block and log index. May cancel the reader. */
typedef void (*archive_take_fn)(void *user, const struct archive_message *message);

/* `error` is NULL when everything was given. */
typedef void (*archive_done_fn)(void *user, const char *error);

/* `node` outlives the archive, the archive outlives its readers. NULL when memory is short. */
struct archive *archive_new(struct rpc *node, const struct archive_member *member);
void archive_free(struct archive *archive);

struct archive_reader *archive_reader_new(struct archive *archive, enum archive_side side);

/* Ends a read without a callback. Not from `take`; NULL is allowed. */
void archive_reader_free(struct archive_reader *reader);

/* Reads the blocks from..to; `from` 0 means since the member's registration, whose block is searched for once
 * by its time. `take` and then `done`, once, come from the loop. Returns 0 or an errno; then no callback
 * comes. */
int archive_reader_start(struct archive_reader *reader, uint64_t from, uint64_t to, archive_take_fn take,
                         archive_done_fn done, void *user);

/* Ends a read without a further callback, also from `take`. */
void archive_reader_cancel(struct archive_reader *reader);

#endif
