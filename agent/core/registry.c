#include "agent/core/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "agent/core/inbox.h"
#include "agent/core/journal.h"
#include "agent/core/members.h"
#include "agent/core/node.h"

#define REGISTRY_POLL_MS 3000
#define REGISTRY_SLOW_POLL_MS 120000 /* with an indexer that is caught up */
#define REGISTRY_EAGER_MS 15000      /* how far our RPC may be behind the indexer's */
#define REGISTRY_SUSPECT_MS 20000    /* how far the indexer may be behind our RPC */
#define REGISTRY_OWED_MS 600000      /* how long a change that it did not tell is held against it */
#define REGISTRY_HINT_MS 500
#define REGISTRY_PROVISIONAL 32 /* newest blocks that may still be reorganised */
#define REGISTRY_SPAN_MAX 10000 /* blocks: beyond, pages are less work */
#define REGISTRY_STALE_MS                                                                                    \
    60000 /* answers older than what we know are a lagging RPC for this long, then a reorg */

static const struct backoff registry_backoff = {.floor_ms = 1000, .ceiling_ms = 15000};

static void registry_rest(struct core *core)
{
    struct registry *registry = &core->registry;

    registry->intake = INTAKE_IDLE;
    registry->failures = 0;
    registry->error[0] = '\0';
    const bool slow = registry->caught_up && core->now_ms >= registry->eager_ms;
    const uint64_t poll_ms = slow ? REGISTRY_SLOW_POLL_MS : REGISTRY_POLL_MS;
    registry->poll_ms = registry->woken
                            ? core->now_ms
                            : core->now_ms + rng_between(&core->rng, poll_ms - poll_ms / 10, poll_ms);
}

void registry_read_failed(struct core *core, const char *text)
{
    struct registry *registry = &core->registry;

    if (registry->intake == INTAKE_IDLE)
        return;
    registry->intake = INTAKE_IDLE;
    CORE_COPY_TEXT(registry->error, text);
    registry->poll_ms = core->now_ms + backoff_delay(&registry_backoff, registry->failures, &core->rng);
    registry->failures++;
}

void registry_wake(struct core *core)
{
    core->registry.poll_ms = core->now_ms;
}

/* A session begins once all that was missed is told: what our RPC shows then needs no push any more. What was
 * owed before is told by then, or soon, or withheld. */
static void registry_session_begins(struct core *core)
{
    struct registry *registry = &core->registry;

    registry->woken = true;
    registry_wake(core);
    if (core->now_ms < registry->owed_ms)
        registry->suspect_ms = core->now_ms + REGISTRY_SUSPECT_MS;
}

static void registry_session_ends(struct core *core)
{
    struct registry *registry = &core->registry;

    registry->suspect_ms = CORE_NEVER;
    if (registry->poll_ms > core->now_ms + REGISTRY_POLL_MS)
        registry->poll_ms = core->now_ms + rng_between(&core->rng, 0, REGISTRY_POLL_MS);
}

void registry_indexer(struct core *core, const struct core_indexer *indexer)
{
    struct registry *registry = &core->registry;
    const bool was_caught_up = registry->caught_up;

    registry->caught_up = indexer->caught_up;
    if (indexer->wake) {
        registry->suspect_ms = CORE_NEVER;
        registry->owed_ms = 0;
        registry->woken = true;
        registry->eager_ms = core->now_ms + REGISTRY_EAGER_MS;
        registry_wake(core);
    }
    if (indexer->caught_up && !was_caught_up)
        registry_session_begins(core);
    else if (was_caught_up && !indexer->caught_up)
        registry_session_ends(core);
}

/* The chain changed; an indexer that is caught up has told of it, or does so soon. */
static void registry_expect_push(struct core *core)
{
    struct registry *registry = &core->registry;

    registry->eager_ms = 0;
    if (!registry->synced || !registry->caught_up || registry->prompted || registry->woken)
        return;
    registry->owed_ms = core->now_ms + REGISTRY_OWED_MS;
    if (registry->suspect_ms == CORE_NEVER)
        registry->suspect_ms = core->now_ms + REGISTRY_SUSPECT_MS;
}

static void registry_judge_indexer(struct core *core)
{
    struct registry *registry = &core->registry;

    if (registry->suspect_ms > core->now_ms)
        return;
    registry->suspect_ms = CORE_NEVER;
    registry->owed_ms = 0;
    registry->caught_up = false;
    core->pending |= TELL_WITHHELD;
    registry_wake(core);
}

void registry_hint(struct core *core)
{
    if (core->registry.failures == 0 && core->registry.poll_ms > core->now_ms + REGISTRY_HINT_MS)
        core->registry.poll_ms = core->now_ms + REGISTRY_HINT_MS;
}

static uint32_t registry_rows(const struct core_chain_state *state)
{
    return state->members < CORE_MEMBERS_MAX ? (uint32_t)state->members : CORE_MEMBERS_MAX;
}

uint32_t registry_page_rows(const struct core *core)
{
    const uint32_t rows = registry_rows(&core->registry.target), next = core->registry.next;
    const uint32_t left = rows > next ? rows - next : 0;

    return left < CORE_PAGE_MAX ? left : CORE_PAGE_MAX;
}

static bool registry_same(const struct core_chain_state *a, const struct core_chain_state *b)
{
    return a->version == b->version && bytes32_equal(&a->head, &b->head);
}

uint64_t registry_changes_from(const struct core *core)
{
    const struct registry *registry = &core->registry;
    const uint64_t known = registry->known.block, target = registry->target.block;
    const uint64_t last = known < target ? known : target;

    return last > REGISTRY_PROVISIONAL ? last - REGISTRY_PROVISIONAL + 1 : 0;
}

/* Whether the changes between what is known and the target, or since they parted, are few enough to be read
 * one by one. */
static bool registry_is_near(const struct core *core)
{
    const struct core_chain_state *known = &core->registry.known, *target = &core->registry.target;

    return core->registry.clean && target->version <= known->version + CORE_NEWS_MAX &&
           target->version + core->journal.len >= known->version &&
           target->members <= known->members + CORE_PAGE_MAX && target->members <= CORE_MEMBERS_MAX &&
           target->block - registry_changes_from(core) <= REGISTRY_SPAN_MAX;
}

static void registry_finish(struct core *core)
{
    struct registry *registry = &core->registry;

    members_truncate(core, registry_rows(&registry->target));
    registry->known = registry->target;
    registry->synced = registry->clean = true;
    registry_rest(core);
    node_check_self(core);
}

static void registry_read_pages(struct core *core)
{
    struct registry *registry = &core->registry;

    if (registry->next < registry_rows(&registry->target)) {
        registry->intake = INTAKE_PAGES;
        core->pending |= ASK_READ_PAGE;
    } else {
        registry_finish(core);
    }
}

/* Rows come and go without a journal from here on, with the first page or, of an empty registry, at once. */
static void registry_read_all(struct core *core)
{
    journal_forget(core);
    core->registry.next = 0;
    core->registry.whole_reads++;
    registry_read_pages(core);
}

static void registry_read_target(struct core *core)
{
    struct registry *registry = &core->registry;

    if (!registry_is_near(core)) {
        registry_read_all(core);
        return;
    }
    registry->intake = INTAKE_CHANGES;
    registry->next = (uint32_t)registry->known.members;
    core->pending |= ASK_READ_CHANGES;
}

/* Whether the answer is older than what is known, and still to be taken for a lagging RPC endpoint. */
static bool registry_lags(struct core *core, const struct core_chain_state *state)
{
    struct registry *registry = &core->registry;

    if (!registry->synced || state->block >= registry->known.block) {
        registry->stale_ms = CORE_NEVER;
        return false;
    }
    if (registry->stale_ms == CORE_NEVER)
        registry->stale_ms = core->now_ms;
    return core->now_ms - registry->stale_ms < REGISTRY_STALE_MS;
}

static bool registry_makes_sense(const struct core_chain_state *state)
{
    return state->cidr_prefix >= 8 && state->cidr_prefix <= 29 && state->removed <= state->members &&
           state->members <= state->version &&
           (state->inbox_count == 0) == bytes32_is_zero(&state->inbox_head);
}

void registry_chain_state(struct core *core, const struct core_chain_state *state)
{
    struct registry *registry = &core->registry;
    char text[CORE_TEXT_MAX];

    if (registry->intake != INTAKE_STATE)
        return;
    if (!registry_makes_sense(state)) {
        registry_read_failed(core, "nodeState: its counters, its heads or its network contradict each other");
        return;
    }
    if (registry_lags(core, state)) {
        snprintf(text, sizeof(text),
                 "the RPC lags: it answers for block %" PRIu64 ", %" PRIu64 " was seen before", state->block,
                 registry->known.block);
        registry_read_failed(core, text);
        return;
    }
    const bool has_mail = inbox_chain_state(core, state);
    if (has_mail || !registry_same(&registry->target, state))
        registry_expect_push(core);
    registry->target = *state;
    if (registry->clean && registry_same(&registry->known, state)) {
        registry->known.block = state->block;
        registry->known.block_hash = state->block_hash;
        registry_rest(core);
        return;
    }
    if (members_reserve(core, registry_rows(state)) < 0) {
        core_exit(core, -ENOMEM, "no memory for %" PRIu64 " members", state->members);
        return;
    }
    registry_read_target(core);
}

void registry_changes_failed(struct core *core)
{
    if (core->registry.intake == INTAKE_CHANGES)
        registry_read_all(core);
}

void registry_changes(struct core *core, const struct core_changes *changes)
{
    if (core->registry.intake != INTAKE_CHANGES)
        return;
    switch (journal_follow(core, changes)) {
    case JOURNAL_FOLLOWED: registry_finish(core); return;
    case JOURNAL_ROLLED_BACK: /* rows that came back are taken in once the shell has let the old ones go */
        core->registry.rollbacks++;
        registry_read_target(core);
        return;
    case JOURNAL_BROKEN: registry_read_all(core); return;
    }
}

void registry_page(struct core *core, const struct core_page *page)
{
    struct registry *registry = &core->registry;

    if (registry->intake != INTAKE_PAGES)
        return;
    if (page->offset != registry->next || page->total != registry->target.members ||
        page->records_len != registry_page_rows(core)) {
        registry_read_failed(core, "membersPage: the page does not belong to the nodeState of its block");
        return;
    }
    registry->clean = false;
    for (size_t i = 0; i < page->records_len; i++) {
        if (!members_put(core, registry->next, &page->records[i]))
            break;
        registry->next++;
    }
    registry_read_pages(core);
}

void registry_pump(struct core *core)
{
    struct registry *registry = &core->registry;

    registry_judge_indexer(core);
    if (!core->node.registered || registry->intake != INTAKE_IDLE || registry->poll_ms > core->now_ms)
        return;
    registry->prompted = registry->woken || core->now_ms < registry->eager_ms;
    registry->woken = false;
    registry->intake = INTAKE_STATE;
    core->pending |= ASK_READ_STATE;
}

uint64_t registry_deadline(const struct core *core)
{
    const struct registry *registry = &core->registry;
    const uint64_t poll_ms =
        core->node.registered && registry->intake == INTAKE_IDLE ? registry->poll_ms : CORE_NEVER;

    return poll_ms < registry->suspect_ms ? poll_ms : registry->suspect_ms;
}
