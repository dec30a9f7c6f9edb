/* The member table against a plain reading of the rules, over random histories with collisions and reorgs. */
#include "agent/core/rng.h"
#include "test/unit/core/kit.h"

#define ROUNDS 300
#define ROWS 40

/* Keys and addresses come from a small pool, so that members collide. */
static struct core_record model_record(struct rng *rng, uint32_t n)
{
    struct core_record record = kit_record(n);

    record.wg_pubkey = kit_record((uint32_t)rng_between(rng, 0, 30)).wg_pubkey;
    record.mesh_ip = kit_record((uint32_t)rng_between(rng, 0, 30)).mesh_ip;
    return record;
}

static void model_change(struct kit *kit, struct rng *rng, uint32_t *next)
{
    uint32_t len = (uint32_t)kit->state.members;
    uint32_t at = (uint32_t)rng_between(rng, 1, len);

    switch (rng_between(rng, 0, 4)) {
    case 0:
    case 1:
        if (len < ROWS) {
            struct core_record record = model_record(rng, (*next)++);
            kit_add(kit, &record);
        }
        return;
    case 2:
        if (at < len && !kit->rows[at].removed)
            kit_remove(kit, at);
        return;
    case 3:
        if (at < len && !kit->rows[at].removed) {
            const struct core_record record = model_record(rng, 0);
            kit_publish_wg_key(kit, at, &record.wg_pubkey);
        }
        return;
    default: /* a reorg: members from here on never were, or are others now */
        for (uint32_t i = at; i < len; i++) {
            kit->state.removed -= kit->rows[i].removed;
            kit->rows[i] = model_record(rng, (*next)++);
        }
        if (rng_between(rng, 0, 1) == 0)
            kit->state.members = at;
        kit_touch(kit);
        return;
    }
}

static enum core_refusal model_refusal(const struct kit *kit, uint32_t index)
{
    const struct core_record *record = &kit->rows[index];

    if (bytes32_equal(&record->wg_pubkey, &kit->rows[0].wg_pubkey))
        return CORE_REFUSAL_SAME_KEY;
    if (record->mesh_ip == kit->rows[0].mesh_ip)
        return CORE_REFUSAL_SAME_ADDRESS;
    for (uint32_t i = 0; i < index; i++)
        if (!kit->rows[i].removed && bytes32_equal(&record->wg_pubkey, &kit->rows[i].wg_pubkey))
            return CORE_REFUSAL_SAME_KEY;
    for (uint32_t i = 0; i < index; i++)
        if (!kit->rows[i].removed && record->mesh_ip == kit->rows[i].mesh_ip)
            return CORE_REFUSAL_SAME_ADDRESS;
    return CORE_REFUSAL_NONE;
}

static void model_compare(const struct kit *kit)
{
    uint32_t wanted = 0, live = 0, refused = 0;

    for (uint32_t i = 0; i < kit->state.members; i++) {
        const struct core_member member = kit_member(kit, i);
        bool peer = i != 0 && !kit->rows[i].removed;
        enum core_refusal refusal = peer ? model_refusal(kit, i) : CORE_REFUSAL_NONE;
        cr_assert(bytes32_equal(&member.record.member_id, &kit->rows[i].member_id));
        cr_assert_eq(member.record.removed, kit->rows[i].removed);
        cr_assert_eq(member.refusal, refusal);
        cr_assert_eq(member.link != CORE_LINK_NONE, peer && refusal == CORE_REFUSAL_NONE);
        live += !kit->rows[i].removed;
        refused += refusal != CORE_REFUSAL_NONE;
        wanted += peer && refusal == CORE_REFUSAL_NONE;
    }
    cr_assert_eq(kit_status(kit).members, kit->state.members);
    cr_assert_eq(kit_status(kit).live_members, live);
    cr_assert_eq(kit_status(kit).refused_members, refused);
    cr_assert_eq(core_desired_peers(kit->core), wanted);
}

Test(members, agree_with_a_plain_reading_of_the_rules)
{
    struct kit kit;

    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct rng rng = {.state = seed};
        uint32_t next = 100;
        kit_join(&kit, 0, 3);
        for (int round = 0; round < ROUNDS; round++) {
            model_change(&kit, &rng, &next);
            kit_sync(&kit);
            model_compare(&kit);
        }
        kit_free(&kit);
    }
}
