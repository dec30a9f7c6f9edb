#include "test/unit/core/kit.h"

#include <string.h>

#include "agent/core/change.h"

uint32_t kit_envelope_members_max;
uint64_t kit_endpoint;

struct bytes32 kit_envelope_id(void *user, const struct bytes32 *recipient, uint64_t issued_ms)
{
    struct bytes32 id = *recipient;

    (void)user;
    be64_write(id.b + 8, issued_ms);
    be64_write(id.b + 16, kit_endpoint);
    return id;
}

struct core_record kit_record(uint32_t n)
{
    struct core_record record = {.mesh_ip = 0x0a0d0001u + n, .registered_at = 1700000000u + n};

    be32_write(record.member_id.b, n);
    record.member_id.b[31] = 1;
    be32_write(record.member_contract.b, 0xc0000000u + n);
    be32_write(record.x_pubkey.b, 0x11000000u + n);
    be32_write(record.wg_pubkey.b, 0x22000000u + n);
    be32_write(record.ed25519_pubkey.b, 0x33000000u + n);
    return record;
}

void kit_init(struct kit *kit, uint32_t self)
{
    struct core_record record = kit_record(self);

    *kit = (struct kit){.now_ms = 5000, .block = 100, .handshake_age_s = CORE_NEVER};
    kit->core = core_new(&(struct core_config){.seed = 7,
                                               .can_dial = true,
                                               .envelope_members_max = kit_envelope_members_max,
                                               .envelope_id = kit_envelope_id});
    kit->identity = (struct core_identity){.member_contract = record.member_contract,
                                           .member_id = record.member_id,
                                           .x_pubkey = record.x_pubkey,
                                           .wg_pubkey = record.wg_pubkey,
                                           .ed25519_pubkey = record.ed25519_pubkey};
    kit->state = (struct core_chain_state){.cidr_ip = 0x0a0d0000u, .cidr_prefix = 16};
    kit_event(kit, CORE_EVENT_STARTED);
}

void kit_free(struct kit *kit)
{
    core_free(kit->core);
}

/* The actions join those that are there. */
static void kit_step_on(struct kit *kit, const struct core_event *event)
{
    const size_t before = kit->actions_len;

    core_step(kit->core, kit->now_ms, event);
    while (core_next_action(kit->core, &kit->actions[kit->actions_len]))
        cr_assert_lt(++kit->actions_len, KIT_ACTIONS_MAX);
    kit->actions_ever += kit->actions_len - before;
}

void kit_step(struct kit *kit, const struct core_event *event)
{
    kit->actions_len = 0;
    kit_step_on(kit, event);
}

void kit_event(struct kit *kit, enum core_event_type type)
{
    kit_step(kit, &(struct core_event){.type = type});
}

void kit_tick(struct kit *kit, uint64_t later_ms)
{
    kit->now_ms += later_ms;
    kit_event(kit, CORE_EVENT_TICK);
}

void kit_deadline(struct kit *kit)
{
    uint64_t deadline = core_deadline(kit->core);

    cr_assert_neq(deadline, CORE_NEVER);
    if (deadline > kit->now_ms)
        kit->now_ms = deadline;
    kit_event(kit, CORE_EVENT_TICK);
}

size_t kit_count(const struct kit *kit, enum core_action_type type)
{
    size_t count = 0;

    for (size_t i = 0; i < kit->actions_len; i++)
        count += kit->actions[i].type == type;
    return count;
}

bool kit_has(const struct kit *kit, enum core_action_type type)
{
    return kit_count(kit, type) == 1;
}

bool kit_has_index(const struct kit *kit, enum core_action_type type, uint32_t index)
{
    for (size_t i = 0; i < kit->actions_len; i++)
        if (kit->actions[i].type == type && kit->actions[i].index == index)
            return true;
    return false;
}

const struct core_action *kit_action(const struct kit *kit, enum core_action_type type)
{
    for (size_t i = 0; i < kit->actions_len; i++)
        if (kit->actions[i].type == type)
            return &kit->actions[i];
    cr_assert_fail("action %d is not asked for", type);
    return NULL;
}

bool kit_told(const struct kit *kit, enum core_peer_event event, uint32_t index)
{
    for (size_t i = 0; i < kit->actions_len; i++)
        if (kit->actions[i].type == CORE_TELL_PEER && kit->actions[i].peer.index == index &&
            kit->actions[i].peer.event == event)
            return true;
    return false;
}

void kit_change(struct kit *kit, const struct core_change *change)
{
    if (kit->news_len == CORE_NEWS_MAX)
        memmove(kit->news, kit->news + 1, --kit->news_len * sizeof(*kit->news));
    kit->news[kit->news_len++] = *change;
    kit->state = change_apply(&kit->state, change);
}

void kit_add(struct kit *kit, const struct core_record *record)
{
    cr_assert_lt(kit->state.members, KIT_ROWS_MAX);
    kit->rows[kit->state.members] = *record;
    kit_change(kit, &(struct core_change){.type = CORE_CHANGE_REGISTERED, .registered = *record});
}

void kit_publish_wg_key(struct kit *kit, uint32_t index, const struct bytes32 *key)
{
    kit->rows[index].wg_pubkey = *key;
    kit_change(kit,
               &(struct core_change){.type = CORE_CHANGE_WG_KEY, .key = {kit->rows[index].member_id, *key}});
}

void kit_touch(struct kit *kit)
{
    kit->state.version++;
    kit->state.head.b[0] ^= 0xff;
}

void kit_remove(struct kit *kit, uint32_t index)
{
    kit->rows[index].removed = true;
    kit_change(kit,
               &(struct core_change){.type = CORE_CHANGE_REMOVED, .removed = kit->rows[index].member_id});
    kit_change(kit, &(struct core_change){.type = CORE_CHANGE_CSK_ROTATED,
                                          .csk.generation = kit->state.csk_generation + 1});
}

void kit_identity_ready(struct kit *kit)
{
    kit_step(kit, &(struct core_event){.type = CORE_EVENT_IDENTITY_READY, .identity = kit->identity});
}

void kit_self_absent(struct kit *kit)
{
    kit_event(kit, CORE_EVENT_SELF_RECORD);
}

void kit_self_present(struct kit *kit, const struct core_record *record, uint32_t wg_generation)
{
    kit_step(kit, &(struct core_event){
                      .type = CORE_EVENT_SELF_RECORD,
                      .self = {.present = true, .record = *record, .wg_generation = wg_generation}});
}

void kit_failed(struct kit *kit, enum core_event_type type, const char *text, bool retryable)
{
    kit_step(kit, &(struct core_event){.type = type, .failure = {.text = text, .retryable = retryable}});
}

void kit_read_failed(struct kit *kit, enum core_read what)
{
    kit_step(kit, &(struct core_event){.type = CORE_EVENT_READ_FAILED,
                                       .read_failure = {.what = what, .text = "eth_call: refused"}});
}

void kit_state(struct kit *kit)
{
    kit->state.block = kit->block++;
    kit_step(kit, &(struct core_event){.type = CORE_EVENT_CHAIN_STATE, .chain = kit->state});
}

void kit_page(struct kit *kit)
{
    const struct core_action *action = kit_action(kit, CORE_DO_READ_PAGE);
    const uint32_t offset = action->page.offset, limit = action->page.limit;

    cr_assert_leq(offset + (uint64_t)limit, kit->state.members);
    kit_step(kit, &(struct core_event){.type = CORE_EVENT_MEMBERS_PAGE,
                                       .page = {.offset = offset,
                                                .total = kit->state.members,
                                                .records = kit->rows + offset,
                                                .records_len = limit}});
}

void kit_changes(struct kit *kit)
{
    const struct core_action *action = kit_action(kit, CORE_DO_READ_CHANGES);

    kit_step(kit, &(struct core_event){.type = CORE_EVENT_CHANGES,
                                       .changes = {.items = kit->news,
                                                   .items_len = kit->news_len,
                                                   .records = kit->rows + action->page.offset,
                                                   .records_len = action->page.limit}});
}

void kit_read_all(struct kit *kit)
{
    while (kit_has(kit, CORE_DO_READ_CHANGES) || kit_has(kit, CORE_DO_READ_PAGE)) {
        if (kit_has(kit, CORE_DO_READ_CHANGES))
            kit_changes(kit);
        else
            kit_page(kit);
    }
}

void kit_applied(struct kit *kit)
{
    kit_event(kit, CORE_EVENT_DEVICE_APPLIED);
}

void kit_observed(struct kit *kit, uint64_t handshake_age_s)
{
    struct core_observed_peer peers[KIT_ROWS_MAX];
    struct core_desired_peer peer;
    size_t len = 0;

    kit->handshake_age_s = handshake_age_s;
    for (uint32_t cursor = 0; core_next_desired_peer(kit->core, &cursor, &peer);)
        peers[len++] = (struct core_observed_peer){
            .wg_pubkey = peer.wg_pubkey, .handshake_age_s = handshake_age_s, .rx_bytes = 10, .tx_bytes = 20};
    kit_step(kit, &(struct core_event){.type = CORE_EVENT_DEVICE_OBSERVED,
                                       .observed = {.peers = peers, .peers_len = len}});
}

void kit_stream(struct kit *kit, enum core_event_type type, uint32_t index, bool dialed)
{
    kit_step(kit, &(struct core_event){
                      .type = type,
                      .stream = {.index = index, .dialed = dialed, .text = "the gateway closed the stream"}});
    if (kit_has(kit, CORE_DO_APPLY_PEERS))
        kit_step_on(kit, &(struct core_event){.type = CORE_EVENT_DEVICE_APPLIED});
}

struct bytes32 kit_commitment(uint64_t generation)
{
    return (struct bytes32){{0xc5, [31] = (uint8_t)generation}};
}

void kit_heartbeat(struct kit *kit, uint32_t index, uint64_t sequence, uint64_t view)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(view >> 8 * i);
    kit_step(kit, &(struct core_event){.type = CORE_EVENT_HEARTBEAT,
                                       .heartbeat = {.index = index,
                                                     .boot_nonce = 1,
                                                     .sequence = sequence,
                                                     .version = kit->state.version,
                                                     .view = bytes,
                                                     .view_len = sizeof(bytes),
                                                     .csk_held = true,
                                                     .csk_generation = kit->state.csk_generation}});
}

void kit_commit(struct kit *kit)
{
    const uint64_t generation = kit->state.csk_generation;

    kit_change(kit, &(struct core_change){.type = CORE_CHANGE_CSK_COMMITTED,
                                          .csk = {generation, kit_commitment(generation)}});
}

static void kit_found(struct kit *kit, enum core_event_type type, uint32_t index)
{
    kit_step(kit, &(struct core_event){.type = type,
                                       .csk = {.generation = kit->state.csk_generation,
                                               .commitment = kit_commitment(kit->state.csk_generation),
                                               .index = index}});
}

void kit_derived(struct kit *kit)
{
    kit_found(kit, CORE_EVENT_CSK_DERIVED, 0);
}

void kit_pulled(struct kit *kit, uint32_t index)
{
    kit_found(kit, CORE_EVENT_CSK_PULLED, index);
}

void kit_csk_failed(struct kit *kit, enum core_csk_step what, uint32_t index, const char *text)
{
    kit_step(kit, &(struct core_event){.type = CORE_EVENT_CSK_FAILED,
                                       .csk_failure = {.what = what, .index = index, .text = text}});
}

void kit_no_cache(struct kit *kit)
{
    cr_assert(kit_has(kit, CORE_DO_LOAD_CSK));
    kit_csk_failed(kit, CORE_CSK_LOAD, 0, "");
}

/* Fires the timer and answers device work; true when the state is being read. */
static bool kit_pass(struct kit *kit)
{
    kit_deadline(kit);
    bool reading = kit_has(kit, CORE_DO_READ_STATE);
    if (kit_has(kit, CORE_DO_APPLY_DEVICE) || kit_has(kit, CORE_DO_APPLY_PEERS))
        kit_applied(kit);
    if (kit_has(kit, CORE_DO_OBSERVE_DEVICE))
        kit_observed(kit, kit->handshake_age_s);
    return reading;
}

void kit_sync(struct kit *kit)
{
    bool reading = kit_has(kit, CORE_DO_READ_STATE);

    for (int i = 0; i < 1000 && !reading; i++)
        reading = kit_pass(kit);
    cr_assert(reading);
    kit_state(kit);
    kit_read_all(kit);
}

void kit_poll(struct kit *kit)
{
    for (int i = 0; i < 100 && !kit_has(kit, CORE_DO_READ_STATE); i++)
        kit_deadline(kit);
    kit_state(kit);
}

void kit_join(struct kit *kit, uint32_t self, uint32_t len)
{
    kit_init(kit, self);
    for (uint32_t n = 0; n < len; n++) {
        struct core_record record = kit_record(n);
        kit_add(kit, &record);
    }
    kit_identity_ready(kit);
    kit_self_present(kit, &kit->rows[self], 0);
    kit_sync(kit);
}

struct core_status kit_status(const struct kit *kit)
{
    struct core_status status;

    core_status(kit->core, &status);
    return status;
}

struct core_member kit_member(const struct kit *kit, uint32_t index)
{
    struct core_member member;

    cr_assert(core_member_at(kit->core, index, &member));
    return member;
}
