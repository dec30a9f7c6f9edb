#include "indexer/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/log.h"
#include "evm/cluster_event.h"
#include "indexer/wire/event_kind.h"

struct ledger {
    struct ledger_config config;
    struct store *store;
    struct ledger_listener listener;
    char error[AM_ERR_TEXT_MAX];
};

/* Whom a log is about, and the key it sets. A log of ours in a shape that is not ours is passed on all the
 * same: the contract emitted it, whatever it is. */
static void take_subject(const struct eth_log *log, struct store_log *out)
{
    struct cluster_event event;
    if (cluster_event_parse(log->topics, log->topics_len, log->data, log->data_len, &event, NULL) != 0)
        return;
    switch (event.type) {
    case CLUSTER_EVENT_MEMBER_REGISTERED:
        out->subject = event.registered.member_id;
        out->key = event.registered.keys.ed25519;
        break;
    case CLUSTER_EVENT_MEMBER_REMOVED: out->subject = event.removed; break;
    case CLUSTER_EVENT_ED25519_KEY_PUBLISHED:
        out->subject = event.key_published.member_id;
        out->key = event.key_published.key;
        break;
    case CLUSTER_EVENT_WG_KEY_PUBLISHED: out->subject = event.key_published.member_id; break;
    case CLUSTER_EVENT_MESSAGE_SENT: out->subject = event.message.recipient; break;
    case CLUSTER_EVENT_CSK_COMMITMENT_SET:
    case CLUSTER_EVENT_CSK_ROTATION_STARTED:
    case CLUSTER_EVENT_OTHER: break;
    }
}

static indexer_EventKind kind_of(const struct eth_log *log)
{
    return log->topics_len ? event_kind_of_topic(&log->topics[0]) : indexer_EventKind_EVENT_OTHER;
}

static int make_log(const struct ledger *ledger, const struct eth_log *log, struct store_log *out)
{
    uint8_t *frame;
    *out = (struct store_log){
        .cluster = log->address,
        .at = {.block = log->block, .log_index = log->index, .block_hash = log->block_hash},
        .kind = kind_of(log),
    };
    take_subject(log, out);
    const int code = wire_build_push(ledger->config.seed, &ledger->config.key, ledger->config.chain_id, log,
                                     &frame, &out->frame_len);
    if (code == 0)
        out->frame = frame;
    return code;
}

static void free_logs(struct store_log *logs, size_t logs_len)
{
    for (size_t i = 0; i < logs_len; i++)
        free((uint8_t *)logs[i].frame);
    free(logs);
}

static int report(struct ledger *ledger, int code, const struct am_err *err)
{
    snprintf(ledger->error, sizeof(ledger->error), "%s", code ? err->text : "");
    if (code)
        log_error("ledger.failed", log_text("reason", err->text));
    return code;
}

static int append(void *user, const struct eth_header *tip, const struct store_cluster *clusters,
                  size_t clusters_len, const struct eth_log *logs, size_t logs_len)
{
    struct ledger *ledger = user;
    const struct store_tip stored_tip = {.number = tip->number, .hash = tip->hash};
    struct am_err err = {.code = -ENOMEM, .text = "no memory for a block's frames"};
    struct store_log *made = calloc(logs_len + 1, sizeof(*made));
    int code = made ? 0 : -ENOMEM;
    size_t made_len = 0;
    for (size_t i = 0; code == 0 && i < logs_len; i++) {
        if (kind_of(&logs[i]) != indexer_EventKind_EVENT_OTHER)
            code = make_log(ledger, &logs[i], &made[made_len++]);
    }
    if (code == 0)
        code = store_append(ledger->store, &stored_tip, clusters, clusters_len, made, made_len, &err);
    if (code == 0)
        ledger->listener.appended(ledger->listener.user, tip, made, made_len);
    if (made)
        free_logs(made, made_len);
    return report(ledger, code, &err);
}

static void tell_retracted(void *user, const struct address *cluster, const struct wire_cursor *block)
{
    const struct ledger *ledger = user;
    ledger->listener.retracted(ledger->listener.user, cluster, block);
}

static int retract(void *user, struct store_tip *tip)
{
    struct ledger *ledger = user;
    struct am_err err = {0};
    bool has_tip;
    const int code = store_retract(ledger->store, tell_retracted, ledger, tip, &has_tip, &err);
    if (code == 0) {
        if (!has_tip)
            *tip = (struct store_tip){.number = ledger->config.first_block - 1};
        log_info("chain.reorganised", log_uint("tip", tip->number));
    }
    return report(ledger, code, &err);
}

struct ledger *ledger_new(const struct ledger_config *config, struct store *store,
                          const struct ledger_listener *listener)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    if (ledger)
        *ledger = (struct ledger){.config = *config, .store = store, .listener = *listener};
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    free(ledger);
}

struct watcher_sink ledger_sink(struct ledger *ledger)
{
    return (struct watcher_sink){.append = append, .retract = retract, .user = ledger};
}

const char *ledger_error(const struct ledger *ledger)
{
    return ledger->error;
}
