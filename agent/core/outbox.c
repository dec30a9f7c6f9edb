#include "agent/core/outbox.h"

static const struct backoff outbox_backoff = {.floor_ms = 1000, .ceiling_ms = 30000};

void outbox_want(struct core *core, enum outbox_item item)
{
    core->outbox.items[item].wanted = true;
}

void outbox_drop(struct core *core, enum outbox_item item)
{
    core->outbox.items[item].wanted = false;
}

bool outbox_in_flight(const struct core *core, enum outbox_item item)
{
    return core->outbox.busy && core->outbox.in_flight == item;
}

/* The answer came. */
static bool outbox_land(struct core *core, enum outbox_item item)
{
    if (!outbox_in_flight(core, item))
        return false;
    core->outbox.busy = false;
    core->outbox.items[item].wanted = false;
    return true;
}

bool outbox_done(struct core *core, enum outbox_item item)
{
    if (!outbox_land(core, item))
        return false;
    core->outbox.items[item].failures = 0;
    core->outbox.items[item].due_ms = core->now_ms;
    return true;
}

bool outbox_failed(struct core *core, enum outbox_item item)
{
    if (!outbox_land(core, item))
        return false;
    core->outbox.items[item].due_ms =
        core->now_ms + backoff_delay(&outbox_backoff, core->outbox.items[item].failures, &core->rng);
    core->outbox.items[item].failures++;
    return true;
}

uint64_t outbox_due_ms(const struct core *core, enum outbox_item item)
{
    return core->outbox.items[item].due_ms;
}

static const uint32_t outbox_asks[OUTBOX_ITEMS] = {
    [OUTBOX_REGISTER] = ASK_REGISTER,
    [OUTBOX_COMMIT_CSK] = ASK_COMMIT_CSK,
    [OUTBOX_SEND_MESSAGE] = ASK_SEND_MESSAGE,
    [OUTBOX_SEND_ENVELOPE] = ASK_SEND_ENVELOPE,
    [OUTBOX_PUBLISH_WG_KEY] = ASK_PUBLISH_WG_KEY,
};

void outbox_pump(struct core *core)
{
    struct outbox *outbox = &core->outbox;

    for (int i = 0; i < OUTBOX_ITEMS && !outbox->busy; i++) {
        if (!outbox->items[i].wanted || outbox->items[i].due_ms > core->now_ms)
            continue;
        outbox->busy = true;
        outbox->in_flight = (enum outbox_item)i;
        core->pending |= outbox_asks[i];
    }
}

uint64_t outbox_deadline(const struct core *core)
{
    const struct outbox *outbox = &core->outbox;
    uint64_t first = CORE_NEVER;

    for (int i = 0; i < OUTBOX_ITEMS && !outbox->busy; i++)
        if (outbox->items[i].wanted && outbox->items[i].due_ms < first)
            first = outbox->items[i].due_ms;
    return first;
}

static void outbox_want_messages(struct core *core, const struct core_messages *messages)
{
    if (messages->waiting)
        outbox_want(core, OUTBOX_SEND_MESSAGE);
}

void outbox_message_settled(struct core *core, const struct core_messages *messages)
{
    if (outbox_done(core, OUTBOX_SEND_MESSAGE))
        outbox_want_messages(core, messages);
}

void outbox_message_failed(struct core *core, const struct core_messages *messages)
{
    if (outbox_failed(core, OUTBOX_SEND_MESSAGE))
        outbox_want_messages(core, messages);
}
