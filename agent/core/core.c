#include "agent/core/core.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/announce.h"
#include "agent/core/csk.h"
#include "agent/core/device.h"
#include "agent/core/inbox.h"
#include "agent/core/links.h"
#include "agent/core/liveness.h"
#include "agent/core/members.h"
#include "agent/core/node.h"
#include "agent/core/outbox.h"
#include "agent/core/registry.h"
#include "agent/core/rotation.h"

struct core *core_new(const struct core_config *config)
{
    struct core *core = calloc(1, sizeof(*core));

    if (!core)
        return NULL;
    core->config = *config;
    core->rng.state = config->seed;
    core->members.self = CORE_NO_INDEX;
    core->members.pending_first = CORE_NO_INDEX;
    core->registry.stale_ms = CORE_NEVER;
    core->announce.check = CORE_NEVER;
    core->registry.suspect_ms = CORE_NEVER;
    return core;
}

void core_free(struct core *core)
{
    if (!core)
        return;
    members_release(&core->members);
    timers_release(&core->links.dials);
    liveness_release(&core->liveness);
    free(core);
}

void core_copy_text(char *out, size_t size, const char *text)
{
    const size_t len = text ? strnlen(text, size - 1) : 0;

    if (len != 0)
        memmove(out, text, len);
    out[len] = '\0';
}

void core_exit(struct core *core, int code, const char *format, ...)
{
    va_list args;

    if (core->stopped)
        return;
    core->stopped = true;
    core->exit_code = code;
    core->pending = TELL_EXIT;
    va_start(args, format);
    vsnprintf(core->exit_text, sizeof(core->exit_text), format, args);
    va_end(args);
}

static void core_read_failed(struct core *core, const struct core_read_failure *failure)
{
    switch (failure->what) {
    case CORE_READ_SELF: node_self_failed(core, failure->text); return;
    case CORE_READ_CHANGES: registry_changes_failed(core); return;
    case CORE_READ_STATE:
    case CORE_READ_PAGE: registry_read_failed(core, failure->text); return;
    case CORE_READ_INBOX: inbox_read_failed(core, failure->text); return;
    case CORE_READ_SENT: announce_read_failed(core); return;
    }
}

/* Every event belongs to one part. */
static void core_dispatch(struct core *core, const struct core_event *event)
{
    switch (event->type) {
    case CORE_EVENT_TICK: return;
    case CORE_EVENT_READ_FAILED: core_read_failed(core, &event->read_failure); return;

    case CORE_EVENT_STARTED: node_started(core); return;
    case CORE_EVENT_IDENTITY_READY: node_identity_ready(core, &event->identity); return;
    case CORE_EVENT_IDENTITY_FAILED: node_identity_failed(core, &event->failure); return;
    case CORE_EVENT_SELF_RECORD: node_self_record(core, &event->self); return;
    case CORE_EVENT_REGISTER_DONE: node_register_done(core); return;
    case CORE_EVENT_REGISTER_FAILED: node_register_failed(core, &event->failure); return;

    case CORE_EVENT_CHAIN_STATE: registry_chain_state(core, &event->chain); return;
    case CORE_EVENT_CHANGES: registry_changes(core, &event->changes); return;
    case CORE_EVENT_MEMBERS_PAGE: registry_page(core, &event->page); return;
    case CORE_EVENT_INDEXER: registry_indexer(core, &event->indexer); return;

    case CORE_EVENT_DEVICE_APPLIED: device_applied(core, &event->applied); return;
    case CORE_EVENT_DEVICE_FAILED: device_failed(core, &event->failure); return;
    case CORE_EVENT_DEVICE_OBSERVED: device_observed(core, &event->observed); return;
    case CORE_EVENT_DEVICE_DRIFTED: device_drifted(core); return;

    case CORE_EVENT_STREAM_UP: links_stream_up(core, &event->stream); return;
    case CORE_EVENT_STREAM_DOWN: links_stream_down(core, &event->stream); return;
    case CORE_EVENT_DIAL_FAILED: links_dial_failed(core, &event->stream); return;
    case CORE_EVENT_HEARTBEAT: liveness_heartbeat(core, &event->heartbeat); return;

    case CORE_EVENT_CSK_LOADED:
    case CORE_EVENT_CSK_DERIVED:
    case CORE_EVENT_CSK_PULLED: csk_found(core, event->type, &event->csk); return;
    case CORE_EVENT_CSK_COMMITTED: csk_committed(core); return;
    case CORE_EVENT_CSK_FAILED: csk_failed(core, &event->csk_failure); return;

    case CORE_EVENT_ROTATE_WG_KEY: rotation_start(core); return;
    case CORE_EVENT_WG_KEY_PUBLISHED: rotation_published(core); return;
    case CORE_EVENT_WG_KEY_FAILED: rotation_failed(core, &event->failure); return;

    case CORE_EVENT_MESSAGE_QUEUED: outbox_want(core, OUTBOX_SEND_MESSAGE); return;
    case CORE_EVENT_MESSAGE_SETTLED: outbox_message_settled(core, &event->messages); return;
    case CORE_EVENT_MESSAGE_FAILED: outbox_message_failed(core, &event->messages); return;
    case CORE_EVENT_INBOX_MESSAGES: inbox_messages(core, &event->inbox); return;
    case CORE_EVENT_INBOX_READ: inbox_read(core); return;

    case CORE_EVENT_SENT_ENVELOPES: announce_sent(core, &event->sent); return;
    case CORE_EVENT_SENT_READ: announce_read(core); return;
    case CORE_EVENT_ENVELOPE_SENT: announce_done(core); return;
    case CORE_EVENT_ENVELOPE_FAILED: announce_failed(core); return;
    }
}

void core_step(struct core *core, uint64_t now_ms, const struct core_event *event)
{
    assert(core->pending == 0 && core->members.pending_first == CORE_NO_INDEX);
    if (core->stopped)
        return;
    if (core->now_ms < now_ms)
        core->now_ms = now_ms;
    core_dispatch(core, event);
    if (core->stopped)
        return;
    node_pump(core);
    registry_pump(core);
    links_pump(core);
    device_pump(core);
    liveness_pump(core);
    csk_pump(core);
    inbox_pump(core);
    announce_pump(core);
    outbox_pump(core);
    node_update_phase(core);
}

uint64_t core_deadline(const struct core *core)
{
    uint64_t first = CORE_NEVER;

    if (core->stopped)
        return CORE_NEVER;
    const uint64_t deadlines[] = {node_deadline(core),   registry_deadline(core), links_deadline(core),
                                  device_deadline(core), liveness_deadline(core), csk_deadline(core),
                                  inbox_deadline(core),  announce_deadline(core), outbox_deadline(core)};
    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++)
        if (deadlines[i] < first)
            first = deadlines[i];
    return first;
}

static const enum core_action_type core_node_actions[] = {
    CORE_DO_READ_IDENTITY,  CORE_DO_READ_SELF,      CORE_DO_REGISTER,     CORE_DO_READ_STATE,
    CORE_DO_READ_CHANGES,   CORE_DO_READ_PAGE,      CORE_DO_APPLY_DEVICE, CORE_DO_APPLY_PEERS,
    CORE_DO_OBSERVE_DEVICE, CORE_DO_SEND_HEARTBEAT, CORE_DO_LOAD_CSK,     CORE_DO_DERIVE_CSK,
    CORE_DO_COMMIT_CSK,     CORE_DO_SEND_MESSAGE,   CORE_DO_READ_INBOX,   CORE_DO_READ_SENT,
    CORE_DO_SEND_ENVELOPE,  CORE_DO_PUBLISH_WG_KEY, CORE_TELL_CSK,        CORE_TELL_INBOX,
    CORE_TELL_WITHHELD,     CORE_TELL_PHASE,        CORE_TELL_EXIT,
};

static void core_fill_node_action(const struct core *core, struct core_action *action)
{
    switch (action->type) {
    case CORE_DO_LOAD_CSK:
    case CORE_DO_DERIVE_CSK: action->csk = core->csk.goal; return;
    case CORE_DO_COMMIT_CSK: action->csk = core->csk.candidate; return;
    case CORE_TELL_CSK: action->csk = core->csk.held; return;
    case CORE_DO_PUBLISH_WG_KEY: action->wg_generation = core->rotation.generation; return;
    case CORE_DO_READ_STATE: action->anew = core->announce.check != CORE_NEVER; return;
    case CORE_DO_READ_INBOX:
        action->blocks.from = core->inbox.from.block == 0 ? 0 : core->inbox.from.block + 1;
        action->blocks.to = core->inbox.target.block;
        return;
    case CORE_DO_READ_SENT:
        action->blocks.from = core->announce.settled == 0 ? 0 : core->announce.settled + 1;
        action->blocks.to = core->announce.to;
        return;
    case CORE_DO_SEND_ENVELOPE:
        action->envelope.index = core->announce.target;
        action->envelope.issued_ms = announce_issued_ms(core, core->announce.target);
        return;
    case CORE_DO_READ_PAGE:
    case CORE_DO_READ_CHANGES:
        action->page.from = registry_changes_from(core);
        action->page.block = core->registry.target.block;
        action->page.block_hash = core->registry.target.block_hash;
        action->page.offset = core->registry.next;
        action->page.limit = registry_page_rows(core);
        return;
    case CORE_TELL_PHASE:
        action->phase.phase = core->node.phase;
        action->phase.text = core->phase_text;
        return;
    case CORE_TELL_EXIT:
        action->exit.code = core->exit_code;
        action->exit.text = core->exit_text;
        action->exit.removed = core->exit_removed;
        return;
    default: return; /* the rest says it all by its type */
    }
}

/* Takes the lowest bit of a set that is not empty. */
static unsigned core_take_bit(uint32_t *pending, uint32_t mask)
{
    unsigned bit = (unsigned)__builtin_ctz(*pending & mask);

    *pending &= ~(UINT32_C(1) << bit);
    return bit;
}

static bool core_next_node_action(struct core *core, uint32_t mask, struct core_action *action)
{
    if ((core->pending & mask) == 0)
        return false;
    action->type = core_node_actions[core_take_bit(&core->pending, mask)];
    core_fill_node_action(core, action);
    return true;
}

static const struct {
    enum core_action_type type;
    enum core_peer_event event;
} core_row_actions[] = {
    {.type = CORE_DO_REMOVE_STREAM_PEER},
    {.type = CORE_DO_SET_STREAM_PEER},
    {.type = CORE_DO_DIAL},
    {.type = CORE_TELL_REFUSED},
    {CORE_TELL_PEER, CORE_PEER_JOINED},
    {CORE_TELL_PEER, CORE_PEER_KEY_ROTATED},
    {CORE_TELL_PEER, CORE_PEER_TRANSPORT_CHANGED},
    {CORE_TELL_PEER, CORE_PEER_UP},
    {CORE_TELL_PEER, CORE_PEER_DOWN},
    {CORE_TELL_PEER, CORE_PEER_REMOVED},
    {.type = CORE_DO_PULL_CSK},
};

static bool core_next_row_action(struct core *core, struct core_action *action)
{
    struct members *members = &core->members;
    uint32_t index = members->pending_first;

    if (index == CORE_NO_INDEX)
        return false;
    unsigned bit = core_take_bit(&members->rows[index].pending, UINT32_MAX);
    if (members->rows[index].pending == 0)
        members->pending_first = members->rows[index].pending_next;
    action->type = core_row_actions[bit].type;
    if (action->type == CORE_TELL_PEER) {
        action->peer.index = index;
        action->peer.event = core_row_actions[bit].event;
    } else if (action->type == CORE_DO_PULL_CSK) {
        action->csk = core->csk.goal;
        action->csk.index = index;
    } else {
        action->index = index;
    }
    return true;
}

/* Requests of the node, then what concerns peers, then the phase that came of it, an exit last. */
bool core_next_action(struct core *core, struct core_action *action)
{
    const uint32_t last = TELL_PHASE | TELL_EXIT;

    return core_next_node_action(core, ~last, action) || core_next_row_action(core, action) ||
           core_next_node_action(core, last, action);
}
