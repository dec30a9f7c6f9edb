#include "agent/core/csk.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/core/liveness.h"
#include "agent/core/members.h"
#include "agent/core/outbox.h"
#include "agent/core/registry.h"

#define CSK_LOOK_MS 1000

static const struct backoff csk_derive_backoff = {.floor_ms = 1000, .ceiling_ms = 30000};
static const struct backoff csk_pull_backoff = {.floor_ms = 500, .ceiling_ms = 10000};

static bool csk_same(const struct core_csk *a, const struct core_csk *b)
{
    return a->generation == b->generation && bytes32_equal(&a->commitment, &b->commitment);
}

static bool csk_open(const struct csk *csk)
{
    return bytes32_is_zero(&csk->goal.commitment);
}

static bool csk_current(const struct csk *csk)
{
    return csk->is_held && csk->has_goal && csk_same(&csk->held, &csk->goal);
}

bool csk_acquired(const struct core *core)
{
    const struct csk *csk = &core->csk;

    if (!csk->is_held || !csk->has_goal)
        return false;
    return csk_open(csk) || csk_current(csk) || core->now_ms - csk->behind_ms < CSK_GRACE_MS;
}

/* The live member with the lowest index, CORE_NO_INDEX when nobody is. */
static uint32_t csk_keyholder(const struct core *core)
{
    const struct members *members = &core->members;

    for (uint32_t i = 0; i < members->count; i++)
        if (!members->rows[i].record.removed)
            return i;
    return CORE_NO_INDEX;
}

static bool csk_is_ours(const struct core *core)
{
    return core->members.self != CORE_NO_INDEX && csk_keyholder(core) == core->members.self;
}

void csk_wake(struct core *core)
{
    core->csk.look_ms = core->now_ms;
}

/* What the shell found becomes the key once the chain names its hash. */
static void csk_adopt(struct core *core)
{
    struct csk *csk = &core->csk;

    if (!csk->has_candidate || !csk->has_goal || csk_open(csk) || csk_current(csk) ||
        !csk_same(&csk->candidate, &csk->goal))
        return;
    csk->held = csk->goal;
    csk->is_held = true;
    csk->has_candidate = false;
    csk->error[0] = '\0';
    outbox_drop(core, OUTBOX_COMMIT_CSK);
    core->pending |= TELL_CSK;
    liveness_hurry(core);
}

/* Takes in what the chain says now. */
static void csk_aim(struct core *core)
{
    struct csk *csk = &core->csk;
    const struct core_chain_state *known = &core->registry.known;
    const struct core_csk goal = {.generation = known->csk_generation, .commitment = known->csk_commitment};

    if (csk->has_goal && csk_same(&csk->goal, &goal))
        return;
    csk->goal = goal;
    csk->has_goal = true;
    csk->cache_tried = csk->cannot_derive = false;
    csk->failures = 0;
    csk->behind_ms = csk->look_ms = csk->derive_ms = core->now_ms;
    csk->error[0] = '\0';
    outbox_drop(core, OUTBOX_COMMIT_CSK);
    for (uint32_t i = 0; i < core->members.count; i++) {
        core->members.rows[i].pull.failures = 0;
        core->members.rows[i].pull.after_ms = 0;
    }
}

void csk_found(struct core *core, enum core_event_type type, const struct core_csk *found)
{
    struct csk *csk = &core->csk;

    if (type == CORE_EVENT_CSK_PULLED) {
        if (found->index >= core->members.count || !core->members.rows[found->index].pull.busy)
            return;
        core->members.rows[found->index].pull = (struct pull){0};
        csk->pulls--;
    } else if (csk->work != (type == CORE_EVENT_CSK_LOADED ? CSK_LOADING : CSK_DERIVING)) {
        return;
    } else {
        csk->work = CSK_REST;
    }
    csk->failures = 0;
    csk->candidate = *found;
    csk->has_candidate = true;
    csk_adopt(core);
    if (type == CORE_EVENT_CSK_DERIVED && !csk_open(csk) && !csk_current(csk) &&
        found->generation == csk->goal.generation) {
        csk->cannot_derive = true;
        CORE_COPY_TEXT(csk->error, "the key that the guest agent derives is not the committed one");
    }
}

static void csk_pull_failed(struct core *core, const struct core_csk_failure *failure)
{
    if (failure->index >= core->members.count || !core->members.rows[failure->index].pull.busy)
        return;
    struct pull *pull = &core->members.rows[failure->index].pull;
    pull->busy = false;
    pull->after_ms = core->now_ms + backoff_delay(&csk_pull_backoff, pull->failures, &core->rng);
    pull->failures++;
    core->csk.pulls--;
    csk_wake(core);
    if (!csk_current(&core->csk))
        snprintf(core->csk.error, sizeof(core->csk.error), "member %" PRIu32 ": %s", failure->index,
                 failure->text);
}

static void csk_derive_failed(struct core *core, const struct core_csk_failure *failure)
{
    struct csk *csk = &core->csk;

    if (csk->work != CSK_DERIVING)
        return;
    csk->work = CSK_REST;
    csk->derive_ms = core->now_ms + backoff_delay(&csk_derive_backoff, csk->failures, &core->rng);
    csk->failures++;
    CORE_COPY_TEXT(csk->error, failure->text);
}

void csk_failed(struct core *core, const struct core_csk_failure *failure)
{
    switch (failure->what) {
    case CORE_CSK_LOAD:
        if (core->csk.work == CSK_LOADING)
            core->csk.work = CSK_REST;
        return;
    case CORE_CSK_DERIVE: csk_derive_failed(core, failure); return;
    case CORE_CSK_COMMIT:
        if (!outbox_failed(core, OUTBOX_COMMIT_CSK))
            return;
        CORE_COPY_TEXT(core->csk.error, failure->text);
        registry_wake(core); /* it may have landed although its receipt was lost */
        return;
    case CORE_CSK_PULL: csk_pull_failed(core, failure); return;
    }
}

void csk_committed(struct core *core)
{
    if (!outbox_done(core, OUTBOX_COMMIT_CSK))
        return;
    core->csk.settle_ms = core->now_ms + CSK_SETTLE_MS;
    registry_wake(core);
}

void csk_forget_peer(struct core *core, struct row *row)
{
    if (row->pull.busy)
        core->csk.pulls--;
    row->pull = (struct pull){0};
}

static void csk_derive(struct core *core)
{
    struct csk *csk = &core->csk;

    if (csk->work != CSK_REST || csk->derive_ms > core->now_ms)
        return;
    csk->work = CSK_DERIVING;
    core->pending |= ASK_DERIVE_CSK;
}

/* Once this node's receipt came, only the chain can say that the commitment was lost. */
static void csk_originate(struct core *core)
{
    struct csk *csk = &core->csk;

    if (!csk_is_ours(core))
        outbox_drop(core, OUTBOX_COMMIT_CSK);
    else if (!csk->has_candidate || csk->candidate.generation != csk->goal.generation)
        csk_derive(core);
    else if (csk->settle_ms <= core->now_ms)
        outbox_want(core, OUTBOX_COMMIT_CSK);
}

/* Whether a peer is worth asking: the keyholder once its tunnel works, others when they say they have the
 * key. */
static bool csk_worth(const struct core *core, const struct row *row, bool keyholder)
{
    if (!row->wanted || row->pull.busy || row->pull.after_ms > core->now_ms)
        return false;
    if (keyholder)
        return row->up || row->beat.up;
    return row->beat.up && row->beat.csk_held && row->beat.csk_generation >= core->csk.goal.generation;
}

static void csk_pull_from(struct core *core, uint32_t index)
{
    core->members.rows[index].pull.busy = true;
    core->csk.pulls++;
    members_ask(&core->members, index, ROW_PULL_CSK);
}

/* The keyholder alone, as long as it has not disappointed; then everybody who has the key. */
static void csk_pull(struct core *core)
{
    struct members *members = &core->members;
    uint32_t keyholder = csk_keyholder(core);

    if (core->csk.look_ms > core->now_ms)
        return;
    core->csk.look_ms = core->now_ms + CSK_LOOK_MS;
    if (keyholder != CORE_NO_INDEX && core->csk.pulls < CORE_PULLS_MAX &&
        csk_worth(core, &members->rows[keyholder], true))
        csk_pull_from(core, keyholder);
    if (keyholder != CORE_NO_INDEX && members->rows[keyholder].pull.busy &&
        members->rows[keyholder].pull.failures == 0)
        return;
    for (uint32_t i = 0; i < members->count && core->csk.pulls < CORE_PULLS_MAX; i++)
        if (csk_worth(core, &members->rows[i], false))
            csk_pull_from(core, i);
}

static void csk_acquire(struct core *core)
{
    struct csk *csk = &core->csk;

    if (!csk->cache_tried) {
        if (csk->work != CSK_REST)
            return;
        csk->cache_tried = true;
        csk->work = CSK_LOADING;
        core->pending |= ASK_LOAD_CSK;
        return;
    }
    if (csk->work == CSK_LOADING)
        return;
    if (csk_is_ours(core) && !csk->cannot_derive) {
        csk_derive(core);
        if (csk->failures == 0)
            return;
    }
    csk_pull(core);
}

static bool csk_ready(const struct core *core)
{
    return core->node.registered && core->registry.synced && core->registry.intake != INTAKE_PAGES &&
           core->members.self != CORE_NO_INDEX;
}

void csk_pump(struct core *core)
{
    struct csk *csk = &core->csk;

    if (!csk_ready(core))
        return;
    csk_aim(core);
    csk_adopt(core);
    if (csk_open(csk))
        csk_originate(core);
    else if (!csk_current(csk))
        csk_acquire(core);
}

static uint64_t csk_later(const struct core *core, uint64_t at_ms)
{
    return at_ms > core->now_ms ? at_ms : CORE_NEVER;
}

/* Times that passed have had their step; the next one comes with an answer. */
uint64_t csk_deadline(const struct core *core)
{
    const struct csk *csk = &core->csk;

    if (!csk_ready(core) || !csk->has_goal || csk_current(csk))
        return CORE_NEVER;
    uint64_t first = csk_later(core, csk->derive_ms);
    const uint64_t others[] = {csk_later(core, csk->settle_ms),
                               csk_open(csk) ? CORE_NEVER : csk_later(core, csk->look_ms),
                               csk->is_held ? csk_later(core, csk->behind_ms + CSK_GRACE_MS) : CORE_NEVER};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (others[i] < first)
            first = others[i];
    return first;
}

void csk_reason(const struct core *core, char out[CORE_TEXT_MAX])
{
    const struct csk *csk = &core->csk;
    uint64_t generation = csk->goal.generation;

    if (csk->error[0] != '\0')
        snprintf(out, CORE_TEXT_MAX, "generation %" PRIu64 " of the cluster shared key: %s", generation,
                 csk->error);
    else if (!csk->has_goal)
        snprintf(out, CORE_TEXT_MAX, "reading the registry");
    else if (csk_open(csk) && csk_is_ours(core))
        snprintf(out, CORE_TEXT_MAX, "committing to generation %" PRIu64 " of the cluster shared key",
                 generation);
    else if (csk_open(csk))
        snprintf(out, CORE_TEXT_MAX,
                 "member %" PRIu32 ", the keyholder, has not committed to generation %" PRIu64
                 " of the cluster shared key yet",
                 csk_keyholder(core), generation);
    else if (csk->pulls != 0)
        snprintf(out, CORE_TEXT_MAX, "asking %" PRIu32 " peers for generation %" PRIu64, csk->pulls,
                 generation);
    else
        snprintf(out, CORE_TEXT_MAX, "no peer that is up says it has generation %" PRIu64, generation);
}
