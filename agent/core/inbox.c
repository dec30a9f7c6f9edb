#include "agent/core/inbox.h"

#include <inttypes.h>
#include <stdio.h>

#include "crypto/keccak.h"

#define INBOX_SPACING_MIN 32 /* blocks between two marks */

static const struct backoff inbox_backoff = {.floor_ms = 1000, .ceiling_ms = 60000};

/* keccak(head ‖ count ‖ keccak(abi.encode(sender, envelopeId, keccak(ciphertext)))), with the new count. */
void core_inbox_extend(struct core_inbox *position, const struct core_inbox_message *message)
{
    struct bytes32 hash;
    uint8_t count[8];
    struct keccak k;

    keccak_init(&k);
    keccak_update(&k, message->sender.b, sizeof(message->sender.b));
    keccak_update(&k, message->envelope_id.b, sizeof(message->envelope_id.b));
    keccak_update(&k, message->ciphertext_hash.b, sizeof(message->ciphertext_hash.b));
    keccak_final(&k, &hash);
    be64_write(count, ++position->count);
    keccak_init(&k);
    keccak_update(&k, position->head.b, sizeof(position->head.b));
    keccak_update(&k, count, sizeof(count));
    keccak_update(&k, hash.b, sizeof(hash.b));
    keccak_final(&k, &position->head);
}

static bool inbox_agrees(const struct core_inbox *a, const struct core_inbox *b)
{
    return a->count == b->count && bytes32_equal(&a->head, &b->head);
}

bool inbox_chain_state(struct core *core, const struct core_chain_state *state)
{
    const struct core_inbox aim = {
        .block = state->block, .count = state->inbox_count, .head = state->inbox_head};
    const bool moved = core->inbox.has_aim && !inbox_agrees(&core->inbox.aim, &aim);

    core->inbox.aim = aim;
    core->inbox.has_aim = true;
    return moved;
}

/* The newest mark at or before a block; the beginning of everything when there is none. */
static struct core_inbox inbox_mark_at(const struct inbox *inbox, uint64_t block)
{
    for (uint32_t i = inbox->marks_len; i > 0; i--)
        if (inbox->marks[i - 1].block <= block)
            return inbox->marks[i - 1];
    return (struct core_inbox){0};
}

/* Keeps every second mark, so that there is room for as many again. */
static void inbox_thin_out(struct inbox *inbox)
{
    for (uint32_t i = 0; 2 * i < inbox->marks_len; i++)
        inbox->marks[i] = inbox->marks[2 * i];
    inbox->marks_len = (inbox->marks_len + 1) / 2;
    inbox->spacing *= 2;
}

static void inbox_mark(struct inbox *inbox)
{
    if (inbox->spacing == 0)
        inbox->spacing = INBOX_SPACING_MIN;
    if (inbox->marks_len == INBOX_MARKS_MAX)
        inbox_thin_out(inbox);
    if (inbox->marks_len == 0 ||
        inbox->verified.block >= inbox->marks[inbox->marks_len - 1].block + inbox->spacing)
        inbox->marks[inbox->marks_len++] = inbox->verified;
}

/* Takes the target as reached. */
static void inbox_verify(struct core *core, const struct core_inbox *position)
{
    struct inbox *inbox = &core->inbox;

    inbox->verified = *position;
    inbox->is_verified = true;
    inbox->rewound = false;
    inbox->failures = 0;
    inbox->error[0] = '\0';
    inbox_mark(inbox);
    core->pending |= TELL_INBOX;
}

/* Back to where no reorganisation reaches. */
static void inbox_rewind(struct core *core)
{
    struct inbox *inbox = &core->inbox;
    const uint64_t block = inbox->aim.block;

    while (inbox->marks_len > 0 && inbox->marks[inbox->marks_len - 1].block + CORE_PROVISIONAL_BLOCKS > block)
        inbox->marks_len--;
    inbox->from = inbox_mark_at(inbox, UINT64_MAX);
}

static void inbox_retry(struct core *core, const char *text)
{
    struct inbox *inbox = &core->inbox;

    CORE_COPY_TEXT(inbox->error, text);
    inbox->retry_ms = core->now_ms + backoff_delay(&inbox_backoff, inbox->failures, &core->rng);
    inbox->failures++;
}

void inbox_messages(struct core *core, const struct core_inbox_batch *batch)
{
    if (!core->inbox.reading)
        return;
    for (size_t i = 0; i < batch->len; i++)
        core_inbox_extend(&core->inbox.run, &batch->items[i]);
}

/* A read that goes wrong after a rewind has no reorganisation for an excuse. */
void inbox_read(struct core *core)
{
    struct inbox *inbox = &core->inbox;
    char text[CORE_TEXT_MAX];

    if (!inbox->reading)
        return;
    inbox->reading = false;
    inbox->run.block = inbox->target.block;
    if (inbox_agrees(&inbox->run, &inbox->target)) {
        inbox_verify(core, &inbox->run);
        return;
    }
    if (inbox->rewound) {
        snprintf(text, sizeof(text),
                 "the RPC's logs up to block %" PRIu64 " make %" PRIu64 " messages, the chain says %" PRIu64
                 " or others",
                 inbox->target.block, inbox->run.count, inbox->target.count);
        inbox_retry(core, text);
        inbox->marks_len = 0;
    }
    inbox->rewound = true;
    inbox_rewind(core);
}

void inbox_read_failed(struct core *core, const char *text)
{
    if (!core->inbox.reading)
        return;
    core->inbox.reading = false;
    inbox_retry(core, text);
}

/* Where the next read begins: behind what is known, unless the chain is not ahead of that. */
static void inbox_begin(struct core *core)
{
    struct inbox *inbox = &core->inbox;

    if (!inbox->rewound) {
        if (inbox->is_verified && inbox->aim.block > inbox->verified.block &&
            inbox->aim.count > inbox->verified.count)
            inbox->from = inbox->verified;
        else
            inbox_rewind(core);
    }
    inbox->target = inbox->aim;
    inbox->run = inbox->from;
    inbox->reading = true;
    core->pending |= ASK_READ_INBOX;
}

static bool inbox_ready(const struct core *core)
{
    return core->node.registered && core->registry.synced && core->inbox.has_aim && !core->inbox.reading;
}

void inbox_pump(struct core *core)
{
    struct inbox *inbox = &core->inbox;

    if (!inbox_ready(core))
        return;
    if (inbox->is_verified && inbox_agrees(&inbox->verified, &inbox->aim)) {
        inbox->verified.block = inbox->aim.block;
        return;
    }
    if (inbox->aim.count == 0) {
        inbox->marks_len = 0;
        inbox_verify(core, &inbox->aim);
    } else if (inbox->retry_ms <= core->now_ms) {
        inbox_begin(core);
    }
}

uint64_t inbox_deadline(const struct core *core)
{
    const struct inbox *inbox = &core->inbox;

    return inbox_ready(core) && inbox->retry_ms > core->now_ms ? inbox->retry_ms : CORE_NEVER;
}

bool core_inbox(const struct core *core, struct core_inbox *out)
{
    *out = core->inbox.verified;
    return core->inbox.is_verified;
}

struct core_inbox core_inbox_before(const struct core *core, uint64_t block)
{
    return inbox_mark_at(&core->inbox, block > CORE_PROVISIONAL_BLOCKS ? block - CORE_PROVISIONAL_BLOCKS : 0);
}
