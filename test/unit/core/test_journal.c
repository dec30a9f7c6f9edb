#include "test/unit/core/kit.h"

Test(journal, an_addition_reads_its_event_and_its_row)
{
    struct kit kit;
    struct core_record record = kit_record(3);

    kit_join(&kit, 0, 3);
    kit_add(&kit, &record);
    kit_poll(&kit);
    const struct core_action *read = kit_action(&kit, CORE_DO_READ_CHANGES);
    cr_assert(read->page.offset == 3 && read->page.limit == 1);
    cr_assert_eq(read->page.block, kit.state.block);
    cr_assert_eq(read->page.from, kit_status(&kit).block - 31, "the last 32 blocks may have changed");
    kit_changes(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 3));
    cr_assert_eq(kit_status(&kit).version, 4);
    cr_assert_eq(kit_member(&kit, 3).record.mesh_ip, record.mesh_ip);
    cr_assert_eq(kit_member(&kit, 3).record.registered_at, record.registered_at);
    kit_free(&kit);
}

Test(journal, changes_of_every_kind_cost_no_page)
{
    struct kit kit;
    struct core_record record = kit_record(120);
    const struct bytes32 key = {{0x77}};

    kit_join(&kit, 0, 120);
    kit_remove(&kit, 2);
    kit_publish_wg_key(&kit, 5, &key);
    kit_change(&kit, &(struct core_change){.type = CORE_CHANGE_ED25519_KEY,
                                           .key = {kit.rows[6].member_id, {{0x78}}}});
    kit_commit(&kit);
    kit_add(&kit, &record);
    kit_publish_wg_key(&kit, 120, &(struct bytes32){{0x79}});
    kit_poll(&kit);
    kit_changes(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_PAGE));
    cr_assert(kit_told(&kit, CORE_PEER_REMOVED, 2));
    cr_assert(kit_told(&kit, CORE_PEER_KEY_ROTATED, 5));
    cr_assert(kit_told(&kit, CORE_PEER_KEY_ROTATED, 6));
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 120));
    cr_assert(kit_member(&kit, 5).record.wg_pubkey.b[0] == 0x77);
    cr_assert_eq(kit_member(&kit, 120).record.wg_pubkey.b[0], 0x79);
    cr_assert_eq(kit_status(&kit).live_members, 120);
    cr_assert_eq(kit_status(&kit).version, kit.state.version);
    cr_assert_eq(kit_status(&kit).csk_chain_generation, 1);
    cr_assert_not(kit_status(&kit).csk_chain_open);
    kit_free(&kit);
}

Test(journal, changes_that_the_head_does_not_prove_read_all)
{
    struct kit kit;
    struct core_record record = kit_record(3);

    kit_join(&kit, 0, 3);
    kit_touch(&kit); /* its event is left out */
    kit_add(&kit, &record);
    kit_poll(&kit);
    kit_changes(&kit);
    cr_assert_not(kit_told(&kit, CORE_PEER_JOINED, 3));
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 0);
    kit_page(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 3));
    kit_free(&kit);
}

Test(journal, a_state_whose_counters_contradict_its_changes_reads_all)
{
    struct kit kit;

    kit_join(&kit, 0, 3);
    kit_remove(&kit, 2);
    kit.state.removed = 0;
    kit_poll(&kit);
    kit_changes(&kit);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 0);
    kit_free(&kit);
}

Test(journal, a_row_of_another_member_than_the_registered_one_reads_all)
{
    struct kit kit;
    struct core_record record = kit_record(3);

    kit_join(&kit, 0, 3);
    kit_add(&kit, &record);
    kit_poll(&kit);
    kit.rows[3].member_id.b[9] ^= 1;
    kit_changes(&kit);
    cr_assert_eq(kit_status(&kit).members, 3);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 0);
    kit_free(&kit);
}

Test(journal, changes_that_cannot_be_read_read_all)
{
    struct kit kit;

    kit_join(&kit, 0, 3);
    kit_remove(&kit, 2);
    kit_poll(&kit);
    kit_read_failed(&kit, CORE_READ_CHANGES);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 0);
    kit_page(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_REMOVED, 2));
    kit_free(&kit);
}

Test(journal, after_a_long_absence_all_is_read)
{
    struct kit kit;

    kit_join(&kit, 0, 3);
    kit_remove(&kit, 2);
    kit.block += 10000;
    kit_poll(&kit);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 0);
    kit_page(&kit);
    for (int i = 0; i < CORE_NEWS_MAX + 1; i++)
        kit_publish_wg_key(&kit, 1, &(struct bytes32){{0x77, (uint8_t)i, (uint8_t)(i >> 8)}});
    kit_poll(&kit);
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 0, "more changes than one answer has");
    kit_free(&kit);
}

/* What the registry was before some of its changes. */
struct mark {
    struct core_chain_state state;
    size_t news_len;
};

static struct mark mark_of(const struct kit *kit)
{
    return (struct mark){kit->state, kit->news_len};
}

static void reorganise(struct kit *kit, struct mark mark)
{
    kit->state = mark.state;
    kit->news_len = mark.news_len;
}

Test(journal, a_reorg_that_takes_changes_back_undoes_them)
{
    struct kit kit;
    struct core_record record = kit_record(4);
    const struct bytes32 key = kit_record(3).wg_pubkey;

    kit_join(&kit, 0, 4);
    const struct mark mark = mark_of(&kit);
    kit_add(&kit, &record);
    kit_remove(&kit, 2);
    kit_publish_wg_key(&kit, 3, &(struct bytes32){{0x77}});
    kit_sync(&kit);
    cr_assert_eq(kit_status(&kit).live_members, 4);

    reorganise(&kit, mark);
    kit.rows[2].removed = false;
    kit.rows[3].wg_pubkey = key;
    kit_poll(&kit);
    kit_changes(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_REMOVED, 4));
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 2));
    cr_assert(kit_told(&kit, CORE_PEER_KEY_ROTATED, 3));
    cr_assert(kit_has_index(&kit, CORE_DO_SET_STREAM_PEER, 2));
    cr_assert_not(kit_has_index(&kit, CORE_DO_REMOVE_STREAM_PEER, 3), "who stays is left alone");
    kit_changes(&kit);
    cr_assert_not(kit_has(&kit, CORE_DO_READ_PAGE));
    cr_assert_eq(kit_status(&kit).version, 4);
    cr_assert_eq(kit_status(&kit).live_members, 4);
    cr_assert_eq(kit_member(&kit, 3).record.wg_pubkey.b[0], key.b[0]);
    cr_assert(kit_status(&kit).rollbacks == 1 && kit_status(&kit).whole_reads == 1);
    kit_free(&kit);
}

Test(journal, a_reorg_that_exchanges_members_replaces_rows)
{
    struct kit kit;
    struct core_record two = kit_record(2), three = kit_record(3);

    kit_join(&kit, 0, 2);
    const struct mark mark = mark_of(&kit);
    kit_add(&kit, &two);
    kit_add(&kit, &three);
    kit_sync(&kit);
    reorganise(&kit, mark);
    kit_add(&kit, &three);
    kit_add(&kit, &two);
    kit_poll(&kit);
    kit_changes(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_REMOVED, 2));
    cr_assert(kit_told(&kit, CORE_PEER_REMOVED, 3));
    cr_assert(kit_has_index(&kit, CORE_DO_REMOVE_STREAM_PEER, 2));
    cr_assert_eq(kit_status(&kit).version, 2, "back to where both have the same");
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_CHANGES)->page.offset, 2);
    kit_changes(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 2));
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 3));
    cr_assert_eq(kit_status(&kit).peers, 3);
    cr_assert_eq(kit_member(&kit, 2).record.mesh_ip, three.mesh_ip);
    cr_assert_eq(kit_status(&kit).version, 4);
    kit_free(&kit);
}

Test(journal, a_reorg_of_more_than_is_remembered_reads_all)
{
    struct kit kit;

    kit_join(&kit, 0, 4);
    kit.rows[2] = kit_record(3);
    kit.rows[3] = kit_record(2);
    kit.state.head.b[0] ^= 1;
    kit.news_len = 0;
    kit_poll(&kit);
    kit_changes(&kit);
    kit_page(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_REMOVED, 2));
    cr_assert(kit_told(&kit, CORE_PEER_REMOVED, 3));
    cr_assert_eq(kit_action(&kit, CORE_DO_READ_PAGE)->page.offset, 2);
    kit_page(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 2));
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 3));
    cr_assert_eq(kit_member(&kit, 2).record.mesh_ip, kit_record(3).mesh_ip);
    kit_free(&kit);
}

Test(journal, pages_after_a_reorg_remove_rows_and_take_removals_back)
{
    struct kit kit;

    kit_join(&kit, 0, 4);
    kit_remove(&kit, 1);
    kit_sync(&kit);
    kit.rows[1].removed = false;
    kit.state.members = 3;
    kit.state.removed = 0;
    kit.state.version = 3;
    kit.state.head.b[0] ^= 1;
    kit.news_len = 0;
    kit_poll(&kit);
    kit_read_all(&kit);
    cr_assert(kit_told(&kit, CORE_PEER_REMOVED, 3));
    cr_assert(kit_told(&kit, CORE_PEER_JOINED, 1));
    cr_assert_not(kit_told(&kit, CORE_PEER_REMOVED, 2), "who stays is left alone");
    cr_assert_eq(kit_status(&kit).members, 3);
    cr_assert_eq(kit_status(&kit).live_members, 3);
    kit_free(&kit);
}
