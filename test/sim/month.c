/* What telling endpoints costs: a cluster of real cores over 30 days, whose nodes crash, die for good, leave,
 * join and move, on a chain that loses answers. There is no mesh: nobody hears anybody, which must not
 * matter.
 *
 *     month [SEED]
 *
 * Every envelope on chain must tell its recipient something else than the one before it; at the end everybody
 * must know where everybody is. Prints figures; exits 1 when that does not hold. */
#include <stdio.h>
#include <stdlib.h>

#include "crypto/keccak.h"
#include "test/sim/world.h"

#define MONTH_NODES 36 /* of them 30 from the first day on */
#define MONTH_START 30
#define MONTH_MS (30 * DAY_MS)
#define HOUR_MS UINT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define MONTH_CALM_MS (6 * HOUR_MS) /* at the end, without faults */
#define MONTH_CONTENTS 3            /* endpoints that a node moves between */

struct letter {
    uint64_t block;
    uint32_t sender, recipient;
    struct bytes32 id;
    uint32_t content;
};

struct month_node {
    struct month *month;
    uint32_t number;
    struct core *core; /* NULL while it is down */
    uint32_t life;
    uint64_t tick_ms;
    uint32_t content;
    uint32_t moves;
    bool orphan; /* never starts again */
    bool removed;
    struct core_identity identity;
};

struct month {
    uint64_t seed;
    struct rng rng;
    uint64_t now_ms;
    struct queue queue;
    struct chain chain;
    struct month_node nodes[MONTH_NODES];
    struct letter *letters;
    size_t letters_len;
    size_t letters_capacity;
    uint64_t duplicates; /* refused by the chain before anybody paid */
    uint64_t crashes;
    bool failed;
};

static bool chance(struct month *month, uint32_t percent)
{
    return month->now_ms < MONTH_MS - MONTH_CALM_MS && rng_between(&month->rng, 0, 99) < percent;
}

static struct bytes32 letter_id(const struct month_node *node, const struct bytes32 *recipient,
                                uint64_t issued_ms, uint32_t content)
{
    struct keccak k;
    struct bytes32 id;

    keccak_init(&k);
    keccak_update(&k, node->identity.member_id.b, 32);
    keccak_update(&k, recipient->b, 32);
    keccak_update(&k, &issued_ms, sizeof(issued_ms));
    keccak_update(&k, &content, sizeof(content));
    keccak_final(&k, &id);
    return id;
}

static struct bytes32 on_envelope_id(void *user, const struct bytes32 *recipient, uint64_t issued_ms)
{
    const struct month_node *node = user;

    return letter_id(node, recipient, issued_ms, node->content);
}

/* The last envelope of a pair; NULL when there was none. */
static const struct letter *last_letter(const struct month *month, uint32_t sender, uint32_t recipient)
{
    for (size_t i = month->letters_len; i > 0; i--)
        if (month->letters[i - 1].sender == sender && month->letters[i - 1].recipient == recipient)
            return &month->letters[i - 1];
    return NULL;
}

static uint32_t node_of(const struct month *month, const struct bytes32 *member_id)
{
    for (uint32_t i = 0; i < MONTH_NODES; i++)
        if (bytes32_equal(&month->nodes[i].identity.member_id, member_id))
            return i;
    abort();
}

/* send() of the contract. */
static void land(struct month *month, uint32_t sender, const struct bytes32 *member_id, uint64_t issued_ms)
{
    struct month_node *node = &month->nodes[sender];
    const uint32_t recipient = node_of(month, member_id);
    const struct letter *last = last_letter(month, sender, recipient);
    const struct bytes32 id = letter_id(node, member_id, issued_ms, node->content);

    for (size_t i = 0; i < month->letters_len; i++)
        if (month->letters[i].sender == sender && month->letters[i].recipient == recipient &&
            bytes32_equal(&month->letters[i].id, &id)) {
            month->duplicates++;
            return;
        }
    if (last && last->content == node->content) {
        printf("on day %.2f node %u tells node %u again what it knows\n",
               (double)month->now_ms / (double)DAY_MS, sender, recipient);
        month->failed = true;
    }
    if (month->letters_len == month->letters_capacity) {
        month->letters_capacity = month->letters_capacity ? 2 * month->letters_capacity : 1024;
        month->letters = reallocarray(month->letters, month->letters_capacity, sizeof(*month->letters));
        if (!month->letters)
            abort();
    }
    month->letters[month->letters_len++] = (struct letter){.block = month->now_ms / 1000,
                                                           .sender = sender,
                                                           .recipient = recipient,
                                                           .id = id,
                                                           .content = node->content};
}

static void later(struct month_node *node, uint64_t delay_ms, enum happening_kind kind,
                  const struct core_action *action)
{
    struct happening happening = {.at_ms = node->month->now_ms + delay_ms,
                                  .kind = kind,
                                  .node = node->number,
                                  .life = node->life,
                                  .block = node->month->now_ms / 1000};

    if (action)
        happening.action = *action;
    queue_push(&node->month->queue, &happening);
}

static void step(struct month_node *node, const struct core_event *event)
{
    struct core_action action;

    core_step(node->core, node->month->now_ms, event);
    while (core_next_action(node->core, &action))
        later(node, rng_between(&node->month->rng, 50, 3000), HAPPEN_ANSWER, &action);
    const uint64_t deadline = core_deadline(node->core);
    if (deadline == CORE_NEVER || deadline >= node->tick_ms)
        return;
    node->tick_ms = deadline < node->month->now_ms ? node->month->now_ms : deadline;
    later(node, node->tick_ms - node->month->now_ms, HAPPEN_TICK, NULL);
}

static void answer_page(struct month_node *node, const struct core_action *action)
{
    struct core_record rows[MONTH_NODES];
    const size_t len = chain_rows_at(&node->month->chain, action->page.block, rows, MONTH_NODES);

    step(node, &(struct core_event){.type = CORE_EVENT_MEMBERS_PAGE,
                                    .page = {.offset = action->page.offset,
                                             .total = len,
                                             .records = rows + action->page.offset,
                                             .records_len = action->page.limit}});
}

static void answer_read_failed(struct month_node *node, enum core_read what)
{
    step(node, &(struct core_event){.type = CORE_EVENT_READ_FAILED,
                                    .read_failure = {.what = what, .text = "no answer"}});
}

static void answer_self(struct month_node *node)
{
    struct core_event event = {.type = CORE_EVENT_SELF_RECORD};

    event.self.present =
        chain_find(&node->month->chain, UINT64_MAX, &node->identity.member_contract, &event.self.record);
    step(node, &event);
}

static void answer_register(struct month_node *node)
{
    const struct core_record record = {.member_id = node->identity.member_id,
                                       .member_contract = node->identity.member_contract,
                                       .mesh_ip = 0x0a0d0001u + node->number,
                                       .registered_at = node->month->now_ms / 1000,
                                       .x_pubkey = node->identity.x_pubkey,
                                       .wg_pubkey = node->identity.wg_pubkey,
                                       .ed25519_pubkey = node->identity.ed25519_pubkey};

    chain_register(&node->month->chain, node->month->now_ms / 1000, &record);
    step(node, &(struct core_event){.type = CORE_EVENT_REGISTER_DONE});
}

static void answer_sent(struct month_node *node, const struct core_action *action)
{
    const struct month *month = node->month;

    if (chance(node->month, 10)) {
        answer_read_failed(node, CORE_READ_SENT);
        return;
    }
    for (size_t i = 0; i < month->letters_len; i++) {
        const struct letter *letter = &month->letters[i];
        const struct core_sent sent = {.recipient = month->nodes[letter->recipient].identity.member_id,
                                       .envelope_id = letter->id};
        if (letter->sender == node->number && letter->block >= action->blocks.from &&
            letter->block <= action->blocks.to)
            step(node,
                 &(struct core_event){.type = CORE_EVENT_SENT_ENVELOPES, .sent = {.items = &sent, .len = 1}});
    }
    step(node, &(struct core_event){.type = CORE_EVENT_SENT_READ});
}

/* Denied, or included; of what is included the answer may be lost. */
static void answer_envelope(struct month_node *node, const struct core_action *action)
{
    struct core_member member;
    const bool included = !chance(node->month, 20);

    core_member_at(node->core, action->envelope.index, &member);
    if (included)
        land(node->month, node->number, &member.record.member_id, action->envelope.issued_ms);
    step(node,
         &(struct core_event){.type = included && !chance(node->month, 20) ? CORE_EVENT_ENVELOPE_SENT
                                                                           : CORE_EVENT_ENVELOPE_FAILED});
}

static void answer_csk(struct month_node *node, const struct core_action *action)
{
    struct core_event event = {.type = CORE_EVENT_CSK_LOADED, .csk = action->csk};

    if (action->type == CORE_DO_COMMIT_CSK) {
        chain_commit(&node->month->chain, node->month->now_ms / 1000, &node->identity.member_id,
                     &action->csk);
        event.type = CORE_EVENT_CSK_COMMITTED;
    } else if (action->type == CORE_DO_DERIVE_CSK) {
        event.type = CORE_EVENT_CSK_DERIVED;
        event.csk.commitment = world_bytes("csk", action->csk.generation, node->number);
    }
    step(node, &event);
}

static void answer_state(struct month_node *node)
{
    struct core_event event = {.type = CORE_EVENT_CHAIN_STATE};

    chain_state_at(&node->month->chain, node->month->now_ms / 1000, &event.chain);
    step(node, &event);
}

/* What is asked of a mesh is never answered. */
static void answer(struct month_node *node, const struct core_action *action)
{
    switch ((int)action->type) {
    case CORE_DO_READ_IDENTITY:
        step(node, &(struct core_event){.type = CORE_EVENT_IDENTITY_READY, .identity = node->identity});
        step(node, &(struct core_event){.type = CORE_EVENT_INDEXER, .indexer = {.caught_up = true}});
        return;
    case CORE_DO_READ_SELF: answer_self(node); return;
    case CORE_DO_REGISTER: answer_register(node); return;
    case CORE_DO_READ_STATE: answer_state(node); return;
    case CORE_DO_READ_CHANGES: answer_read_failed(node, CORE_READ_CHANGES); return;
    case CORE_DO_READ_PAGE: answer_page(node, action); return;
    case CORE_DO_READ_SENT: answer_sent(node, action); return;
    case CORE_DO_SEND_ENVELOPE: answer_envelope(node, action); return;
    case CORE_DO_LOAD_CSK:
    case CORE_DO_DERIVE_CSK:
    case CORE_DO_COMMIT_CSK: answer_csk(node, action); return;
    }
}

/* ---- Fate ---- */

static void start_node(struct month_node *node)
{
    struct month *month = node->month;

    if (node->core || node->orphan)
        return;
    if (chance(month, 5)) {
        node->content = (node->content + 1) % MONTH_CONTENTS;
        node->moves++;
    }
    node->tick_ms = CORE_NEVER;
    node->core = core_new(&(struct core_config){.seed = rng_next(&month->rng),
                                                .envelope_members_max = 32,
                                                .envelope_id = on_envelope_id,
                                                .user = node});
    if (!node->core)
        abort();
    step(node, &(struct core_event){.type = CORE_EVENT_STARTED});
}

static void stop_node(struct month_node *node)
{
    core_free(node->core);
    node->core = NULL;
    node->life++;
}

/* An orphan is removed, and a new node joins in its place. */
static void replace_orphan(struct month *month, struct month_node *orphan)
{
    chain_remove(&month->chain, month->now_ms / 1000, &orphan->identity.member_id);
    orphan->removed = true;
    for (uint32_t i = MONTH_START; i < MONTH_NODES; i++)
        if (!month->nodes[i].core && month->nodes[i].life == 0) {
            start_node(&month->nodes[i]);
            return;
        }
}

/* Every hour some node is struck. */
static void strike(struct month *month)
{
    struct month_node *node = &month->nodes[rng_between(&month->rng, 0, MONTH_NODES - 1)];

    if (node->orphan && !node->removed && chance(month, 30)) {
        replace_orphan(month, node);
    } else if (node->core && chance(month, 100)) {
        stop_node(node);
        month->crashes++;
        node->orphan = node->number != 0 && chance(month, 2);
        later(node, rng_between(&month->rng, 0, 2 * HOUR_MS), HAPPEN_START, NULL);
    }
    if (month->now_ms < MONTH_MS - MONTH_CALM_MS)
        later(node, HOUR_MS / 2, HAPPEN_FAULT, NULL);
}

static void happen(struct month *month, const struct happening *happening)
{
    struct month_node *node = &month->nodes[happening->node];
    const bool alive = node->core && node->life == happening->life;

    if (happening->kind == HAPPEN_FAULT) {
        strike(month);
    } else if (happening->kind == HAPPEN_START) {
        start_node(node);
    } else if (happening->kind == HAPPEN_ANSWER && alive) {
        answer(node, &happening->action);
    } else if (happening->kind == HAPPEN_ANSWER && happening->action.type == CORE_DO_SEND_ENVELOPE) {
        return; /* what was not sent yet dies with its sender */
    } else if (happening->kind == HAPPEN_TICK && alive && node->tick_ms == month->now_ms) {
        node->tick_ms = CORE_NEVER;
        step(node, &(struct core_event){.type = CORE_EVENT_TICK});
    }
}

/* Whether everybody knows at the end where everybody is who runs. */
static void judge(struct month *month)
{
    for (uint32_t sender = 0; sender < MONTH_NODES; sender++) {
        const struct month_node *node = &month->nodes[sender];
        struct core_member member;
        if (!node->core)
            continue;
        for (uint32_t i = 0; core_member_at(node->core, i, &member); i++) {
            const uint32_t recipient = node_of(month, &member.record.member_id);
            const struct letter *last = last_letter(month, sender, recipient);
            if (member.is_self || member.record.removed || (last && last->content == node->content))
                continue;
            printf("at the end node %u has not told node %u where it is\n", sender, recipient);
            month->failed = true;
        }
    }
}

static void print_figures(const struct month *month)
{
    uint64_t moves = 0, running = 0;

    for (uint32_t i = 0; i < MONTH_NODES; i++) {
        moves += month->nodes[i].moves;
        running += month->nodes[i].core != NULL;
    }
    printf("month_crashes %llu\n", (unsigned long long)month->crashes);
    printf("month_moves %llu\n", (unsigned long long)moves);
    printf("month_running %llu\n", (unsigned long long)running);
    printf("month_envelopes %zu\n", month->letters_len);
    printf("month_duplicates_refused %llu\n", (unsigned long long)month->duplicates);
}

int main(int argc, char **argv)
{
    static struct month month;
    struct happening happening;

    month.seed = month.rng.state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    for (uint32_t i = 0; i < MONTH_NODES; i++) {
        month.nodes[i] =
            (struct month_node){.month = &month, .number = i, .identity = world_identity(month.seed, i)};
        if (i < MONTH_START)
            later(&month.nodes[i], rng_between(&month.rng, 0, HOUR_MS), HAPPEN_START, NULL);
    }
    later(&month.nodes[0], HOUR_MS, HAPPEN_FAULT, NULL);
    while (!month.failed && queue_pop(&month.queue, &happening) && happening.at_ms < MONTH_MS) {
        month.now_ms = happening.at_ms;
        happen(&month, &happening);
    }
    judge(&month);
    print_figures(&month);
    for (uint32_t i = 0; i < MONTH_NODES; i++)
        core_free(month.nodes[i].core);
    free(month.queue.heap);
    free(month.letters);
    chain_free(&month.chain);
    return month.failed;
}
