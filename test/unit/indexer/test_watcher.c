#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/indexer/flaky_chain.h"

/* What the watcher told, as a list of appends. */
struct seen {
    struct eth_log logs[FLAKY_BLOCKS_MAX * FLAKY_LOGS_MAX];
    size_t logs_len;
    struct store_tip tips[FLAKY_BLOCKS_MAX];
    size_t tips_len;
    struct address clusters[256];
    uint64_t cluster_blocks[256];
    size_t clusters_len;
    unsigned refuse; /* so many appends fail first */
};

static int append(void *user, const struct eth_header *tip, const struct store_cluster *clusters,
                  size_t clusters_len, const struct eth_log *logs, size_t logs_len)
{
    struct seen *seen = user;
    if (seen->refuse > 0) {
        seen->refuse--;
        return -EIO;
    }
    for (size_t i = 0; i < clusters_len; i++) {
        seen->clusters[seen->clusters_len] = clusters[i].address;
        seen->cluster_blocks[seen->clusters_len++] = clusters[i].block;
    }
    for (size_t i = 0; i < logs_len; i++) {
        seen->logs[seen->logs_len] = logs[i];
        seen->logs[seen->logs_len++].data = NULL;
    }
    seen->tips[seen->tips_len++] = (struct store_tip){tip->number, tip->hash};
    return 0;
}

static int retract(void *user, struct store_tip *tip)
{
    struct seen *seen = user;
    cr_assert_gt(seen->tips_len, 0);
    seen->tips_len--;
    *tip = seen->tips_len ? seen->tips[seen->tips_len - 1] : (struct store_tip){.number = UINT64_MAX};
    const uint64_t above = tip->number + 1;
    while (seen->logs_len > 0 && seen->logs[seen->logs_len - 1].block + 1 > above)
        seen->logs_len--;
    while (seen->clusters_len > 0 && seen->cluster_blocks[seen->clusters_len - 1] + 1 > above)
        seen->clusters_len--;
    return 0;
}

struct rig {
    struct flaky_chain chain;
    struct seen seen;
    struct watcher *watcher;
    uint64_t now_ms;
};

static struct rig *rig_new(uint64_t seed)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    flaky_chain_init(&rig->chain, seed);
    const struct watcher_config config = {.factories = &rig->chain.factory, .factories_len = 1};
    const struct watcher_sink sink = {.append = append, .retract = retract, .user = &rig->seen};
    rig->watcher = watcher_new(&config, &sink);
    rig->now_ms = 1;
    return rig;
}

static void rig_free(struct rig *rig)
{
    watcher_free(rig->watcher);
    free(rig);
}

/* Answers so many questions; waiting costs none. */
static void run(struct rig *rig, unsigned questions)
{
    while (questions > 0) {
        struct watcher_ask ask;
        watcher_next(rig->watcher, rig->now_ms, &ask);
        if (ask.type == WATCHER_WAIT) {
            cr_assert_gt(ask.until_ms, rig->now_ms);
            rig->now_ms = ask.until_ms;
            continue;
        }
        flaky_chain_answer(&rig->chain, rig->watcher, rig->now_ms, &ask);
        questions--;
    }
}

static void make_honest(struct flaky_chain *chain)
{
    chain->drop = chain->lag = chain->empty = 0;
    chain->answer_max = SIZE_MAX;
}

/* Everything that was told is what the chain holds, log by log. */
static void expect_equal(const struct rig *rig)
{
    size_t next = 0;
    const struct flaky_chain *chain = &rig->chain;
    for (size_t i = 0; i < chain->len; i++) {
        for (size_t k = 0; k < chain->blocks[i].logs_len; k++) {
            const struct eth_log *log = &chain->blocks[i].logs[k];
            if (log->address.b[0] != 0xc1)
                continue;
            cr_assert_lt(next, rig->seen.logs_len, "log %zu of block %zu is missing", k, i);
            const struct eth_log *got = &rig->seen.logs[next++];
            cr_assert(got->block == log->block && got->index == log->index &&
                          bytes32_equal(&got->block_hash, &log->block_hash),
                      "log %u of block %zu instead of %u of %zu", got->index, (size_t)got->block, log->index,
                      i);
        }
    }
    cr_assert_eq(next, rig->seen.logs_len);
    cr_assert_eq(rig->seen.clusters_len, chain->clusters_len);
    cr_assert_eq(rig->seen.tips[rig->seen.tips_len - 1].number, chain->len - 1);
}

Test(watcher, reads_a_quiet_chain_from_its_beginning)
{
    struct rig *rig = rig_new(1);
    flaky_chain_grow(&rig->chain, 3000);
    run(rig, 400);
    expect_equal(rig);
    struct watcher_status status;
    watcher_status(rig->watcher, &status);
    cr_assert(status.caught_up);
    cr_assert_gt(status.clusters, 10);
    rig_free(rig);
}

Test(watcher, reads_each_new_block_with_one_header_when_it_has_nothing_of_ours)
{
    struct rig *rig = rig_new(2);
    const struct address none = {{9}};
    rig->chain.factory = none;
    run(rig, 10);
    flaky_chain_grow(&rig->chain, 1);
    rig->chain.blocks[rig->chain.len - 1].logs_len = 0;
    memset(rig->chain.blocks[rig->chain.len - 1].header.bloom, 0, ETH_BLOOM_SIZE);
    run(rig, 1);
    cr_assert_eq(rig->seen.tips[rig->seen.tips_len - 1].number, rig->chain.len - 1);
    rig_free(rig);
}

Test(watcher, a_reorganisation_is_undone_from_its_fork)
{
    struct rig *rig = rig_new(3);
    flaky_chain_grow(&rig->chain, 200);
    run(rig, 300);
    expect_equal(rig);
    flaky_chain_reorganise(&rig->chain, 5);
    run(rig, 60);
    expect_equal(rig);
    struct watcher_status status;
    watcher_status(rig->watcher, &status);
    cr_assert_eq(status.retractions, 5);
    rig_free(rig);
}

Test(watcher, a_chain_that_became_shorter_is_believed_after_a_while)
{
    struct rig *rig = rig_new(4);
    flaky_chain_grow(&rig->chain, 20);
    run(rig, 100);
    const uint64_t before_ms = rig->now_ms;
    rig->chain.len -= 1;
    run(rig, 30);
    cr_assert_eq(rig->seen.tips[rig->seen.tips_len - 1].number, rig->chain.len, "too early");
    run(rig, 60);
    cr_assert_gt(rig->now_ms, before_ms + WATCHER_LAG_MS);
    cr_assert_eq(rig->seen.tips[rig->seen.tips_len - 1].number, rig->chain.len - 1);
    rig_free(rig);
}

Test(watcher, a_store_that_fails_loses_nothing)
{
    struct rig *rig = rig_new(5);
    flaky_chain_grow(&rig->chain, 500);
    rig->seen.refuse = 7;
    run(rig, 400);
    cr_assert_eq(rig->seen.refuse, 0);
    expect_equal(rig);
    rig_free(rig);
}

Test(watcher, a_restart_after_a_deep_reorganisation_finds_the_fork)
{
    struct rig *rig = rig_new(6);
    flaky_chain_grow(&rig->chain, 60);
    run(rig, 300);
    expect_equal(rig);
    watcher_free(rig->watcher);
    flaky_chain_reorganise(&rig->chain, 12);
    flaky_chain_grow(&rig->chain, 300);
    const struct watcher_config config = {.factories = &rig->chain.factory, .factories_len = 1};
    const struct watcher_sink sink = {.append = append, .retract = retract, .user = &rig->seen};
    rig->watcher = watcher_new(&config, &sink);
    for (size_t i = 0; i < rig->seen.clusters_len; i++)
        watcher_add_cluster(rig->watcher,
                            &(struct store_cluster){rig->seen.clusters[i], rig->seen.cluster_blocks[i]});
    watcher_resume(rig->watcher, &rig->seen.tips[rig->seen.tips_len - 1]);
    run(rig, 400);
    expect_equal(rig);
    rig_free(rig);
}

Test(watcher, foreign_and_misplaced_logs_are_refused)
{
    struct rig *rig = rig_new(7);
    struct watcher_ask ask;
    flaky_chain_grow(&rig->chain, 2000);
    do {
        run(rig, 1);
        watcher_next(rig->watcher, rig->now_ms, &ask);
    } while (ask.type != WATCHER_READ_LOGS);
    struct eth_log foreign = {.address = {{0x66}}, .block = ask.from, .topics_len = 1};
    watcher_logs(rig->watcher, rig->now_ms, &(struct eth_logs){.items = &foreign, .len = 1}, 0);
    struct watcher_status status;
    watcher_status(rig->watcher, &status);
    cr_assert_eq(status.failures, 1);
    run(rig, 400);
    expect_equal(rig);
    rig_free(rig);
}

Test(watcher, an_endpoint_far_behind_the_other_hides_nothing_of_a_range)
{
    struct rig *rig = rig_new(8);
    flaky_chain_grow(&rig->chain, 3000);
    rig->chain.lag = 100;
    rig->chain.late = 500;
    run(rig, 1000);
    cr_assert_gt(rig->chain.lags, 100);
    expect_equal(rig);
    rig_free(rig);
}

/* The proof: whatever the RPC does, nothing is skipped, doubled or left over. */
Test(watcher, a_flaky_rpc_never_makes_it_skip_a_log, .timeout = 60)
{
    unsigned drops = 0, lags = 0, empties = 0, truncations = 0;
    for (uint64_t seed = 100; seed < 160; seed++) {
        struct rig *rig = rig_new(seed);
        flaky_chain_grow(&rig->chain, 200 + flaky_chain_random(&rig->chain, 400));
        rig->chain.drop = 30;
        rig->chain.lag = 60;
        rig->chain.empty = 60;
        rig->chain.answer_max = 8;
        for (unsigned round = 0; round < 60; round++) {
            run(rig, 1 + (unsigned)flaky_chain_random(&rig->chain, 40));
            if (flaky_chain_random(&rig->chain, 4) == 0)
                flaky_chain_reorganise(&rig->chain, 1 + flaky_chain_random(&rig->chain, 10));
            flaky_chain_grow(&rig->chain, flaky_chain_random(&rig->chain, 4));
        }
        make_honest(&rig->chain);
        run(rig, 3000);
        expect_equal(rig);
        drops += rig->chain.drops;
        lags += rig->chain.lags;
        empties += rig->chain.empties;
        truncations += rig->chain.truncations;
        rig_free(rig);
    }
    cr_assert(drops > 100 && lags > 100 && empties > 10 && truncations > 10,
              "the RPC was too good: %u %u %u %u", drops, lags, empties, truncations);
}
