#include "test/unit/indexer/flaky_chain.h"

#include <errno.h>
#include <string.h>

#include "contracts_abi.h"
#include "crypto/keccak.h"

#define LAG_MAX 8 /* blocks */

uint64_t flaky_chain_random(struct flaky_chain *chain, uint64_t below)
{
    chain->rng = chain->rng * 6364136223846793005u + 1442695040888963407u;
    return (chain->rng >> 33) % below;
}

static bool happens(struct flaky_chain *chain, unsigned of_256)
{
    return flaky_chain_random(chain, 256) < of_256;
}

static void mark_bloom(uint8_t *bloom, const struct address *address)
{
    const struct bytes32 hash = keccak256(address->b, sizeof(address->b));
    for (size_t i = 0; i < 6; i += 2) {
        const unsigned bit = be16_read(hash.b + i) % 2048;
        bloom[255 - bit / 8] |= (uint8_t)(1 << bit % 8);
    }
}

static struct eth_log *add_log(struct flaky_block *block, const struct address *address)
{
    struct eth_log *log = &block->logs[block->logs_len];
    *log = (struct eth_log){
        .address = *address,
        .block = block->header.number,
        .block_hash = block->header.hash,
        .index = (uint32_t)block->logs_len++,
        .topics = {{{1}}},
        .topics_len = 1,
        .data = (const uint8_t *)"data",
        .data_len = 4,
    };
    mark_bloom(block->header.bloom, address);
    return log;
}

/* A cluster speaks before its factory announces it, in the same transaction. */
static void deploy(struct flaky_chain *chain, struct flaky_block *block)
{
    static const struct bytes32 topic = ABI_CLUSTER_DEPLOYED_TOPIC;
    struct address *cluster = &chain->clusters[chain->clusters_len++];
    *cluster = (struct address){{0xc1, (uint8_t)chain->clusters_len}};
    add_log(block, cluster);
    struct eth_log *log = add_log(block, &chain->factory);
    log->topics[0] = topic;
    memcpy(log->topics[1].b + 12, cluster->b, sizeof(cluster->b));
    log->topics_len = 3;
}

static void add_block(struct flaky_chain *chain)
{
    static const struct address stranger = {{0x55}};
    struct flaky_block *block = &chain->blocks[chain->len];
    const uint64_t name[2] = {chain->len, chain->salt};
    *block = (struct flaky_block){.header = {.number = chain->len, .timestamp = 1000 + chain->len}};
    block->header.hash = keccak256(name, sizeof(name));
    if (chain->len > 0)
        block->header.parent = chain->blocks[chain->len - 1].header.hash;
    chain->len++;
    if (chain->clusters_len < 64 && happens(chain, 12))
        deploy(chain, block);
    while (block->logs_len < FLAKY_LOGS_MAX && happens(chain, 90)) {
        const bool ours = chain->clusters_len > 0 && happens(chain, 128);
        add_log(block, ours ? &chain->clusters[flaky_chain_random(chain, chain->clusters_len)] : &stranger);
    }
}

void flaky_chain_init(struct flaky_chain *chain, uint64_t seed)
{
    *chain = (struct flaky_chain){.rng = seed, .factory = {{0xfa}}, .answer_max = SIZE_MAX};
    add_block(chain);
}

void flaky_chain_grow(struct flaky_chain *chain, size_t blocks)
{
    while (blocks-- > 0 && chain->len < FLAKY_BLOCKS_MAX)
        add_block(chain);
}

static bool is_deployed(const struct flaky_chain *chain, const struct address *cluster)
{
    for (size_t i = 0; i < chain->len; i++) {
        for (size_t k = 0; k < chain->blocks[i].logs_len; k++) {
            if (address_equal(&chain->blocks[i].logs[k].address, cluster))
                return true;
        }
    }
    return false;
}

void flaky_chain_reorganise(struct flaky_chain *chain, size_t depth)
{
    if (depth >= chain->len)
        return;
    chain->salt++;
    chain->len -= depth;
    while (chain->clusters_len > 0 && !is_deployed(chain, &chain->clusters[chain->clusters_len - 1]))
        chain->clusters_len--;
    flaky_chain_grow(chain, depth + 1);
}

static void answer_header(struct flaky_chain *chain, struct watcher *watcher, uint64_t now_ms,
                          uint64_t number, size_t known)
{
    const uint64_t wanted = number == WATCHER_LATEST ? known - 1 : number;
    watcher_header(watcher, now_ms, wanted < known ? &chain->blocks[wanted].header : NULL,
                   known < chain->len);
}

static bool is_asked(const struct watcher_ask *ask, const struct eth_log *log)
{
    for (size_t i = 0; i < ask->addresses_len; i++) {
        if (address_equal(&ask->addresses[i], &log->address))
            return true;
    }
    return false;
}

static bool is_in(const struct watcher_ask *ask, const struct flaky_block *block)
{
    return ask->by_hash ? bytes32_equal(&block->header.hash, &ask->hash)
                        : block->header.number >= ask->from && block->header.number <= ask->to;
}

static void answer_logs(struct flaky_chain *chain, struct watcher *watcher, uint64_t now_ms,
                        const struct watcher_ask *ask, size_t known)
{
    static struct eth_log found[FLAKY_BLOCKS_MAX * FLAKY_LOGS_MAX];
    struct eth_logs logs = {.items = found};
    bool block_known = !ask->by_hash;
    for (size_t i = 0; i < known; i++) {
        const struct flaky_block *block = &chain->blocks[i];
        if (!is_in(ask, block))
            continue;
        block_known = true;
        for (size_t k = 0; k < block->logs_len; k++) {
            if (is_asked(ask, &block->logs[k]))
                found[logs.len++] = block->logs[k];
        }
    }
    if (!block_known) {
        watcher_failed(watcher, now_ms, AM_EREMOTE);
        return;
    }
    if (logs.len > chain->answer_max) {
        chain->truncations++;
        watcher_failed(watcher, now_ms,
                       AM_EFORMAT + (int)flaky_chain_random(chain, 2) * (-EMSGSIZE - AM_EFORMAT));
        return;
    }
    if (ask->by_hash && logs.len > 0 && chain->emptied < 2 && happens(chain, chain->empty)) {
        chain->empties++;
        chain->emptied++;
        logs.len = 0;
    } else {
        chain->emptied = 0;
    }
    watcher_logs(watcher, now_ms, &logs, known < chain->len);
}

void flaky_chain_answer(struct flaky_chain *chain, struct watcher *watcher, uint64_t now_ms,
                        const struct watcher_ask *ask)
{
    size_t known = chain->len;
    if (happens(chain, chain->drop)) {
        chain->drops++;
        watcher_failed(watcher, now_ms, -ETIMEDOUT);
        return;
    }
    if (known > LAG_MAX + chain->late && happens(chain, chain->lag)) {
        chain->lags++;
        known -= chain->late ? chain->late : 1 + flaky_chain_random(chain, LAG_MAX);
    }
    if (ask->type == WATCHER_READ_HEADER)
        answer_header(chain, watcher, now_ms, ask->number, known);
    else
        answer_logs(chain, watcher, now_ms, ask, known);
}
