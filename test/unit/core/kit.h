/* A core under test with a registry of made-up members; its actions are collected after every step. */
#ifndef UNIT_CORE_KIT_H
#define UNIT_CORE_KIT_H

#include <criterion/criterion.h>

#include "agent/core/view.h"

#define KIT_ACTIONS_MAX 2048
#define KIT_ROWS_MAX 10001

struct kit {
    struct core *core;
    uint64_t now_ms;
    uint64_t block;
    uint64_t handshake_age_s;                    /* as last observed */
    struct core_action actions[KIT_ACTIONS_MAX]; /* of the last step */
    size_t actions_len;
    size_t actions_ever;
    struct core_identity identity; /* of the node */
    struct core_chain_state state; /* of the registry */
    struct core_record rows[KIT_ROWS_MAX];
    struct core_change news[CORE_NEWS_MAX]; /* the newest changes, in order */
    size_t news_len;
};

/* Endpoints are told in clusters of up to so many members; 0, the default, in none. Set before kit_init. */
extern uint32_t kit_envelope_members_max;
extern uint64_t kit_endpoint; /* what is told: another number, another endpoint */
struct bytes32 kit_envelope_id(void *user, const struct bytes32 *recipient, uint64_t issued_ms);

/* Member number `n`: id 0xnnnn... in its first bytes, so that ids are in the order of the numbers. */
struct core_record kit_record(uint32_t n);

/* A started core whose identity is that of member `self`, in an empty registry. */
void kit_init(struct kit *kit, uint32_t self);
void kit_free(struct kit *kit);

/* Feeds one event at the present time and collects the actions. */
void kit_step(struct kit *kit, const struct core_event *event);
void kit_event(struct kit *kit, enum core_event_type type);

/* Lets time pass and fires the timer. */
void kit_tick(struct kit *kit, uint64_t later_ms);

/* Goes to the deadline and fires the timer. */
void kit_deadline(struct kit *kit);

/* The last step's actions of a type; with an index, for peers. */
size_t kit_count(const struct kit *kit, enum core_action_type type);
bool kit_has(const struct kit *kit, enum core_action_type type);
bool kit_has_index(const struct kit *kit, enum core_action_type type, uint32_t index);
/* The first of a type; there must be one. */
const struct core_action *kit_action(const struct kit *kit, enum core_action_type type);
bool kit_told(const struct kit *kit, enum core_peer_event event, uint32_t index);

/* Registers a member in the registry, with the head as the chain makes it. */
void kit_add(struct kit *kit, const struct core_record *record);

/* Makes a change, with the head as the chain makes it, and its event. */
void kit_change(struct kit *kit, const struct core_change *change);
void kit_publish_wg_key(struct kit *kit, uint32_t index, const struct bytes32 *key);

/* A change whose event the RPC withholds: only pages show it. */
void kit_touch(struct kit *kit);
void kit_remove(struct kit *kit, uint32_t index);

/* Answers. */
void kit_identity_ready(struct kit *kit);
void kit_self_absent(struct kit *kit);
void kit_self_present(struct kit *kit, const struct core_record *record, uint32_t wg_generation);
void kit_self_failed(struct kit *kit);
void kit_state(struct kit *kit);
void kit_page(struct kit *kit);     /* answers the READ_PAGE of the last step */
void kit_changes(struct kit *kit);  /* answers its READ_CHANGES */
void kit_read_all(struct kit *kit); /* answers both as long as there are any */
void kit_failed(struct kit *kit, enum core_event_type type, const char *text, bool retryable);
void kit_read_failed(struct kit *kit, enum core_read what);
void kit_applied(struct kit *kit);
void kit_observed(struct kit *kit, uint64_t handshake_age_s); /* all desired peers, with this handshake */
/* Also answers the pass over this peer that a first stream leads to. */
void kit_stream(struct kit *kit, enum core_event_type type, uint32_t index, bool dialed);

/* Heartbeats and the CSK. The key of every generation has this hash. */
struct bytes32 kit_commitment(uint64_t generation);
/* From member `index`, that sees the members whose bits are set, and holds the committed key. */
void kit_heartbeat(struct kit *kit, uint32_t index, uint64_t sequence, uint64_t view);
void kit_commit(struct kit *kit); /* the registry has the commitment */
void kit_derived(struct kit *kit);
void kit_no_cache(struct kit *kit);
void kit_pulled(struct kit *kit, uint32_t index);
void kit_csk_failed(struct kit *kit, enum core_csk_step what, uint32_t index, const char *text);

/* Fires timers and answers device work until the core wants the state, then answers with it and all that is
 * read then. */
void kit_sync(struct kit *kit);

/* Fires timers until the core wants the state, then answers with it. */
void kit_poll(struct kit *kit);

/* Runs the core from its start to where it knows the registry: kit_init, registered member `self` among
 * `len`. */
void kit_join(struct kit *kit, uint32_t self, uint32_t len);

struct core_status kit_status(const struct kit *kit);
struct core_member kit_member(const struct kit *kit, uint32_t index);

#endif
