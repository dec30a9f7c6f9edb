#include "agent/core/device.h"

#include "agent/core/links.h"
#include "agent/core/liveness.h"
#include "agent/core/members.h"

#define DEVICE_REFRESH_MS 30000     /* a pass comes round even when nothing seems to have changed */
#define DEVICE_OBSERVE_MS 1000      /* while a peer is not up */
#define DEVICE_OBSERVE_IDLE_MS 5000 /* while all are */
#define DEVICE_DRIFT_GAP_MS 250     /* between passes, when somebody fights for the device */

static const struct backoff device_backoff = {.floor_ms = 500, .ceiling_ms = 30000};

bool device_known(const struct core *core)
{
    return core->node.registered && core->registry.synced;
}

static void device_retry(struct core *core)
{
    struct device *device = &core->device;

    device->in_place = false;
    device->dirty = device->whole = true;
    device->apply_ms = core->now_ms + backoff_delay(&device_backoff, device->failures, &core->rng);
    device->failures++;
}

void device_note_change(struct core *core, uint32_t index)
{
    struct device *device = &core->device;
    struct changes *changes = &device->changes;

    device->dirty = true;
    for (uint32_t i = 0; i < changes->len; i++)
        if (changes->index[i] == index)
            return;
    if (changes->len == CORE_CHANGES_MAX)
        device->whole = true;
    else
        changes->index[changes->len++] = index;
}

/* A device that is being made or repaired already gets its pass, at its pace. */
void device_drifted(struct core *core)
{
    struct device *device = &core->device;

    device->whole = true;
    if (device->dirty || !device->exists)
        return;
    device->dirty = true;
    device->apply_ms = device->applied_ms + DEVICE_DRIFT_GAP_MS;
}

void device_applied(struct core *core, const struct core_apply_result *result)
{
    struct device *device = &core->device;

    if (!device->applying)
        return;
    device->applying = false;
    device->exists = true;
    device->applied_ms = core->now_ms;
    device->failed_edits = result->failed_edits;
    if (device->applying_whole) {
        device->observe_ms = core->now_ms;
        device->refresh_ms = core->now_ms + rng_between(&core->rng, DEVICE_REFRESH_MS - DEVICE_REFRESH_MS / 5,
                                                        DEVICE_REFRESH_MS);
    } else if (device->observe_ms > core->now_ms + DEVICE_OBSERVE_MS) {
        device->observe_ms = core->now_ms + DEVICE_OBSERVE_MS;
    }
    if (result->failed_edits != 0) {
        CORE_COPY_TEXT(device->error, result->text);
        device_retry(core);
        return;
    }
    device->failures = 0;
    device->error[0] = '\0';
    if (!device->rekeyed || !device->applying_whole)
        return;
    device->rekeyed = false;
    liveness_hurry(core);
}

uint64_t device_handshake_age_s(const struct core *core, const struct row *row)
{
    return row->handshake_seen ? (uint64_t)((int64_t)core->now_ms - row->handshake_ms) / 1000 : CORE_NEVER;
}

void device_judge_peer(struct core *core, struct row *row)
{
    bool fresh = device_handshake_age_s(core, row) <= CORE_HANDSHAKE_FRESH_S;

    if (row->link.up && (fresh || core->now_ms - row->link.since_ms >= LINKS_BEGIN_MS))
        links_begin(core, row);
    members_set_up(core, row, fresh && links_carries(core, row));
}

static void device_judge_all(struct core *core)
{
    for (uint32_t i = 0; i < core->members.count; i++)
        if (core->members.rows[i].wanted)
            device_judge_peer(core, &core->members.rows[i]);
}

static void device_schedule_observation(struct core *core)
{
    bool idle = core->members.up == core->members.wanted;

    core->device.observe_ms = core->now_ms + (idle ? DEVICE_OBSERVE_IDLE_MS : DEVICE_OBSERVE_MS);
}

void device_failed(struct core *core, const struct core_failure *failure)
{
    struct device *device = &core->device;

    if (!device->applying && !device->observing)
        return;
    if (!failure->retryable) {
        core_exit(core, AM_ECONFIG, "%s", failure->text);
        return;
    }
    device->applying = device->observing = false;
    device->exists = false;
    CORE_COPY_TEXT(device->error, failure->text);
    device_retry(core);
    device_judge_all(core);
    device_schedule_observation(core);
}

static void device_take_peer(struct core *core, struct row *row, const struct core_observed_peer *peer)
{
    uint64_t age_s = peer->handshake_age_s < UINT32_MAX ? peer->handshake_age_s : UINT32_MAX;

    row->handshake_seen = peer->handshake_age_s != CORE_NEVER;
    row->handshake_ms = (int64_t)core->now_ms - (int64_t)age_s * 1000;
    row->rx_bytes = peer->rx_bytes;
    row->tx_bytes = peer->tx_bytes;
}

void device_observed(struct core *core, const struct core_observation *observation)
{
    struct device *device = &core->device;

    if (!device->observing)
        return;
    device->observing = false;
    device->in_place = device->failed_edits == 0;
    for (size_t i = 0; i < observation->peers_len; i++) {
        struct row *row = members_find_peer(&core->members, &observation->peers[i].wg_pubkey);
        if (row)
            device_take_peer(core, row, &observation->peers[i]);
    }
    if (observation->drifted)
        device_drifted(core);
    device_judge_all(core);
    device_schedule_observation(core);
}

/* A table that is being read changes with every page: one pass when it is whole, not one per page. */
static bool device_may_apply(const struct core *core)
{
    return device_known(core) && core->registry.intake != INTAKE_PAGES;
}

static uint64_t device_apply_due(const struct core *core)
{
    const struct device *device = &core->device;

    if (!device_may_apply(core))
        return CORE_NEVER;
    return device->dirty ? device->apply_ms : device->refresh_ms;
}

static void device_ask_apply(struct core *core)
{
    struct device *device = &core->device;
    bool whole = device->whole || !device->exists || device->refresh_ms <= core->now_ms;

    device->applying = true;
    device->applying_whole = whole;
    device->being_made = device->changes;
    device->changes.len = 0;
    device->dirty = device->whole = false;
    device->apply_ms = 0;
    core->pending |= whole ? ASK_APPLY_DEVICE : ASK_APPLY_PEERS;
}

void device_pump(struct core *core)
{
    struct device *device = &core->device;

    if (device->applying || device->observing || !device_known(core))
        return;
    if (device_apply_due(core) <= core->now_ms) {
        device_ask_apply(core);
    } else if (device->observe_ms <= core->now_ms && device->exists) {
        device->observing = true;
        core->pending |= ASK_OBSERVE_DEVICE;
    }
}

uint64_t device_deadline(const struct core *core)
{
    const struct device *device = &core->device;

    if (device->applying || device->observing || !device_known(core))
        return CORE_NEVER;
    uint64_t apply = device_apply_due(core);
    return device->exists && device->observe_ms < apply ? device->observe_ms : apply;
}
