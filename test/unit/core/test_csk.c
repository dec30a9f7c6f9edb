#include "test/unit/core/kit.h"

/* Member `self` of `len`, at an open generation 0, with tunnels to all the others. */
static void with_tunnels(struct kit *kit, uint32_t self, uint32_t len)
{
    kit_join(kit, self, len);
    kit_applied(kit);
    kit_observed(kit, CORE_NEVER);
    for (uint32_t i = 0; i < len; i++)
        if (i != self)
            kit_stream(kit, CORE_EVENT_STREAM_UP, i, true);
    kit_tick(kit, 1000);
    kit_observed(kit, 1);
}

/* The same when the generation has been committed to and the cache is empty. */
static void to_pull(struct kit *kit, uint32_t len)
{
    with_tunnels(kit, 1, len);
    kit_commit(kit);
    kit_sync(kit);
    kit_no_cache(kit);
}

static bool pulls_from(const struct kit *kit, uint32_t index)
{
    for (size_t i = 0; i < kit->actions_len; i++)
        if (kit->actions[i].type == CORE_DO_PULL_CSK && kit->actions[i].csk.index == index)
            return true;
    return false;
}

/* Fires timers until an action of this type comes. */
static void until(struct kit *kit, enum core_action_type type)
{
    for (int i = 0; i < 200 && !kit_has(kit, type); i++) {
        if (kit_has(kit, CORE_DO_READ_STATE))
            kit_state(kit);
        else
            kit_deadline(kit);
    }
    cr_assert(kit_has(kit, type), "it does not come");
}

Test(csk, the_keyholder_derives_and_commits_once)
{
    struct kit kit;

    kit_join(&kit, 0, 3);
    cr_assert(kit_has(&kit, CORE_DO_DERIVE_CSK));
    kit_derived(&kit);
    cr_assert(kit_has(&kit, CORE_DO_COMMIT_CSK));
    kit_sync(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_COMMIT_CSK), "one is in flight");
    kit_event(&kit, CORE_EVENT_CSK_COMMITTED);
    kit_sync(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_COMMIT_CSK), "the RPC lags behind the receipt");
    kit_commit(&kit);
    kit_sync(&kit);
    cr_assert(kit_has(&kit, CORE_TELL_CSK));
    cr_assert(kit_status(&kit).csk_acquired);
    kit_free(&kit);
}

Test(csk, a_failed_commitment_is_looked_for_and_made_again_later)
{
    struct kit kit;

    kit_join(&kit, 0, 1);
    kit_derived(&kit);
    kit_csk_failed(&kit, CORE_CSK_COMMIT, 0, "sponsor: denied");
    cr_assert_not(kit_has(&kit, CORE_DO_COMMIT_CSK));
    cr_assert_str_eq(kit_status(&kit).csk_error, "sponsor: denied");
    until(&kit, CORE_DO_COMMIT_CSK);
    kit_csk_failed(&kit, CORE_CSK_COMMIT, 0, "no receipt");
    kit_commit(&kit); /* it landed all the same */
    kit_sync(&kit);
    cr_assert(kit_has(&kit, CORE_TELL_CSK));
    kit_free(&kit);
}

Test(csk, others_never_derive)
{
    struct kit kit;

    with_tunnels(&kit, 1, 2);
    for (int i = 0; i < 50; i++) {
        cr_assert_not(kit_has(&kit, CORE_DO_DERIVE_CSK) || kit_has(&kit, CORE_DO_COMMIT_CSK));
        kit_deadline(&kit);
    }
    kit_free(&kit);
}

Test(csk, the_cache_comes_before_anybody_is_asked)
{
    struct kit kit;

    with_tunnels(&kit, 1, 3);
    kit_commit(&kit);
    kit_sync(&kit);
    cr_assert(kit_has(&kit, CORE_DO_LOAD_CSK));
    cr_assert_not(kit_has(&kit, CORE_DO_PULL_CSK));
    kit_step(&kit,
             &(struct core_event){.type = CORE_EVENT_CSK_LOADED, .csk = {.commitment = kit_commitment(0)}});
    cr_assert(kit_has(&kit, CORE_TELL_CSK));
    kit_free(&kit);
}

Test(csk, the_keyholder_is_asked_first_then_all_who_have_the_key)
{
    struct kit kit;

    to_pull(&kit, 5);
    cr_assert(pulls_from(&kit, 0));
    cr_assert_eq(kit_count(&kit, CORE_DO_PULL_CSK), 1);
    kit_heartbeat(&kit, 2, 1, 0x1f);
    kit_heartbeat(&kit, 3, 1, 0x1f);
    cr_assert_eq(kit_count(&kit, CORE_DO_PULL_CSK), 0, "the keyholder has not answered yet");
    kit_csk_failed(&kit, CORE_CSK_PULL, 0, "no connection within 1 s");
    cr_assert(pulls_from(&kit, 2) && pulls_from(&kit, 3));
    cr_assert_not(pulls_from(&kit, 4), "it has not said that it has the key");
    kit_pulled(&kit, 3);
    cr_assert(kit_has(&kit, CORE_TELL_CSK));
    kit_csk_failed(&kit, CORE_CSK_PULL, 2, "no answer within 2 s");
    cr_assert(kit_status(&kit).csk_acquired);
    cr_assert_str_eq(kit_status(&kit).csk_error, "");
    kit_free(&kit);
}

Test(csk, at_most_eight_pulls_at_a_time)
{
    struct kit kit;

    to_pull(&kit, 20);
    kit_csk_failed(&kit, CORE_CSK_PULL, 0, "what it gave is not the committed key");
    cr_assert(strstr(kit_status(&kit).csk_error, "member 0: what it gave"), "%s", kit_status(&kit).csk_error);
    size_t pulls = 0;
    for (uint32_t i = 2; i < 20; i++) {
        kit_heartbeat(&kit, i, 1, 0xfffff);
        pulls += kit_count(&kit, CORE_DO_PULL_CSK);
    }
    cr_assert_eq(pulls, CORE_PULLS_MAX);
    kit_csk_failed(&kit, CORE_CSK_PULL, 2, "no");
    cr_assert_eq(kit_count(&kit, CORE_DO_PULL_CSK), 1, "the next one takes its place");
    kit_free(&kit);
}

Test(csk, a_keyholder_that_can_not_derive_the_committed_key_pulls_it)
{
    struct kit kit;

    with_tunnels(&kit, 0, 2);
    kit_commit(&kit);
    kit_sync(&kit);
    kit_csk_failed(&kit, CORE_CSK_DERIVE, 0, "guest agent: no answer");
    kit_no_cache(&kit);
    until(&kit, CORE_DO_DERIVE_CSK);
    kit_step(&kit, &(struct core_event){.type = CORE_EVENT_CSK_DERIVED, .csk = {.commitment = {{1}}}});
    kit_heartbeat(&kit, 1, 1, 0x3);
    cr_assert(pulls_from(&kit, 1));
    kit_free(&kit);
}

Test(csk, a_removal_opens_a_generation_and_health_lasts_on_the_old_key)
{
    struct kit kit;

    to_pull(&kit, 3);
    kit_pulled(&kit, 0);
    kit_heartbeat(&kit, 0, 1, 0x7);
    kit_heartbeat(&kit, 2, 1, 0x7);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_HEALTHY);
    kit_remove(&kit, 0);
    kit_sync(&kit);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_HEALTHY);
    cr_assert(kit_status(&kit).csk_chain_open);
    cr_assert(kit_has(&kit, CORE_DO_DERIVE_CSK), "this node is the keyholder now");
    kit_derived(&kit);
    cr_assert(kit_has(&kit, CORE_DO_COMMIT_CSK));
    kit_commit(&kit);
    kit_event(&kit, CORE_EVENT_CSK_COMMITTED);
    kit_sync(&kit);
    cr_assert(kit_has(&kit, CORE_TELL_CSK));
    cr_assert_eq(kit_status(&kit).csk_generation, 1);
    kit_free(&kit);
}

Test(csk, a_new_key_that_can_not_be_had_makes_the_node_unhealthy_after_a_while)
{
    struct kit kit;

    to_pull(&kit, 3);
    kit_pulled(&kit, 0);
    kit_heartbeat(&kit, 0, 1, 0x7);
    kit_heartbeat(&kit, 2, 1, 0x7);
    kit_remove(&kit, 2);
    kit_sync(&kit);
    kit_commit(&kit);
    kit_sync(&kit);
    kit_no_cache(&kit);
    kit_csk_failed(&kit, CORE_CSK_PULL, 0, "it does not hold the key");
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_HEALTHY);
    kit_tick(&kit, 30000);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_PULLING_CSK);
    kit_free(&kit);
}

Test(csk, registration_and_commitment_never_go_out_together)
{
    struct kit kit;

    kit_join(&kit, 0, 1);
    kit_derived(&kit);
    cr_assert(kit_has(&kit, CORE_DO_COMMIT_CSK));
    kit.state.members = 0; /* a reorg takes the registration */
    kit_touch(&kit);
    kit_sync(&kit);
    for (int i = 0; i < 20 && !kit_has(&kit, CORE_DO_READ_SELF); i++)
        kit_deadline(&kit);
    kit_self_absent(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_REGISTER), "the commitment is still in flight");
    kit_csk_failed(&kit, CORE_CSK_COMMIT, 0, "NotKeyholder()");
    cr_assert(kit_has(&kit, CORE_DO_REGISTER));
    kit_free(&kit);
}
