/* The registry: nodeState while nothing changes, and the events or the pages when something did. */
#include <errno.h>

#include "agent/log.h"
#include "agent/shell/onchain_state.h"
#include "contracts_abi.h"
#include "evm/cluster_event.h"
#include "evm/monotonic.h"

/* An unchanged state is pinned to a new block this often, so that events never have to be sought far back. It
 * costs two calls more than a poll, and a quiet node makes 40 in an hour at most. */
#define STATE_OLD_MS 1200000

/* ---- State: one call while nothing changes; what changed is read again at one block ---- */

static void answer_state(struct onchain *onchain)
{
    onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_CHAIN_STATE, .chain = onchain->state});
}

static void on_pinned_state(void *user, const struct chain_result *result)
{
    struct onchain *onchain = user;
    if (result->code != 0) {
        onchain_answer_read_failed(onchain, CORE_READ_STATE, result->error);
        return;
    }
    const struct cluster_state *state = &result->state;
    onchain->state_ms = monotonic_ms();
    onchain->state = (struct core_chain_state){
        .block = onchain->block.number,
        .block_hash = onchain->block.hash,
        .version = state->version,
        .head = state->head,
        .members = state->members,
        .removed = state->removed,
        .cidr_ip = state->cidr_ip,
        .cidr_prefix = state->cidr_prefix,
        .csk_generation = state->csk_generation,
        .csk_commitment = state->csk_commitment,
        .inbox_count = state->inbox_count,
        .inbox_head = state->inbox_head,
    };
    if (onchain->newest_block < onchain->state.block)
        onchain->newest_block = onchain->state.block;
    answer_state(onchain);
}

static void on_state_block(void *user, const struct chain_result *result)
{
    struct onchain *onchain = user;
    if (result->code != 0) {
        onchain_answer_read_failed(onchain, CORE_READ_STATE, result->error);
        return;
    }
    onchain->block = result->block;
    onchain_expect(onchain,
                   chain_read_state(onchain->node, &onchain->identity.cluster, &onchain->identity.member_id,
                                    &onchain->block.hash, on_pinned_state, onchain),
                   &onchain->state_refused);
}

/* Whether the state that was told last will do again. One older than another, from an endpoint that lagged or
 * before a reorganisation, is asked for its block each time. */
static bool is_unchanged(const struct onchain *onchain, const struct cluster_state *state)
{
    const struct core_chain_state *told = &onchain->state;
    return told->block != 0 && told->block >= onchain->newest_block && state->version == told->version &&
           bytes32_equal(&state->head, &told->head) && bytes32_equal(&state->inbox_head, &told->inbox_head) &&
           monotonic_ms() - onchain->state_ms < STATE_OLD_MS;
}

static void on_latest_state(void *user, const struct chain_result *result)
{
    struct onchain *onchain = user;
    if (result->code != 0) {
        onchain_answer_read_failed(onchain, CORE_READ_STATE, result->error);
        return;
    }
    if (is_unchanged(onchain, &result->state))
        answer_state(onchain);
    else
        onchain_expect(onchain, chain_read_block(onchain->node, on_state_block, onchain),
                       &onchain->state_refused);
}

void onchain_read_state(struct onchain *onchain, bool anew)
{
    if (anew)
        onchain->state.block = 0;
    onchain_expect(onchain,
                   chain_read_state(onchain->node, &onchain->identity.cluster, &onchain->identity.member_id,
                                    NULL, on_latest_state, onchain),
                   &onchain->state_refused);
}

/* What belongs to the state could not be read: its block may be gone, so the next state gets another one. */
static void answer_rest_failed(struct onchain *onchain, enum core_read what, const char *text)
{
    onchain->state.block = 0;
    onchain_answer_read_failed(onchain, what, text);
}

/* ---- Pages ---- */

struct core_record onchain_record(const struct cluster_member *member)
{
    return (struct core_record){
        .member_id = member->member_id,
        .attestor_id = member->attestor_id,
        .member_contract = member->member_contract,
        .mesh_ip = member->mesh_ip,
        .registered_at = member->registered_at,
        .x_pubkey = member->keys.x,
        .wg_pubkey = member->keys.wg,
        .ed25519_pubkey = member->keys.ed25519,
        .removed = member->removed,
    };
}

static void keep_page(struct onchain *onchain, const struct chain_page *page)
{
    onchain->page_len = page->count < CORE_PAGE_MAX ? page->count : CORE_PAGE_MAX;
    for (size_t i = 0; i < onchain->page_len; i++)
        onchain->page[i] = onchain_record(&page->members[i]);
}

static bool start_page(struct onchain *onchain, const struct core_action *action, chain_done_fn done)
{
    onchain->page_offset = action->page.offset;
    return chain_read_page(onchain->node, &onchain->identity.cluster, action->page.offset, action->page.limit,
                           &action->page.block_hash, done, onchain);
}

static void on_page(void *user, const struct chain_result *result)
{
    struct onchain *onchain = user;
    if (result->code != 0) {
        answer_rest_failed(onchain, CORE_READ_PAGE, result->error);
        return;
    }
    keep_page(onchain, &result->page);
    onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_MEMBERS_PAGE,
                                                 .page = {.offset = onchain->page_offset,
                                                          .total = result->page.total,
                                                          .records = onchain->page,
                                                          .records_len = onchain->page_len}});
}

void onchain_read_page(struct onchain *onchain, const struct core_action *action)
{
    onchain_expect(onchain, start_page(onchain, action, on_page), &onchain->page_refused);
}

/* ---- Changes: the events, and beside them the rows that are new ---- */

struct log_reader *onchain_registry_logs(struct onchain *onchain)
{
    static const struct bytes32 topics[] = {
        ABI_MEMBER_REGISTERED_TOPIC,     ABI_MEMBER_REMOVED_TOPIC,     ABI_WG_KEY_PUBLISHED_TOPIC,
        ABI_ED25519_KEY_PUBLISHED_TOPIC, ABI_CSK_COMMITMENT_SET_TOPIC, ABI_CSK_ROTATION_STARTED_TOPIC,
    };
    const struct log_filter filter = {
        .addresses = &onchain->identity.cluster,
        .addresses_len = 1,
        .topics[0] = {.any = topics, .len = sizeof(topics) / sizeof(topics[0])},
    };
    return log_reader_new(onchain->node, &filter);
}

static void changes_arrived(struct onchain *onchain)
{
    if (--onchain->changes_due > 0)
        return;
    if (onchain->changes_err.code)
        answer_rest_failed(onchain, CORE_READ_CHANGES, onchain->changes_err.text);
    else
        onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_CHANGES,
                                                     .changes = {.items = onchain->changes,
                                                                 .items_len = onchain->changes_len,
                                                                 .records = onchain->page,
                                                                 .records_len = onchain->page_len}});
}

static struct core_change change_of_key(enum core_change_type type, const struct cluster_event *event)
{
    return (struct core_change){.type = type,
                                .key = {event->key_published.member_id, event->key_published.key}};
}

static struct core_change change_of_csk(enum core_change_type type, const struct cluster_event *event)
{
    return (struct core_change){.type = type, .csk = {event->csk.generation, event->csk.commitment}};
}

/* False for an event that makes no version of the registry. */
static bool change_of_event(const struct cluster_event *event, struct core_change *out)
{
    switch (event->type) {
    case CLUSTER_EVENT_MEMBER_REGISTERED:
        *out = (struct core_change){
            .type = CORE_CHANGE_REGISTERED,
            .registered = onchain_record(&(struct cluster_member){
                .member_id = event->registered.member_id,
                .attestor_id = event->registered.attestor_id,
                .member_contract = event->registered.member_contract,
                .keys = event->registered.keys,
            }),
        };
        return true;
    case CLUSTER_EVENT_MEMBER_REMOVED:
        *out = (struct core_change){.type = CORE_CHANGE_REMOVED, .removed = event->removed};
        return true;
    case CLUSTER_EVENT_WG_KEY_PUBLISHED: *out = change_of_key(CORE_CHANGE_WG_KEY, event); return true;
    case CLUSTER_EVENT_ED25519_KEY_PUBLISHED:
        *out = change_of_key(CORE_CHANGE_ED25519_KEY, event);
        return true;
    case CLUSTER_EVENT_CSK_COMMITMENT_SET:
        *out = change_of_csk(CORE_CHANGE_CSK_COMMITTED, event);
        return true;
    case CLUSTER_EVENT_CSK_ROTATION_STARTED:
        *out = change_of_csk(CORE_CHANGE_CSK_ROTATED, event);
        return true;
    case CLUSTER_EVENT_MESSAGE_SENT:
    case CLUSTER_EVENT_OTHER: break;
    }
    return false;
}

/* The newest ones are kept: when there are too many, the older half goes. */
static void keep_change(struct onchain *onchain, const struct core_change *change)
{
    const size_t half = CORE_NEWS_MAX / 2;
    if (onchain->changes_len == CORE_NEWS_MAX) {
        memcpy(onchain->changes, onchain->changes + half, (CORE_NEWS_MAX - half) * sizeof(*change));
        onchain->changes_len = CORE_NEWS_MAX - half;
    }
    onchain->changes[onchain->changes_len++] = *change;
}

static void on_logs(void *user, const struct eth_log *logs, size_t len)
{
    struct onchain *onchain = user;
    struct cluster_event event;
    struct core_change change;
    for (size_t i = 0; i < len && !onchain->changes_err.code; i++) {
        const struct eth_log *log = &logs[i];
        if (cluster_event_parse(log->topics, log->topics_len, log->data, log->data_len, &event,
                                &onchain->changes_err) == 0 &&
            change_of_event(&event, &change))
            keep_change(onchain, &change);
    }
}

static void on_logs_done(void *user, const struct log_reader_result *result)
{
    struct onchain *onchain = user;
    if (result->code)
        am_fail(&onchain->changes_err, result->code, "%s", result->error);
    changes_arrived(onchain);
}

static void on_new_rows(void *user, const struct chain_result *result)
{
    struct onchain *onchain = user;
    if (result->code)
        am_fail(&onchain->changes_err, result->code, "%s", result->error);
    else
        keep_page(onchain, &result->page);
    changes_arrived(onchain);
}

void onchain_read_changes(struct onchain *onchain, const struct core_action *action)
{
    onchain->changes_len = onchain->page_len = 0;
    onchain->changes_due = 1;
    onchain->changes_err.code = 0;
    bool started = log_reader_start(onchain->logs, action->page.from, action->page.block, on_logs,
                                    on_logs_done, onchain) == 0;
    if (started && action->page.limit > 0) {
        onchain->changes_due++;
        started = start_page(onchain, action, on_new_rows);
        if (!started)
            log_reader_cancel(onchain->logs);
    }
    onchain_expect(onchain, started, &onchain->changes_refused);
}
