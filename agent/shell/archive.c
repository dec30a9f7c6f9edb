#include "agent/shell/archive.h"

#include <errno.h>
#include <stdlib.h>

#include "contracts_abi.h"
#include "evm/chain.h"
#include "evm/cluster_event.h"
#include "evm/log_reader.h"

static const struct bytes32 message_sent = ABI_MESSAGE_SENT_TOPIC;

struct archive {
    struct rpc *node;
    struct archive_member member;
    uint64_t first_block; /* of the registration; 0 until it was searched for */
};

struct archive_reader {
    struct archive *archive;
    struct log_reader *logs;
    archive_take_fn take;
    archive_done_fn done;
    void *user;
    uint64_t to;
    /* The search for the registration: it is in low..high, or behind that. */
    struct chain_read *probe;
    uint64_t low, high;
};

struct archive *archive_new(struct rpc *node, const struct archive_member *member)
{
    struct archive *archive = calloc(1, sizeof(*archive));
    if (archive)
        *archive = (struct archive){.node = node, .member = *member};
    return archive;
}

void archive_free(struct archive *archive)
{
    free(archive);
}

/* ---- Logs ---- */

static void on_logs(void *user, const struct eth_log *logs, size_t len)
{
    struct archive_reader *reader = user;
    for (size_t i = 0; i < len && reader->take; i++) {
        struct cluster_event event;
        const struct eth_log *log = &logs[i];
        if (cluster_event_parse(log->topics, log->topics_len, log->data, log->data_len, &event, NULL) ||
            event.type != CLUSTER_EVENT_MESSAGE_SENT)
            continue; /* the chained head tells that something is missing */
        reader->take(reader->user, &(struct archive_message){
                                       .block = log->block,
                                       .log_index = log->index,
                                       .sender = event.message.sender,
                                       .recipient = event.message.recipient,
                                       .envelope_id = event.message.envelope_id,
                                       .ciphertext = event.message.ciphertext,
                                       .ciphertext_len = event.message.ciphertext_len,
                                   });
    }
}

static void finish(struct archive_reader *reader, const char *error)
{
    reader->take = NULL;
    reader->done(reader->user, error);
}

static void on_logs_read(void *user, const struct log_reader_result *result)
{
    finish(user, result->code ? result->error : NULL);
}

/* ---- The block of the registration: the first one at its time ---- */

static int probe(struct archive_reader *reader);

static void on_block(void *user, const struct chain_result *result)
{
    struct archive_reader *reader = user;
    reader->probe = NULL;
    if (result->code) {
        finish(reader, result->error);
        return;
    }
    if (result->block.timestamp < reader->archive->member.registered_at)
        reader->low = result->block.number + 1;
    else
        reader->high = result->block.number;
    if (probe(reader))
        finish(reader, "out of memory, or too many requests under way");
}

/* Goes on with the search, or with the logs at its end. Returns 0 or an errno. */
static int probe(struct archive_reader *reader)
{
    if (reader->low < reader->high) {
        const uint64_t middle = reader->low + (reader->high - reader->low) / 2;
        reader->probe = chain_read_block_at(reader->archive->node, middle, on_block, reader);
        return reader->probe ? 0 : -ENOMEM;
    }
    reader->archive->first_block = reader->low;
    return log_reader_start(reader->logs, reader->low, reader->to, on_logs, on_logs_read, reader);
}

/* ---- Readers ---- */

struct archive_reader *archive_reader_new(struct archive *archive, enum archive_side side)
{
    struct log_filter filter = {.addresses = &archive->member.cluster, .addresses_len = 1};
    struct archive_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return NULL;
    filter.topics[0].any = &message_sent;
    filter.topics[0].len = 1;
    filter.topics[side == ARCHIVE_SENT ? 1 : 2].any = &archive->member.member_id;
    filter.topics[side == ARCHIVE_SENT ? 1 : 2].len = 1;
    reader->archive = archive;
    reader->logs = log_reader_new(archive->node, &filter);
    if (reader->logs)
        return reader;
    free(reader);
    return NULL;
}

int archive_reader_start(struct archive_reader *reader, uint64_t from, uint64_t to, archive_take_fn take,
                         archive_done_fn done, void *user)
{
    reader->take = take;
    reader->done = done;
    reader->user = user;
    reader->to = to;
    if (from == 0)
        from = reader->archive->first_block < to ? reader->archive->first_block : to;
    if (from != 0)
        return log_reader_start(reader->logs, from, to, on_logs, on_logs_read, reader);
    reader->low = 0;
    reader->high = to;
    return probe(reader);
}

void archive_reader_cancel(struct archive_reader *reader)
{
    reader->take = NULL;
    chain_read_cancel(reader->probe);
    reader->probe = NULL;
    log_reader_cancel(reader->logs);
}

void archive_reader_free(struct archive_reader *reader)
{
    if (!reader)
        return;
    archive_reader_cancel(reader);
    log_reader_free(reader->logs);
    free(reader);
}
