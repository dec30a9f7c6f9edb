#include "indexer/watcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "contracts_abi.h"
#include "indexer/unit.h"

#define BACKOFF_FLOOR_MS 250
#define BACKOFF_CEILING_MS 15000
#define DOUBTS_MAX 2 /* times that an answer which contradicts a bloom filter is asked again */

enum state {
    STATE_HEAD,      /* ask for the latest block */
    STATE_CHECK_TIP, /* is the tip still of the chain? */
    STATE_NEXT,      /* the header behind the tip */
    STATE_RANGE_END, /* the header of the last block of a range */
    STATE_FACTORIES, /* logs of the factories in the unit */
    STATE_CLUSTERS   /* logs of the clusters in the unit, batch by batch */
};

struct watcher {
    struct watcher_sink sink;
    struct address *factories;
    size_t factories_len;
    struct store_cluster *clusters; /* those of the unit under way at the end */
    size_t clusters_len, clusters_capacity;
    size_t clusters_known; /* stored ones among them */

    enum state state;
    uint64_t wait_ms;
    struct store_tip tip;
    bool has_hash;    /* of the tip; false before the first block */
    bool tip_checked; /* seen in the chain since the start or the last retraction */
    uint64_t range;
    size_t batch;
    uint32_t failures; /* in a row */
    uint64_t lag_ms;   /* since when the RPC shows an older chain, 0 when it does not */

    struct unit unit; /* what is being read */
    struct address asked[WATCHER_BATCH_MAX];
    size_t asked_len;
    size_t next_cluster; /* of the batch after `asked` */
    unsigned doubts;
    struct watcher_status status;
};

struct watcher *watcher_new(const struct watcher_config *config, const struct watcher_sink *sink)
{
    struct watcher *watcher = calloc(1, sizeof(*watcher));
    if (!watcher)
        return NULL;
    watcher->factories = calloc(config->factories_len + 1, sizeof(*watcher->factories));
    if (!watcher->factories) {
        free(watcher);
        return NULL;
    }
    memcpy(watcher->factories, config->factories, config->factories_len * sizeof(*config->factories));
    watcher->factories_len = config->factories_len;
    watcher->sink = *sink;
    watcher->tip.number = config->first_block - 1;
    watcher->range = WATCHER_RANGE_MAX;
    watcher->batch = WATCHER_BATCH_MAX;
    return watcher;
}

void watcher_free(struct watcher *watcher)
{
    if (!watcher)
        return;
    unit_clear(&watcher->unit);
    free(watcher->clusters);
    free(watcher->factories);
    free(watcher);
}

static int add_cluster(struct watcher *watcher, const struct store_cluster *cluster)
{
    if (watcher->clusters_len == watcher->clusters_capacity) {
        const size_t capacity = watcher->clusters_capacity ? 2 * watcher->clusters_capacity : 64;
        struct store_cluster *grown = reallocarray(watcher->clusters, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        watcher->clusters = grown;
        watcher->clusters_capacity = capacity;
    }
    watcher->clusters[watcher->clusters_len++] = *cluster;
    return 0;
}

int watcher_add_cluster(struct watcher *watcher, const struct store_cluster *cluster)
{
    const int code = add_cluster(watcher, cluster);
    watcher->clusters_known = watcher->clusters_len;
    return code;
}

static void set_tip(struct watcher *watcher, const struct store_tip *tip)
{
    watcher->tip = *tip;
    watcher->has_hash = !bytes32_is_zero(&tip->hash);
}

void watcher_resume(struct watcher *watcher, const struct store_tip *tip)
{
    set_tip(watcher, tip);
}

/* ---- Steps ---- */

static void drop_unit(struct watcher *watcher)
{
    unit_clear(&watcher->unit);
    watcher->clusters_len = watcher->clusters_known;
    watcher->doubts = 0;
}

/* Begins again with the latest block, after a while. */
static void look_later(struct watcher *watcher, uint64_t now_ms, uint64_t delay_ms)
{
    drop_unit(watcher);
    watcher->state = STATE_HEAD;
    watcher->wait_ms = now_ms + delay_ms;
}

static void back_off(struct watcher *watcher, uint64_t now_ms)
{
    const uint32_t doublings = watcher->failures < 6 ? watcher->failures : 6;
    const uint64_t delay_ms = (uint64_t)BACKOFF_FLOOR_MS << doublings;
    watcher->failures++;
    watcher->status.failures++;
    look_later(watcher, now_ms, delay_ms < BACKOFF_CEILING_MS ? delay_ms : BACKOFF_CEILING_MS);
}

static void retract(struct watcher *watcher, uint64_t now_ms)
{
    struct store_tip tip;
    drop_unit(watcher);
    if (watcher->sink.retract(watcher->sink.user, &tip) != 0) {
        back_off(watcher, now_ms);
        return;
    }
    set_tip(watcher, &tip);
    while (watcher->clusters_len > 0 && watcher->clusters[watcher->clusters_len - 1].block > tip.number)
        watcher->clusters_len--;
    watcher->clusters_known = watcher->clusters_len;
    watcher->tip_checked = false;
    watcher->status.tip_time = 0;
    watcher->status.retractions++;
    watcher->lag_ms = 0;
    watcher->state = STATE_HEAD;
}

/* The RPC does not know a block that we have: it is late, or the chain became shorter. */
static void lag(struct watcher *watcher, uint64_t now_ms)
{
    if (watcher->lag_ms == 0)
        watcher->lag_ms = now_ms + 1;
    if (now_ms + 1 - watcher->lag_ms >= WATCHER_LAG_MS && watcher->has_hash)
        retract(watcher, now_ms);
    else
        look_later(watcher, now_ms, WATCHER_POLL_MS);
}

static void commit(struct watcher *watcher, uint64_t now_ms)
{
    struct unit *unit = &watcher->unit;
    const size_t known = watcher->clusters_known, found = watcher->clusters_len - known;
    eth_logs_sort(unit->logs, unit->logs_len);
    const int code =
        watcher->sink.append(watcher->sink.user, &unit->end, found ? watcher->clusters + known : NULL, found,
                             unit->logs, unit->logs_len);
    if (code != 0) {
        back_off(watcher, now_ms);
        return;
    }
    watcher->tip = (struct store_tip){.number = unit->end.number, .hash = unit->end.hash};
    watcher->has_hash = watcher->tip_checked = true;
    watcher->clusters_known = watcher->clusters_len;
    watcher->status.tip_time = unit->end.timestamp;
    watcher->status.logs += unit->logs_len;
    watcher->failures = 0;
    if (!unit->by_hash && watcher->range < WATCHER_RANGE_MAX)
        watcher->range *= 2;
    if (watcher->batch < WATCHER_BATCH_MAX)
        watcher->batch *= 2;
    drop_unit(watcher);
    const uint64_t behind = watcher->status.head - watcher->tip.number;
    watcher->state = behind > 0 && behind <= WATCHER_WINDOW ? STATE_NEXT : STATE_HEAD;
}

/* Whether the unit may have logs of an address. */
static bool is_candidate(const struct watcher *watcher, const struct address *address)
{
    return !watcher->unit.by_hash || eth_bloom_may_contain(watcher->unit.end.bloom, address);
}

static void fill_clusters(struct watcher *watcher)
{
    watcher->asked_len = 0;
    for (; watcher->next_cluster < watcher->clusters_len && watcher->asked_len < watcher->batch;
         watcher->next_cluster++) {
        const struct address *address = &watcher->clusters[watcher->next_cluster].address;
        if (is_candidate(watcher, address))
            watcher->asked[watcher->asked_len++] = *address;
    }
}

/* The next batch of clusters; without one the unit is complete. */
static void go_on(struct watcher *watcher, uint64_t now_ms)
{
    watcher->state = STATE_CLUSTERS;
    watcher->doubts = 0;
    fill_clusters(watcher);
    if (watcher->asked_len == 0)
        commit(watcher, now_ms);
}

/* Begins to read the unit's logs, those of the factories first: they tell of clusters whose own logs are in
 * the same blocks. */
static void begin_unit(struct watcher *watcher, uint64_t now_ms, uint64_t from, const struct eth_header *end,
                       size_t endpoint, bool by_hash)
{
    watcher->unit = (struct unit){.from = from, .end = *end, .endpoint = endpoint, .by_hash = by_hash};
    watcher->state = STATE_FACTORIES;
    watcher->next_cluster = 0;
    watcher->asked_len = 0;
    for (size_t i = 0; i < watcher->factories_len; i++) {
        if (is_candidate(watcher, &watcher->factories[i]))
            watcher->asked[watcher->asked_len++] = watcher->factories[i];
    }
    if (watcher->asked_len == 0)
        go_on(watcher, now_ms);
}

/* ---- Questions ---- */

static bool is_far_behind(const struct watcher *watcher)
{
    return watcher->status.head > watcher->tip.number + 1 + WATCHER_WINDOW;
}

static uint64_t range_end(const struct watcher *watcher)
{
    const uint64_t last = watcher->status.head - WATCHER_WINDOW, end = watcher->tip.number + watcher->range;
    return end < last ? end : last;
}

static void ask_header(struct watcher_ask *ask, uint64_t number)
{
    *ask = (struct watcher_ask){.type = WATCHER_READ_HEADER, .number = number};
}

void watcher_next(struct watcher *watcher, uint64_t now_ms, struct watcher_ask *ask)
{
    if (watcher->wait_ms > now_ms) {
        *ask = (struct watcher_ask){.type = WATCHER_WAIT, .until_ms = watcher->wait_ms};
        return;
    }
    switch (watcher->state) {
    case STATE_HEAD: ask_header(ask, WATCHER_LATEST); break;
    case STATE_CHECK_TIP: ask_header(ask, watcher->tip.number); break;
    case STATE_NEXT: ask_header(ask, watcher->tip.number + 1); break;
    case STATE_RANGE_END: ask_header(ask, range_end(watcher)); break;
    case STATE_FACTORIES:
    case STATE_CLUSTERS:
        *ask = (struct watcher_ask){
            .type = WATCHER_READ_LOGS,
            .by_hash = watcher->unit.by_hash,
            .hash = watcher->unit.end.hash,
            .from = watcher->unit.from,
            .to = watcher->unit.end.number,
            .addresses = watcher->asked,
            .addresses_len = watcher->asked_len,
        };
        break;
    }
}

/* ---- Answers: headers ---- */

static void take_next(struct watcher *watcher, uint64_t now_ms, const struct eth_header *header,
                      size_t endpoint)
{
    watcher->lag_ms = 0;
    if (watcher->has_hash && !bytes32_equal(&header->parent, &watcher->tip.hash))
        retract(watcher, now_ms);
    else
        begin_unit(watcher, now_ms, header->number, header, endpoint, true);
}

static void rest(struct watcher *watcher, uint64_t now_ms)
{
    watcher->failures = 0;
    look_later(watcher, now_ms, WATCHER_POLL_MS);
}

static void take_head(struct watcher *watcher, uint64_t now_ms, const struct eth_header *head,
                      size_t endpoint)
{
    const uint64_t tip = watcher->tip.number;
    watcher->status.head = head->number;
    watcher->status.head_time = head->timestamp;
    if (head->number + 1 < tip + 1 && watcher->has_hash) {
        lag(watcher, now_ms);
        return;
    }
    watcher->lag_ms = 0;
    if (head->number == tip && watcher->has_hash && !bytes32_equal(&head->hash, &watcher->tip.hash))
        retract(watcher, now_ms);
    else if (head->number + 1 <= tip + 1)
        rest(watcher, now_ms);
    else if (head->number == tip + 1)
        take_next(watcher, now_ms, head, endpoint);
    else if (!is_far_behind(watcher))
        watcher->state = STATE_NEXT;
    else
        watcher->state = watcher->has_hash && !watcher->tip_checked ? STATE_CHECK_TIP : STATE_RANGE_END;
}

static void check_tip(struct watcher *watcher, uint64_t now_ms, const struct eth_header *header)
{
    watcher->tip_checked = bytes32_equal(&header->hash, &watcher->tip.hash);
    if (watcher->tip_checked)
        watcher->state = STATE_RANGE_END;
    else
        retract(watcher, now_ms);
}

void watcher_header(struct watcher *watcher, uint64_t now_ms, const struct eth_header *header,
                    size_t endpoint)
{
    struct watcher_ask asked;
    watcher_next(watcher, UINT64_MAX, &asked);
    if (asked.type != WATCHER_READ_HEADER ||
        (header && asked.number != WATCHER_LATEST && header->number != asked.number)) {
        back_off(watcher, now_ms);
        return;
    }
    if (!header) {
        lag(watcher, now_ms);
    } else if (watcher->state == STATE_HEAD) {
        take_head(watcher, now_ms, header, endpoint);
    } else if (watcher->state == STATE_CHECK_TIP) {
        check_tip(watcher, now_ms, header);
    } else if (watcher->state == STATE_NEXT) {
        take_next(watcher, now_ms, header, endpoint);
    } else {
        begin_unit(watcher, now_ms, watcher->tip.number + 1, header, endpoint, false);
    }
}

/* ---- Answers: logs ---- */

static bool was_asked(const struct watcher *watcher, const struct address *address)
{
    for (size_t i = 0; i < watcher->asked_len; i++) {
        if (address_equal(&watcher->asked[i], address))
            return true;
    }
    return false;
}

static bool has_log_of(const struct eth_logs *logs, const struct address *address)
{
    for (size_t i = 0; i < logs->len; i++) {
        if (address_equal(&logs->items[i].address, address))
            return true;
    }
    return false;
}

/* A bloom filter that is not half full names few addresses wrongly: one without a log is worth another
 * look. */
static bool is_doubtful(const struct watcher *watcher, const struct eth_logs *logs)
{
    unsigned bits = 0;
    if (!watcher->unit.by_hash)
        return false;
    for (size_t i = 0; i < ETH_BLOOM_SIZE; i++)
        bits += (unsigned)__builtin_popcount(watcher->unit.end.bloom[i]);
    if (bits > 4 * ETH_BLOOM_SIZE)
        return false;
    for (size_t i = 0; i < watcher->asked_len; i++) {
        if (!has_log_of(logs, &watcher->asked[i]))
            return true;
    }
    return false;
}

static int take_deployments(struct watcher *watcher, const struct eth_logs *logs)
{
    static const struct bytes32 topic = ABI_CLUSTER_DEPLOYED_TOPIC;
    for (size_t i = 0; i < logs->len; i++) {
        const struct eth_log *log = &logs->items[i];
        struct store_cluster cluster = {.block = log->block};
        if (log->topics_len != 3 || !bytes32_equal(&log->topics[0], &topic))
            continue;
        memcpy(cluster.address.b, log->topics[1].b + 12, sizeof(cluster.address.b));
        const int code = add_cluster(watcher, &cluster);
        if (code)
            return code;
    }
    return 0;
}

/* Smaller questions from now on; then all from the unit's beginning. */
static void shrink(struct watcher *watcher, uint64_t now_ms)
{
    if (!watcher->unit.by_hash && watcher->range > 1)
        watcher->range /= 2;
    else if (watcher->batch > 1)
        watcher->batch /= 2;
    back_off(watcher, now_ms);
}

static bool is_credible(const struct watcher *watcher, const struct eth_logs *logs, size_t endpoint)
{
    if (!watcher->unit.by_hash && endpoint != watcher->unit.endpoint)
        return false;
    for (size_t i = 0; i < logs->len; i++) {
        if (!was_asked(watcher, &logs->items[i].address) || !unit_accepts(&watcher->unit, &logs->items[i]))
            return false;
    }
    return true;
}

void watcher_logs(struct watcher *watcher, uint64_t now_ms, const struct eth_logs *logs, size_t endpoint)
{
    const bool of_factories = watcher->state == STATE_FACTORIES;
    if (!is_credible(watcher, logs, endpoint)) {
        back_off(watcher, now_ms);
        return;
    }
    if (is_doubtful(watcher, logs) && watcher->doubts < DOUBTS_MAX) {
        watcher->doubts++;
        watcher->status.doubts++;
        return;
    }
    const int code =
        of_factories ? take_deployments(watcher, logs) : unit_add(&watcher->unit, logs, WATCHER_LOGS_MAX);
    if (code)
        shrink(watcher, now_ms);
    else
        go_on(watcher, now_ms);
}

void watcher_failed(struct watcher *watcher, uint64_t now_ms, int code)
{
    const bool reading_logs = watcher->state == STATE_FACTORIES || watcher->state == STATE_CLUSTERS;
    const bool too_large = code == -EMSGSIZE || code == AM_EREMOTE || code == -ETIMEDOUT;
    if (reading_logs && too_large)
        shrink(watcher, now_ms);
    else
        back_off(watcher, now_ms);
}

void watcher_status(const struct watcher *watcher, struct watcher_status *out)
{
    *out = watcher->status;
    out->tip = watcher->tip;
    out->clusters = watcher->clusters_known;
    out->range = watcher->range;
    out->caught_up = watcher->has_hash && watcher->tip.number == watcher->status.head;
}
