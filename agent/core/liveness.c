#include "agent/core/liveness.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/core/csk.h"
#include "agent/core/links.h"
#include "agent/core/members.h"
#include "agent/core/registry.h"

#define WORD_BITS 64

static uint32_t liveness_words(const struct liveness *liveness)
{
    return (liveness->capacity + WORD_BITS - 1) / WORD_BITS;
}

static uint64_t *liveness_view(const struct liveness *liveness, uint32_t index)
{
    return liveness->views + (size_t)index * liveness_words(liveness);
}

static bool liveness_counts(const struct liveness *liveness, uint32_t index)
{
    return index < CORE_VIEW_MAX && (liveness->counted[index / WORD_BITS] >> index % WORD_BITS & 1) != 0;
}

int liveness_reserve(struct liveness *liveness, uint32_t capacity)
{
    struct liveness wider = *liveness;

    if (capacity <= liveness->capacity)
        return 0;
    wider.capacity = capacity;
    wider.views = calloc((size_t)capacity * liveness_words(&wider), sizeof(*wider.views));
    wider.reports = calloc(capacity, sizeof(*wider.reports));
    if (!wider.views || !wider.reports || timers_reserve(&liveness->expiry, capacity) < 0) {
        free(wider.views);
        free(wider.reports);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < liveness->capacity; i++)
        memcpy(liveness_view(&wider, i), liveness_view(liveness, i),
               liveness_words(liveness) * sizeof(*wider.views));
    if (liveness->capacity != 0)
        memcpy(wider.reports, liveness->reports, liveness->capacity * sizeof(*wider.reports));
    free(liveness->views);
    free(liveness->reports);
    wider.expiry = liveness->expiry;
    *liveness = wider;
    return 0;
}

void liveness_release(struct liveness *liveness)
{
    free(liveness->views);
    free(liveness->reports);
    timers_release(&liveness->expiry);
}

void liveness_hurry(struct core *core)
{
    core->liveness.hurry = true;
}

/* Takes what the row adds to the sums out of them (`add` is -1), or puts it in (1). */
static void liveness_weigh(struct core *core, uint32_t index, int add)
{
    struct liveness *liveness = &core->liveness;
    const struct row *row = &core->members.rows[index];
    uint32_t reports = liveness->reports[index];
    bool up = row->beat.up || row->is_self;

    if (!liveness_counts(liveness, index))
        return;
    liveness->up += (uint32_t)(add * up);
    liveness->live += (uint32_t)(add * (up || reports != 0));
    liveness->seen += (uint64_t)((int64_t)add * (int64_t)reports);
}

/* Counts a report more or less (UINT32_MAX) of a member, but for `seen`. Only the first one and the last one
 * make a difference to the live set. */
static void liveness_report(struct core *core, uint32_t index, uint32_t more)
{
    struct liveness *liveness = &core->liveness;
    const uint32_t before = liveness->reports[index];

    liveness->reports[index] = before + more;
    if (before != 0 && before + more != 0)
        return;
    const struct row *row = &core->members.rows[index];
    if (before == 0)
        links_hope(core, index);
    if (liveness_counts(liveness, index) && !row->beat.up && !row->is_self)
        liveness->live += more;
}

/* Eight bytes of a view as it travels; bytes behind its end, and bits of members not known here, are zero. */
static uint64_t liveness_word(const struct core *core, const struct core_heartbeat *heartbeat, uint32_t word)
{
    uint64_t bits = 0;
    uint32_t known = core->members.count - word * WORD_BITS;

    for (size_t byte = word * 8u; byte < heartbeat->view_len && byte < word * 8u + 8; byte++)
        bits |= (uint64_t)heartbeat->view[byte] << (byte % 8 * 8);
    return known < WORD_BITS ? bits & ((UINT64_C(1) << known) - 1) : bits;
}

/* Replaces the view of a row; NULL is the empty view. */
static void liveness_look(struct core *core, uint32_t index, const struct core_heartbeat *heartbeat)
{
    struct liveness *liveness = &core->liveness;
    uint64_t *view = liveness_view(liveness, index);
    uint32_t words = (core->members.used + WORD_BITS - 1) / WORD_BITS;

    for (uint32_t word = 0; word < words && word < CORE_VIEW_WORDS; word++) {
        bool known = heartbeat && word * WORD_BITS < core->members.count;
        uint64_t next = known ? liveness_word(core, heartbeat, word) : 0;
        if (view[word] == next)
            continue;
        for (uint64_t changed = view[word] ^ next; changed != 0; changed &= changed - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(changed);
            liveness_report(core, word * WORD_BITS + bit, next >> bit & 1 ? 1 : UINT32_MAX);
        }
        liveness->seen -= (uint64_t)__builtin_popcountll(view[word] & liveness->counted[word]);
        liveness->seen += (uint64_t)__builtin_popcountll(next & liveness->counted[word]);
        view[word] = next;
    }
}

static bool liveness_is_ahead(const struct core *core, const struct core_heartbeat *heartbeat)
{
    for (size_t byte = core->members.count / 8; byte < heartbeat->view_len; byte++) {
        unsigned first = byte == core->members.count / 8 ? core->members.count % 8 : 0;
        if (heartbeat->view[byte] >> first != 0)
            return true;
    }
    return false;
}

static void liveness_set_ahead(struct core *core, struct row *row, bool ahead)
{
    if (row->beat.ahead == ahead)
        return;
    row->beat.ahead = ahead;
    core->liveness.ahead += ahead ? 1 : UINT32_MAX;
}

static void liveness_set_up(struct core *core, struct row *row, bool up)
{
    uint32_t index = members_index(&core->members, row);

    liveness_weigh(core, index, -1);
    row->beat.up = up;
    liveness_weigh(core, index, 1);
    if (up) {
        core->liveness.own_view[index / 8] |= (uint8_t)(1u << index % 8);
        timers_set(&core->liveness.expiry, index, core->now_ms + LIVENESS_UP_MS);
    } else {
        core->liveness.own_view[index / 8] &= (uint8_t) ~(1u << index % 8);
        timers_clear(&core->liveness.expiry, index);
        liveness_look(core, index, NULL);
        liveness_set_ahead(core, row, false);
    }
    liveness_hurry(core);
}

void liveness_settle(struct core *core, uint32_t index)
{
    struct row *row = &core->members.rows[index];
    bool counted = !row->record.removed && (row->wanted || row->is_self) && index < CORE_VIEW_MAX;

    if (liveness_counts(&core->liveness, index) == counted)
        return;
    if (row->beat.up)
        liveness_set_up(core, row, false);
    liveness_weigh(core, index, -1);
    core->liveness.counted[index / WORD_BITS] ^= UINT64_C(1) << index % WORD_BITS;
    liveness_weigh(core, index, 1);
    if (row->is_self && counted)
        core->liveness.own_view[index / 8] |= (uint8_t)(1u << index % 8);
    else
        core->liveness.own_view[index / 8] &= (uint8_t) ~(1u << index % 8);
}

void liveness_heartbeat(struct core *core, const struct core_heartbeat *heartbeat)
{
    struct row *row = members_wanted_row(&core->members, heartbeat->index);

    if (!row || !liveness_counts(&core->liveness, heartbeat->index))
        return;
    struct beat *beat = &row->beat;
    if (beat->known && beat->boot_nonce == heartbeat->boot_nonce && heartbeat->sequence <= beat->sequence)
        return;
    if (beat->csk_held != heartbeat->csk_held || beat->csk_generation != heartbeat->csk_generation)
        csk_wake(core);
    beat->known = true;
    beat->boot_nonce = heartbeat->boot_nonce;
    beat->sequence = heartbeat->sequence;
    beat->csk_held = heartbeat->csk_held;
    beat->csk_generation = heartbeat->csk_generation;
    beat->heard_ms = core->now_ms;
    if (!beat->up)
        liveness_set_up(core, row, true);
    links_begin(core, row);
    liveness_look(core, heartbeat->index, heartbeat);
    liveness_set_ahead(core, row, liveness_is_ahead(core, heartbeat));
    if (heartbeat->version > core->registry.known.version)
        registry_hint(core);
}

/* Heard of once, a member is looked at again only when it could soon have been silent for too long: a
 * thousand members then share a few wake-ups. */
static void liveness_expire(struct core *core)
{
    struct timers *expiry = &core->liveness.expiry;
    uint32_t index;
    uint64_t first_ms;

    while ((first_ms = timers_first(expiry, &index)) <= core->now_ms + LIVENESS_INTERVAL_MS) {
        struct row *row = &core->members.rows[index];
        const uint64_t due_ms = row->beat.heard_ms + LIVENESS_UP_MS;
        if (due_ms > first_ms)
            timers_set(expiry, index, due_ms);
        else if (due_ms <= core->now_ms)
            liveness_set_up(core, row, false);
        else
            return;
    }
}

bool liveness_converged(const struct core *core)
{
    const struct liveness *liveness = &core->liveness;
    bool alone = liveness->up <= 1 && core->members.wanted != 0;

    if (!liveness->listening || core->members.self == CORE_NO_INDEX || !core->registry.synced)
        return false;
    if (alone && core->now_ms - liveness->listen_ms < LIVENESS_ALONE_MS)
        return false;
    return liveness->ahead == 0 && liveness->up == liveness->live &&
           liveness->seen == (uint64_t)(liveness->up - 1) * liveness->live;
}

/* A heartbeat is a datagram to everybody: the more there are, the longer does news wait. */
static uint64_t liveness_hurry_ms(const struct core *core)
{
    const uint64_t hurry_ms = (uint64_t)core->members.wanted * LIVENESS_HURRY_PER_PEER_MS;

    if (hurry_ms <= LIVENESS_HURRY_MS)
        return LIVENESS_HURRY_MS;
    return hurry_ms < LIVENESS_INTERVAL_MS ? hurry_ms : LIVENESS_INTERVAL_MS;
}

bool liveness_hears_us(const struct core *core, uint32_t index)
{
    uint32_t self = core->members.self;

    return self < core->liveness.capacity && core->members.rows[index].beat.up &&
           liveness_view(&core->liveness, index)[self / WORD_BITS] >> self % WORD_BITS & 1;
}

static uint64_t liveness_send_ms(const struct core *core)
{
    const struct liveness *liveness = &core->liveness;

    if (!liveness->listening || core->members.wanted == 0)
        return CORE_NEVER;
    return liveness->sent_ms + (liveness->hurry ? liveness_hurry_ms(core) : LIVENESS_INTERVAL_MS);
}

static void liveness_listen(struct core *core)
{
    if (core->liveness.listening || !core->device.in_place)
        return;
    core->liveness.listening = true;
    core->liveness.listen_ms = core->now_ms;
    core->liveness.boot_nonce = rng_next(&core->rng);
}

void liveness_pump(struct core *core)
{
    struct liveness *liveness = &core->liveness;

    liveness_listen(core);
    liveness_expire(core);
    core->node.first_converged |= liveness_converged(core);
    if (liveness_send_ms(core) > core->now_ms)
        return;
    liveness->sent_ms = core->now_ms;
    liveness->hurry = false;
    liveness->sequence++;
    core->pending |= ASK_SEND_HEARTBEAT;
}

uint64_t liveness_deadline(const struct core *core)
{
    uint64_t send = liveness_send_ms(core);
    uint64_t expiry = timers_first(&core->liveness.expiry, NULL);

    return send < expiry ? send : expiry;
}
