#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "indexer/store.h"

static const struct store_identity identity = {.chain_id = 1, .key = {{1}}, .sources = {{2}}};
static const struct address cluster = {{0xc1}}, other_cluster = {{0xc2}};
static const struct bytes32 alice = {{0xa1}}, bob = {{0xb0}};

static struct store *open_at(const char *path, const struct store_identity *as, bool *fresh)
{
    struct store *store;
    struct am_err err = {0};
    cr_assert_eq(store_open(path, as, &store, fresh, &err), 0, "%s", err.text);
    return store;
}

static struct store *open_new(void)
{
    bool fresh;
    return open_at(":memory:", &identity, &fresh);
}

static struct bytes32 hash_of(uint64_t block)
{
    struct bytes32 hash = {{0xbb}};
    be64_write(hash.b + 24, block);
    return hash;
}

static struct store_log log_at(uint64_t block, uint32_t index, indexer_EventKind kind,
                               const struct bytes32 *subject)
{
    return (struct store_log){.cluster = cluster,
                              .at = {block, index, hash_of(block)},
                              .kind = kind,
                              .subject = *subject,
                              .key = {{7}},
                              .frame = (const uint8_t *)"frame",
                              .frame_len = 5};
}

static void append(struct store *store, uint64_t block, const struct store_log *logs, size_t len)
{
    const struct store_tip tip = {block, hash_of(block)};
    struct am_err err = {0};
    cr_assert_eq(store_append(store, &tip, NULL, 0, logs, len, &err), 0, "%s", err.text);
}

struct found {
    struct wire_cursor at[16];
    size_t len, max;
};

static bool take(void *user, const struct store_log *log)
{
    struct found *found = user;
    cr_assert_eq(log->frame_len, 5);
    found->at[found->len++] = log->at;
    return found->len < found->max;
}

static struct found read_logs(struct store *store, const struct bytes32 *member, uint64_t block,
                              uint32_t index, size_t max)
{
    struct found found = {.max = max};
    const struct wire_cursor after = {.block = block, .log_index = index};
    struct am_err err = {0};
    cr_assert_eq(store_each_log(store, &cluster, member, &after, take, &found, &err), 0, "%s", err.text);
    return found;
}

Test(store, memberships_come_in_order_and_the_latest_logs_first)
{
    struct store *store = open_new();
    const struct bytes32 nobody = {{0}};
    const struct store_log logs[] = {
        log_at(1, 0, indexer_EventKind_EVENT_MEMBER_REGISTERED, &bob),
        log_at(1, 1, indexer_EventKind_EVENT_DEVICE_ADDED, &nobody),
        log_at(1, 2, indexer_EventKind_EVENT_MEMBER_REGISTERED, &alice),
    };
    const struct store_log removal = log_at(2, 0, indexer_EventKind_EVENT_MEMBER_REMOVED, &bob);
    struct found members = {.max = 16}, recent = {.max = 2};
    struct am_err err = {0};
    append(store, 1, logs, 3);
    append(store, 2, &removal, 1);
    cr_assert_eq(store_each_membership(store, &cluster, take, &members, &err), 0, "%s", err.text);
    cr_assert_eq(members.len, 3);
    cr_assert(members.at[0].log_index == 0 && members.at[1].log_index == 2 && members.at[2].block == 2);
    cr_assert_eq(store_each_recent_log(store, &cluster, take, &recent, &err), 0, "%s", err.text);
    cr_assert_eq(recent.len, 2);
    cr_assert(recent.at[0].block == 2 && recent.at[1].block == 1 && recent.at[1].log_index == 2);
    store_close(store);
}

Test(store, logs_come_in_order_behind_the_cursor)
{
    struct store *store = open_new();
    const struct store_log logs[] = {
        log_at(5, 1, indexer_EventKind_EVENT_MEMBER_REGISTERED, &alice),
        log_at(5, 9, indexer_EventKind_EVENT_MESSAGE_SENT, &alice),
        log_at(6, 0, indexer_EventKind_EVENT_MESSAGE_SENT, &bob),
        log_at(7, 3, indexer_EventKind_EVENT_COMPOSE_HASH_ADDED, &(struct bytes32){{0}}),
    };
    append(store, 8, logs, 4);
    struct found found = read_logs(store, &alice, 0, 0, 16);
    cr_assert_eq(found.len, 3, "a message to bob is not alice's");
    cr_assert(found.at[0].block == 5 && found.at[1].log_index == 9 && found.at[2].block == 7);
    cr_assert_eq(read_logs(store, &bob, 5, 1, 16).len, 2);
    cr_assert_eq(read_logs(store, &alice, 5, 9, 16).len, 1);
    cr_assert_eq(read_logs(store, &alice, 0, 0, 2).len, 2);
    cr_assert_eq(store_log_count(store), 4);
    store_close(store);
}

static void remember_block(void *user, const struct address *at, const struct wire_cursor *block)
{
    struct found *found = user;
    cr_assert(address_equal(at, &cluster));
    found->at[found->len++] = *block;
}

Test(store, a_retraction_undoes_the_last_append)
{
    struct store *store = open_new();
    struct found lost = {0};
    struct store_tip tip;
    bool has_tip;
    struct am_err err;
    append(store, 5, (struct store_log[]){log_at(5, 1, indexer_EventKind_EVENT_MEMBER_REGISTERED, &alice)},
           1);
    append(store, 6, (struct store_log[]){log_at(6, 0, indexer_EventKind_EVENT_MEMBER_REMOVED, &alice)}, 1);
    cr_assert_eq(store_retract(store, remember_block, &lost, &tip, &has_tip, &err), 0);
    cr_assert(has_tip && tip.number == 5);
    cr_assert(lost.len == 1 && lost.at[0].block == 6);
    cr_assert_eq(read_logs(store, &alice, 0, 0, 16).len, 1);
    cr_assert_eq(store_retract(store, remember_block, &lost, &tip, &has_tip, &err), 0);
    cr_assert_not(has_tip);
    cr_assert_eq(store_log_count(store), 0);
    store_close(store);
}

Test(store, membership_follows_the_logs)
{
    struct store *store = open_new();
    struct store_member member;
    struct am_err err;
    append(store, 5, (struct store_log[]){log_at(5, 1, indexer_EventKind_EVENT_MEMBER_REGISTERED, &alice)},
           1);
    cr_assert_eq(store_read_member(store, &cluster, &alice, &member, &err), 0);
    cr_assert(member.registered && !member.removed && member.registered_block == 5 && member.key.b[0] == 7);
    struct store_log rotated = log_at(6, 0, indexer_EventKind_EVENT_ED25519_KEY_PUBLISHED, &alice);
    rotated.key.b[0] = 8;
    append(store, 6, &rotated, 1);
    append(store, 7, (struct store_log[]){log_at(7, 0, indexer_EventKind_EVENT_MEMBER_REMOVED, &alice)}, 1);
    cr_assert_eq(store_read_member(store, &cluster, &alice, &member, &err), 0);
    cr_assert(member.registered && member.removed && member.key.b[0] == 8);
    cr_assert_eq(store_read_member(store, &other_cluster, &alice, &member, &err), 0);
    cr_assert_not(member.registered, "another cluster's member");
    store_close(store);
}

Test(store, knows_recent_blocks_by_hash_and_believes_old_ones)
{
    struct store *store = open_new();
    for (uint64_t block = 1; block <= STORE_BLOCKS_MAX + 10; block++)
        append(store, block, NULL, 0);
    struct wire_cursor cursor = {.block = STORE_BLOCKS_MAX, .block_hash = hash_of(STORE_BLOCKS_MAX)};
    cr_assert(store_knows(store, &cluster, &cursor));
    cursor.block_hash.b[0] ^= 1;
    cr_assert_not(store_knows(store, &cluster, &cursor));
    cursor.block = 3;
    cr_assert(store_knows(store, &cluster, &cursor));
    store_close(store);
}

Test(store, another_chain_key_or_source_starts_empty)
{
    char path[] = "/tmp/attestmesh-store-XXXXXX";
    bool fresh;
    close(mkstemp(path));
    struct store *store = open_at(path, &identity, &fresh);
    cr_assert(fresh);
    append(store, 5, (struct store_log[]){log_at(5, 1, indexer_EventKind_EVENT_MEMBER_REGISTERED, &alice)},
           1);
    store_close(store);
    store = open_at(path, &identity, &fresh);
    cr_assert(!fresh && store_log_count(store) == 1);
    store_close(store);
    struct store_identity other = identity;
    other.chain_id = 2;
    store = open_at(path, &other, &fresh);
    cr_assert(fresh && store_log_count(store) == 0);
    store_close(store);
    unlink(path);
    char wal[64];
    snprintf(wal, sizeof(wal), "%s-wal", path);
    unlink(wal);
    snprintf(wal, sizeof(wal), "%s-shm", path);
    unlink(wal);
}
