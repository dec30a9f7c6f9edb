/* What the guest agent and the chain's RPC say: late, wrong, too little or not at all in bad weather. Lies
 * are those that an honest majority or the answer itself gives away; a consistent lie is beyond a node. */
#include <stdlib.h>

#include "test/sim/world.h"

#define RPC_GUEST_SLOW_MS 20000 /* the longest that an exchange with the guest agent may take */

/* An endpoint answers for the last whole block, or one that lags a little, in bad weather. */
uint64_t rpc_block(struct world *world, const struct core_action *action)
{
    if (action->type == CORE_DO_READ_PAGE || action->type == CORE_DO_READ_CHANGES)
        return action->page.block;
    uint64_t lag = 1;
    if (!world_quiet(world))
        lag += rng_between(&world->rng, 0, world->faults.rpc_lag_blocks);
    if (world->broken == BREAK_STALE_RPC && world_quiet(world))
        lag += (world->now_ms - world->faults.quiet_ms) / 1000;
    return world_block(world) > lag ? world_block(world) - lag : 0;
}

uint64_t rpc_guest_latency(struct world *world)
{
    uint64_t delay = world_latency(world);

    if (world_chance(world, world->faults.guest_slow_pct))
        delay += rng_between(&world->rng, 0, RPC_GUEST_SLOW_MS);
    if (!world_quiet(world) && world->now_ms + delay > world->faults.quiet_ms)
        delay = world->faults.quiet_ms - world->now_ms;
    return delay;
}

bool rpc_guest_fails(struct world *world)
{
    return world->now_ms < world->guest_down_ms || world_chance(world, world->faults.guest_fail_pct);
}

static const char *rpc_failure(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    const uint64_t second = world->now_ms / 1000;

    node->reads = node->reads_second == second ? node->reads + 1 : 1;
    node->reads_second = second;
    if (world->now_ms < world->rpc_down_ms)
        return "eth_call: connection refused";
    if (!world_quiet(world) && node->reads > world->faults.rpc_per_s)
        return "eth_call: 429 too many requests";
    return world_chance(world, world->faults.rpc_fail_pct) ? "eth_call: timeout" : NULL;
}

static void rpc_step_failed(struct world *world, uint32_t n, enum core_read what, const char *text)
{
    shell_step(
        world, n,
        &(struct core_event){.type = CORE_EVENT_READ_FAILED, .read_failure = {.what = what, .text = text}});
}

static void rpc_answer_identity(struct world *world, const struct happening *happening)
{
    struct core_event event = {.type = CORE_EVENT_IDENTITY_READY,
                               .identity = world->nodes[happening->node].identity};

    if (rpc_guest_fails(world)) {
        event.type = CORE_EVENT_IDENTITY_FAILED;
        event.failure = (struct core_failure){.text = "guest agent: no answer", .retryable = true};
    }
    shell_step(world, happening->node, &event);
}

static void rpc_answer_self(struct world *world, const struct happening *happening)
{
    const struct sim_node *node = &world->nodes[happening->node];
    struct core_event event = {.type = CORE_EVENT_SELF_RECORD};
    const char *failure = rpc_failure(world, happening->node);

    if (failure) {
        rpc_step_failed(world, happening->node, CORE_READ_SELF, failure);
        return;
    }
    event.self.present =
        chain_find(&world->chain, happening->block, &node->identity.member_contract, &event.self.record);
    event.self.wg_generation = rotate_generation(world, happening->node, &event.self.record.wg_pubkey);
    shell_step(world, happening->node, &event);
}

/* Counters that contradict each other, or an old state under a new block's number. */
static void rpc_lie_about_state(struct world *world, struct core_chain_state *state)
{
    const uint64_t block = state->block;
    const struct bytes32 hash = state->block_hash;

    if (rng_next(&world->rng) % 2 == 0) {
        state->removed = state->members + 1;
        return;
    }
    chain_state_at(&world->chain, block > 20 ? block - 20 : 0, state);
    state->block = block;
    state->block_hash = hash;
}

static void rpc_answer_state(struct world *world, const struct happening *happening)
{
    struct core_event event = {.type = CORE_EVENT_CHAIN_STATE};
    const char *failure = rpc_failure(world, happening->node);

    if (failure) {
        rpc_step_failed(world, happening->node, CORE_READ_STATE, failure);
        return;
    }
    chain_state_at(&world->chain, happening->block, &event.chain);
    if (world_chance(world, world->faults.rpc_lie_pct))
        rpc_lie_about_state(world, &event.chain);
    mail_state_at(world, happening->node, &event.chain);
    if (world_chance(world, world->faults.rpc_lie_pct))
        mail_lie_about_state(world, happening->node, &event.chain);
    shell_step(world, happening->node, &event);
}

/* A row short, or of another length of the registry. */
static void rpc_lie_about_page(struct world *world, struct core_page *page)
{
    if (page->records_len != 0 && rng_next(&world->rng) % 2 == 0)
        page->records_len--;
    else
        page->total++;
}

/* Rows of the page that was asked for, owned by the caller; `total` is how many there are in all. */
static struct core_record *rpc_rows(const struct world *world, const struct happening *happening, size_t *len,
                                    size_t *total)
{
    const size_t offset = happening->action.page.offset, limit = happening->action.page.limit;
    struct core_record *rows = calloc(world->rows_max, sizeof(*rows));

    if (!rows)
        abort();
    *total = chain_rows_at(&world->chain, happening->block, rows, world->rows_max);
    const size_t end = offset + limit < *total ? offset + limit : *total;
    *len = offset < end ? end - offset : 0;
    memmove(rows, rows + offset, *len * sizeof(*rows));
    if (world->broken == BREAK_INVENTED_KEY && *len != 0)
        memset(&rows[*len - 1].wg_pubkey, 0x11, sizeof(rows[0].wg_pubkey));
    for (size_t i = 0; world->broken == BREAK_HIDDEN_REMOVAL && i < *len; i++)
        rows[i].removed = false;
    return rows;
}

/* An RPC answers for the very block that was asked about, or not at all. */
static const char *rpc_rows_failure(struct world *world, const struct happening *happening)
{
    const struct bytes32 hash = chain_block_hash(&world->chain, happening->block);
    const char *failure = rpc_failure(world, happening->node);

    if (!failure && happening->action.page.limit > 0 &&
        !bytes32_equal(&hash, &happening->action.page.block_hash))
        failure = "eth_call: header not found";
    return failure;
}

static void rpc_answer_page(struct world *world, const struct happening *happening)
{
    size_t len, total;
    struct core_record *rows = rpc_rows(world, happening, &len, &total);
    struct core_event event = {
        .type = CORE_EVENT_MEMBERS_PAGE,
        .page = {
            .offset = happening->action.page.offset, .total = total, .records = rows, .records_len = len}};
    const char *failure = rpc_rows_failure(world, happening);

    if (world_chance(world, world->faults.rpc_lie_pct))
        rpc_lie_about_page(world, &event.page);
    if (failure)
        rpc_step_failed(world, happening->node, CORE_READ_PAGE, failure);
    else
        shell_step(world, happening->node, &event);
    free(rows);
}

/* An event is left out, or comes twice. */
static size_t rpc_lie_about_changes(struct world *world, struct core_change *changes, size_t len)
{
    const size_t at = len != 0 ? rng_between(&world->rng, 0, len - 1) : 0;

    if (len == 0)
        return 0;
    if (len < CORE_NEWS_MAX && rng_next(&world->rng) % 2 == 0) {
        changes[len] = changes[at];
        return len + 1;
    }
    memmove(changes + at, changes + at + 1, (len - at - 1) * sizeof(*changes));
    return len - 1;
}

static void rpc_answer_changes(struct world *world, const struct happening *happening)
{
    struct core_change changes[CORE_NEWS_MAX];
    size_t rows_len, total;
    struct core_record *rows = rpc_rows(world, happening, &rows_len, &total);
    size_t len = chain_changes_in(&world->chain, happening->action.page.from, happening->block, changes,
                                  CORE_NEWS_MAX);
    const char *failure = rpc_rows_failure(world, happening);

    if (world_chance(world, world->faults.rpc_lie_pct) || world->broken == BREAK_HIDDEN_REMOVAL)
        len = rpc_lie_about_changes(world, changes, len);
    const struct core_event event = {
        .type = CORE_EVENT_CHANGES,
        .changes = {.items = changes, .items_len = len, .records = rows, .records_len = rows_len}};
    if (failure)
        rpc_step_failed(world, happening->node, CORE_READ_CHANGES, failure);
    else
        shell_step(world, happening->node, &event);
    free(rows);
}

static void rpc_answer_mail(struct world *world, const struct happening *happening)
{
    const struct core_action *action = &happening->action;
    const bool inbox = action->type == CORE_DO_READ_INBOX;
    const char *failure = rpc_failure(world, happening->node);

    if (failure)
        rpc_step_failed(world, happening->node, inbox ? CORE_READ_INBOX : CORE_READ_SENT, failure);
    else if (inbox)
        mail_read_inbox(world, happening->node, action->blocks.from, action->blocks.to);
    else
        mail_read_sent(world, happening->node, action->blocks.from, action->blocks.to);
}

void rpc_answer(struct world *world, const struct happening *happening)
{
    const enum core_action_type type = happening->action.type;

    if (type == CORE_DO_READ_IDENTITY) {
        rpc_answer_identity(world, happening);
    } else if (type == CORE_DO_READ_SELF) {
        rpc_answer_self(world, happening);
    } else if (type == CORE_DO_READ_INBOX || type == CORE_DO_READ_SENT) {
        rpc_answer_mail(world, happening);
    } else {
        world->nodes[happening->node].reading = world->broken == BREAK_READ_TWICE;
        if (type == CORE_DO_READ_STATE)
            rpc_answer_state(world, happening);
        else if (type == CORE_DO_READ_CHANGES)
            rpc_answer_changes(world, happening);
        else
            rpc_answer_page(world, happening);
    }
}
