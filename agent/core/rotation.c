#include "agent/core/rotation.h"

#include "agent/core/outbox.h"
#include "agent/core/registry.h"

#define ROTATION_SETTLE_MS 120000 /* how long the chain may not show a publication whose receipt we have */

static bool rotation_adopted(const struct core *core)
{
    return core->node.wg_generation == core->rotation.generation;
}

enum core_rotation rotation_state(const struct core *core)
{
    const struct rotation *rotation = &core->rotation;

    if (rotation->generation == 0)
        return CORE_ROTATION_NONE;
    if (core->outbox.items[OUTBOX_PUBLISH_WG_KEY].wanted)
        return CORE_ROTATION_PUBLISHING;
    if (!rotation_adopted(core))
        return rotation->error[0] != '\0' || core->now_ms >= rotation->settle_ms ? CORE_ROTATION_FAILED
                                                                                 : CORE_ROTATION_SWITCHING;
    return core->device.dirty || core->device.applying ? CORE_ROTATION_SWITCHING : CORE_ROTATION_DONE;
}

/* A key that was burned is passed over: the chain takes no key twice. */
static uint32_t rotation_next(const struct core *core)
{
    const struct rotation *rotation = &core->rotation;
    bool burned = rotation->burned && rotation->generation > core->node.wg_generation;

    return (burned ? rotation->generation : core->node.wg_generation) + 1;
}

void rotation_start(struct core *core)
{
    enum core_rotation state = rotation_state(core);

    if (!core->node.registered || state == CORE_ROTATION_PUBLISHING || state == CORE_ROTATION_SWITCHING)
        return;
    core->rotation = (struct rotation){.generation = rotation_next(core)};
    outbox_want(core, OUTBOX_PUBLISH_WG_KEY);
}

void rotation_published(struct core *core)
{
    if (!outbox_done(core, OUTBOX_PUBLISH_WG_KEY))
        return;
    core->rotation.settle_ms = core->now_ms + ROTATION_SETTLE_MS;
    registry_wake(core);
}

/* It may have landed although its receipt was lost: then the chain says so. */
void rotation_failed(struct core *core, const struct core_failure *failure)
{
    if (!outbox_failed(core, OUTBOX_PUBLISH_WG_KEY))
        return;
    CORE_COPY_TEXT(core->rotation.error, failure->text);
    core->rotation.burned = !failure->retryable;
    registry_wake(core);
}
