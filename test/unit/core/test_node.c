#include "crypto/am_error.h"
#include "test/unit/core/kit.h"

static const struct core_action *exit_of(const struct kit *kit)
{
    for (size_t i = 0; i < kit->actions_len; i++)
        if (kit->actions[i].type == CORE_TELL_EXIT)
            return &kit->actions[i];
    cr_assert_fail("the core does not exit");
    return NULL;
}

static void to_self_read(struct kit *kit)
{
    kit_init(kit, 0);
    kit_identity_ready(kit);
    cr_assert(kit_has(kit, CORE_DO_READ_SELF));
}

Test(node, asks_for_its_identity_once_at_start)
{
    struct kit kit;

    kit_init(&kit, 0);
    cr_assert(kit_has(&kit, CORE_DO_READ_IDENTITY));
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_BOOTING);
    cr_assert_eq(core_deadline(kit.core), CORE_NEVER);
    kit_event(&kit, CORE_EVENT_STARTED);
    cr_assert_eq(kit.actions_len, 0);
    kit_free(&kit);
}

Test(node, repeats_a_failed_identity_after_a_while_and_says_why)
{
    struct kit kit;

    kit_init(&kit, 0);
    kit_failed(&kit, CORE_EVENT_IDENTITY_FAILED, "guest agent: /var/run/dstack.sock: no such file", true);
    cr_assert_eq(kit.actions_len, 0);
    cr_assert_str_eq(kit_status(&kit).reason, "guest agent: /var/run/dstack.sock: no such file");
    cr_assert_gt(core_deadline(kit.core), kit.now_ms);
    kit_deadline(&kit);
    cr_assert(kit_has(&kit, CORE_DO_READ_IDENTITY));
    kit_identity_ready(&kit);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_REGISTERING);
    cr_assert_str_eq(kit_status(&kit).reason, "looking for our record in the registry");
    kit_free(&kit);
}

Test(node, exits_when_repeating_can_not_help)
{
    struct kit kit;

    kit_init(&kit, 0);
    kit_failed(&kit, CORE_EVENT_IDENTITY_FAILED, "CHAIN_ID is 1, the RPC serves 31337", false);
    cr_assert_str_eq(exit_of(&kit)->exit.text, "CHAIN_ID is 1, the RPC serves 31337");
    cr_assert_eq(core_deadline(kit.core), CORE_NEVER);
    kit_identity_ready(&kit);
    cr_assert_eq(kit.actions_len, 0, "it takes no more events");
    kit_free(&kit);
}

Test(node, registers_when_absent_and_reads_its_record_after_the_receipt)
{
    struct kit kit;

    to_self_read(&kit);
    kit_self_absent(&kit);
    cr_assert(kit_has(&kit, CORE_DO_REGISTER));
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_REGISTERING);
    kit_event(&kit, CORE_EVENT_REGISTER_DONE);
    cr_assert(kit_has(&kit, CORE_DO_READ_SELF));
    struct core_record record = kit_record(0);
    kit_self_present(&kit, &record, 0);
    cr_assert(kit_has(&kit, CORE_DO_READ_STATE));
    cr_assert(kit_status(&kit).registered);
    kit_free(&kit);
}

Test(node, does_not_register_again_while_the_rpc_lags_behind_the_receipt)
{
    struct kit kit;

    to_self_read(&kit);
    kit_self_absent(&kit);
    kit_event(&kit, CORE_EVENT_REGISTER_DONE);
    for (int i = 0; i < 3; i++) {
        kit_self_absent(&kit);
        cr_assert_not(kit_has(&kit, CORE_DO_REGISTER));
        kit_deadline(&kit);
        cr_assert(kit_has(&kit, CORE_DO_READ_SELF));
    }
    kit.now_ms += 120000;
    kit_self_absent(&kit);
    cr_assert(kit_has(&kit, CORE_DO_REGISTER), "a reorg must have dropped it");
    kit_free(&kit);
}

Test(node, a_registered_node_writes_nothing)
{
    struct kit kit;
    struct core_record record = kit_record(0);

    to_self_read(&kit);
    kit_self_present(&kit, &record, 0);
    cr_assert_not(kit_has(&kit, CORE_DO_REGISTER));
    cr_assert_eq(kit_status(&kit).mesh_ip, record.mesh_ip);
    kit_free(&kit);
}

Test(node, looks_for_its_record_before_it_registers_again)
{
    struct kit kit;

    to_self_read(&kit);
    kit_self_absent(&kit);
    kit_failed(&kit, CORE_EVENT_REGISTER_FAILED, "InvalidSigChain: the KMS root is not allowlisted", true);
    cr_assert_eq(kit.actions_len, 0);
    cr_assert_str_eq(kit_status(&kit).reason, "InvalidSigChain: the KMS root is not allowlisted");
    kit_deadline(&kit);
    cr_assert(kit_has(&kit, CORE_DO_READ_SELF));
    kit_self_absent(&kit);
    cr_assert(kit_has(&kit, CORE_DO_REGISTER));
    cr_assert_str_eq(kit_status(&kit).reason, "InvalidSigChain: the KMS root is not allowlisted",
                     "the cause stays visible while the next try runs");
    kit_free(&kit);
}

Test(node, registration_retries_slow_down_but_never_stop)
{
    struct kit kit;
    uint64_t waited = 0;

    to_self_read(&kit);
    for (int i = 0; i < 20; i++) {
        kit_self_absent(&kit);
        kit_failed(&kit, CORE_EVENT_REGISTER_FAILED, "denied", true);
        waited = core_deadline(kit.core) - kit.now_ms;
        cr_assert_geq(waited, 1000);
        cr_assert_leq(waited, 30000);
        kit_deadline(&kit);
        cr_assert(kit_has(&kit, CORE_DO_READ_SELF));
    }
    cr_assert_geq(waited, 15000);
    kit_free(&kit);
}

Test(node, adopts_another_wireguard_generation_of_its_own)
{
    struct kit kit;
    struct core_record record = kit_record(0);

    to_self_read(&kit);
    record.wg_pubkey.b[31] = 9;
    kit_self_present(&kit, &record, 3);
    cr_assert(kit_status(&kit).registered);
    cr_assert_eq(kit_status(&kit).wg_generation, 3);
    kit_free(&kit);
}

static void assert_foreign(const struct core_record *record, uint32_t wg_generation, const char *key)
{
    struct kit kit;

    to_self_read(&kit);
    kit_self_present(&kit, record, wg_generation);
    cr_assert_eq(exit_of(&kit)->exit.code, AM_EMISMATCH);
    cr_assert(strstr(exit_of(&kit)->exit.text, key), "%s", exit_of(&kit)->exit.text);
    kit_free(&kit);
}

Test(node, foreign_keys_in_its_record_end_it)
{
    struct core_record record = kit_record(0);

    assert_foreign(&record, CORE_WG_FOREIGN, "WireGuard key");
    record.ed25519_pubkey.b[0] ^= 1;
    assert_foreign(&record, 0, "Ed25519 key");
    record.x_pubkey.b[0] ^= 1;
    assert_foreign(&record, 0, "X25519 key");
    record.member_id.b[0] ^= 1;
    assert_foreign(&record, 0, "member id");
}

Test(node, a_removed_member_does_not_start)
{
    struct kit kit;
    struct core_record record = kit_record(0);

    to_self_read(&kit);
    record.removed = true;
    kit_self_present(&kit, &record, 0);
    cr_assert(strstr(exit_of(&kit)->exit.text, "removed"));
    kit_free(&kit);
}

Test(node, removal_while_running_ends_it)
{
    struct kit kit;

    kit_join(&kit, 0, 3);
    kit_remove(&kit, 0);
    kit_sync(&kit);
    cr_assert(strstr(exit_of(&kit)->exit.text, "removed"));
    kit_free(&kit);
}

Test(node, looks_again_when_the_registry_does_not_list_it)
{
    struct kit kit;
    struct core_record record = kit_record(0);

    to_self_read(&kit);
    kit_self_present(&kit, &record, 0);
    kit_state(&kit);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_WAITING_PEERS);
    cr_assert_str_eq(kit_status(&kit).reason, "the registry does not list this node yet");
    for (int i = 0; i < 10 && !kit_has(&kit, CORE_DO_READ_SELF); i++)
        kit_deadline(&kit);
    kit_self_absent(&kit);
    cr_assert(kit_has(&kit, CORE_DO_REGISTER));
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_REGISTERING);
    kit_free(&kit);
}

Test(node, alone_it_waits_for_peers_with_its_device_in_place)
{
    struct kit kit;

    kit_join(&kit, 0, 1);
    cr_assert(kit_has(&kit, CORE_DO_APPLY_DEVICE));
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_WAITING_PEERS);
    cr_assert_str_eq(kit_status(&kit).reason, "committing to generation 0 of the cluster shared key");
    cr_assert(kit_status(&kit).device_in_place);
    kit_free(&kit);
}

Test(node, alone_it_is_healthy_once_its_key_is_committed)
{
    struct kit kit;

    kit_join(&kit, 0, 1);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    kit_derived(&kit);
    cr_assert(kit_has(&kit, CORE_DO_COMMIT_CSK));
    kit_commit(&kit);
    kit_event(&kit, CORE_EVENT_CSK_COMMITTED);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_WAITING_PEERS);
    kit_sync(&kit);
    cr_assert(kit_has(&kit, CORE_TELL_CSK));
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_HEALTHY);
    cr_assert_str_eq(kit_status(&kit).reason, "");
    kit_free(&kit);
}

Test(node, goes_from_tunnels_to_the_key_to_convergence_and_health_latches)
{
    struct kit kit;

    kit_join(&kit, 1, 2);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_WG_CONFIGURING);
    kit_stream(&kit, CORE_EVENT_STREAM_UP, 0, true);
    kit_tick(&kit, 1000);
    kit_observed(&kit, 1);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_PULLING_CSK);
    cr_assert(strstr(kit_status(&kit).reason, "member 0, the keyholder"), "%s", kit_status(&kit).reason);
    kit_commit(&kit);
    kit_sync(&kit);
    kit_no_cache(&kit);
    cr_assert(kit_has(&kit, CORE_DO_PULL_CSK));
    kit_pulled(&kit, 0);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_HEARTBEATING);
    kit_heartbeat(&kit, 0, 1, 0x3);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_HEALTHY);
    cr_assert(kit_has(&kit, CORE_TELL_PHASE));
    struct core_record third = kit_record(2);
    kit_add(&kit, &third);
    kit_sync(&kit);
    cr_assert_eq(kit_status(&kit).phase, CORE_PHASE_HEALTHY, "the first convergence latches");
    kit_free(&kit);
}
