#include "agent/core/node.h"

#include "agent/core/address.h"
#include "agent/core/csk.h"
#include "agent/core/liveness.h"
#include "agent/core/members.h"
#include "agent/core/outbox.h"
#include "agent/core/registry.h"
#include "agent/core/status.h"

/* How long the peers have, once they were told, to read of our new WireGuard key before the device takes it:
 * as long as a heartbeat, the hint that it is and the reads that follow usually take. */
#define NODE_ANNOUNCE_MS 1000

#define NODE_SETTLE_MS 120000 /* how long an RPC may not show a registration whose receipt we have */

static const struct backoff node_backoff = {.floor_ms = 1000, .ceiling_ms = 30000};

/* Goes on with step `boot`, at once. */
static void node_go(struct core *core, enum boot boot)
{
    core->node.boot = boot;
    core->node.busy = false;
    core->node.boot_ms = core->now_ms;
}

/* Goes on with step `boot` after a while. */
static void node_go_later(struct core *core, enum boot boot, const char *text)
{
    node_go(core, boot);
    CORE_COPY_TEXT(core->node.error, text);
    core->node.boot_ms += backoff_delay(&node_backoff, core->node.failures, &core->rng);
    core->node.failures++;
}

static void node_succeed(struct core *core)
{
    core->node.failures = 0;
    core->node.error[0] = '\0';
}

static bool node_awaits(const struct core *core, enum boot boot)
{
    return core->node.boot == boot && core->node.busy;
}

void node_started(struct core *core)
{
    if (core->node.boot == BOOT_IDLE)
        node_go(core, BOOT_IDENTITY);
}

void node_identity_ready(struct core *core, const struct core_identity *identity)
{
    if (!node_awaits(core, BOOT_IDENTITY))
        return;
    core->node.identity = *identity;
    core->node.wg_pubkey = identity->wg_pubkey;
    mesh_ipv6(&identity->cluster, &identity->member_id, core->node.mesh_ip6);
    core->node.identity_known = true;
    node_succeed(core);
    node_go(core, BOOT_SELF);
}

void node_identity_failed(struct core *core, const struct core_failure *failure)
{
    if (!node_awaits(core, BOOT_IDENTITY))
        return;
    if (failure->retryable)
        node_go_later(core, BOOT_IDENTITY, failure->text);
    else
        core_exit(core, AM_ECONFIG, "%s", failure->text);
}

static void node_exit_removed(struct core *core)
{
    core->exit_removed = true;
    core_exit(core, AM_ECONFIG,
              "this node was removed from the cluster; it can join again only as a new member, with a new "
              "contract");
}

/* Which of our keys the record contradicts, NULL when none. */
static const char *node_foreign_key(const struct core *core, const struct core_self *self)
{
    const struct core_identity *identity = &core->node.identity;

    if (!bytes32_equal(&self->record.member_id, &identity->member_id))
        return "member id";
    if (!bytes32_equal(&self->record.x_pubkey, &identity->x_pubkey))
        return "X25519 key";
    if (!bytes32_equal(&self->record.ed25519_pubkey, &identity->ed25519_pubkey))
        return "Ed25519 key";
    return self->wg_generation == CORE_WG_FOREIGN ? "WireGuard key" : NULL;
}

/* Whether the registry, as far as it was read, has other keys of ours than are in use. */
static bool node_outdated(const struct core *core)
{
    const struct members *members = &core->members;

    if (members->self == CORE_NO_INDEX)
        return false;
    const struct core_record *record = &members->rows[members->self].record;
    return !bytes32_equal(&record->wg_pubkey, &core->node.wg_pubkey) ||
           !bytes32_equal(&record->ed25519_pubkey, &core->node.identity.ed25519_pubkey);
}

static void node_adopt(struct core *core, const struct core_self *self)
{
    struct node *node = &core->node;
    bool moved =
        !bytes32_equal(&node->wg_pubkey, &self->record.wg_pubkey) || node->mesh_ip != self->record.mesh_ip;

    node->registered = true;
    node->wg_pubkey = self->record.wg_pubkey;
    node->wg_generation = self->wg_generation;
    node->mesh_ip = self->record.mesh_ip;
    if (moved && core->registry.synced) {
        core->device.dirty = core->device.whole = core->device.rekeyed = true;
        members_settle_all(core);
    }
    node_succeed(core);
    if (node_outdated(core))
        node_go_later(core, BOOT_SELF, "our record and the registry are of different blocks");
    else
        node_go(core, BOOT_DONE);
    registry_wake(core);
}

static void node_absent(struct core *core)
{
    core->node.registered = false;
    if (core->now_ms < core->node.settle_ms) {
        node_go_later(core, BOOT_SELF, "registered; the RPC does not show it yet");
        return;
    }
    node_go(core, BOOT_REGISTERING);
    outbox_want(core, OUTBOX_REGISTER);
}

void node_self_record(struct core *core, const struct core_self *self)
{
    if (!node_awaits(core, BOOT_SELF))
        return;
    if (!self->present) {
        node_absent(core);
        return;
    }
    if (self->record.removed) {
        node_exit_removed(core);
        return;
    }
    const char *foreign = node_foreign_key(core, self);
    if (foreign) {
        core_exit(
            core, AM_EMISMATCH,
            "our member contract is registered with a foreign %s: the TEE state it was registered with is "
            "lost; remove that member and deploy a new member contract",
            foreign);
        return;
    }
    node_adopt(core, self);
}

void node_self_failed(struct core *core, const char *text)
{
    if (node_awaits(core, BOOT_SELF))
        node_go_later(core, BOOT_SELF, text);
}

void node_register_done(struct core *core)
{
    if (!outbox_done(core, OUTBOX_REGISTER))
        return;
    core->node.settle_ms = core->now_ms + NODE_SETTLE_MS;
    node_succeed(core);
    node_go(core, BOOT_SELF);
}

/* The operation may have landed although its receipt was lost: look before registering again. */
void node_register_failed(struct core *core, const struct core_failure *failure)
{
    if (!outbox_failed(core, OUTBOX_REGISTER))
        return;
    if (!failure->retryable) {
        core_exit(core, AM_ECONFIG, "%s", failure->text);
        return;
    }
    node_go(core, BOOT_SELF);
    core->node.boot_ms = outbox_due_ms(core, OUTBOX_REGISTER);
    CORE_COPY_TEXT(core->node.error, failure->text);
}

void node_check_self(struct core *core)
{
    const struct members *members = &core->members;

    if (members->self == CORE_NO_INDEX) {
        if (core->node.boot == BOOT_DONE)
            node_go_later(core, BOOT_SELF, "the registry does not list this node");
        return;
    }
    if (members->rows[members->self].record.removed) {
        node_exit_removed(core);
        return;
    }
    if (core->node.boot != BOOT_DONE || !node_outdated(core))
        return;
    node_go(core, BOOT_SELF);
    core->node.boot_ms += NODE_ANNOUNCE_MS;
    liveness_hurry(core);
}

static uint32_t node_boot_ask(enum boot boot)
{
    switch (boot) {
    case BOOT_IDENTITY: return ASK_READ_IDENTITY;
    case BOOT_SELF: return ASK_READ_SELF;
    case BOOT_IDLE:
    case BOOT_REGISTERING: /* the outbox */
    case BOOT_DONE: break;
    }
    return 0;
}

void node_pump(struct core *core)
{
    struct node *node = &core->node;
    uint32_t ask = node_boot_ask(node->boot);

    if (ask == 0 || node->busy || node->boot_ms > core->now_ms)
        return;
    node->busy = true;
    core->pending |= ask;
}

uint64_t node_deadline(const struct core *core)
{
    const struct node *node = &core->node;

    return node_boot_ask(node->boot) != 0 && !node->busy ? node->boot_ms : CORE_NEVER;
}

static enum core_phase node_phase(const struct core *core)
{
    bool alone = core->members.wanted == 0;

    if (!core->node.identity_known)
        return CORE_PHASE_BOOTING;
    if (!core->node.registered)
        return CORE_PHASE_REGISTERING;
    if (!core->registry.synced || core->members.self == CORE_NO_INDEX)
        return CORE_PHASE_WAITING_PEERS;
    if (core->node.first_converged && csk_acquired(core))
        return CORE_PHASE_HEALTHY;
    if (alone)
        return CORE_PHASE_WAITING_PEERS;
    if (!core->device.in_place || (core->members.up == 0 && core->liveness.up <= 1))
        return CORE_PHASE_WG_CONFIGURING;
    return csk_acquired(core) ? CORE_PHASE_HEARTBEATING : CORE_PHASE_PULLING_CSK;
}

void node_update_phase(struct core *core)
{
    enum core_phase phase = node_phase(core);

    if (phase == core->node.phase)
        return;
    core->node.phase = phase;
    core->pending |= TELL_PHASE;
    status_reason(core, core->phase_text);
}
