#include <criterion/criterion.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/onchain_state.h"
#include "test/unit/core/kit.h"
#include "test/unit/evm/evm_vectors.h"
#include "test/unit/evm/fake_rpc.h"

#define BLOCK(number, hash)                                                                                  \
    "\"result\":{\"number\":\"" number "\",\"timestamp\":\"0x60\",\"hash\":\"0x" hash "\"}"
#define FIRST_HASH "aa00000000000000000000000000000000000000000000000000000000000000"
#define SECOND_HASH "bb00000000000000000000000000000000000000000000000000000000000000"
#define GONE "\"error\":{\"code\":-32000,\"message\":\"unknown block\"}"

struct fixture {
    struct event_base *base;
    struct http_client *http;
    struct fake_rpc node;
    struct config config;
    struct onchain *onchain;
    char state[1024], page[4096], logs[8192];
    char params[320]; /* of the last eth_call */
    unsigned answers;
    enum core_event_type type;
    struct core_chain_state chain;
    struct core_change changes[CORE_NEWS_MAX];
    size_t changes_len, records_len;
    char error[AM_ERR_TEXT_MAX];
};

static void observe(void *user, const char *method, json_object *params)
{
    struct fixture *f = user;
    if (strcmp(method, "eth_call") == 0)
        snprintf(
            f->params, sizeof(f->params), "%s",
            json_object_to_json_string_ext(json_object_array_get_idx(params, 1), JSON_C_TO_STRING_PLAIN));
}

static void on_answer(void *user, const struct core_event *event)
{
    struct fixture *f = user;
    f->answers++;
    f->type = event->type;
    if (event->type == CORE_EVENT_CHAIN_STATE)
        f->chain = event->chain;
    if (event->type == CORE_EVENT_CHANGES) {
        f->changes_len = event->changes.items_len;
        f->records_len = event->changes.records_len;
        memcpy(f->changes, event->changes.items, f->changes_len * sizeof(*f->changes));
    }
    if (event->type == CORE_EVENT_READ_FAILED)
        snprintf(f->error, sizeof(f->error), "%s", event->read_failure.text);
    event_base_loopbreak(f->base);
}

static void print_result(const char *name, char *out, size_t size)
{
    const struct evm_bytes result = evm_vector("results", name);
    const int start = snprintf(out, size, "\"result\":\"0x");
    cr_assert_lt((size_t)start + 2 * result.len + 2, size);
    hex_encode(result.data, result.len, out + start);
    strcat(out, "\"");
    free(result.data);
}

/* A log of the vectors as eth_getLogs gives it. */
static void print_log(const char *name, unsigned index, char *out, size_t size)
{
    const struct evm_log log = evm_vector_log(name);
    char hex[BYTES32_HEX_SIZE], data[2 * 256 + 1];
    size_t len = strlen(out);
    cr_assert_leq(log.data.len, 256);
    hex_encode(log.data.data, log.data.len, data);
    len += (size_t)snprintf(out + len, size - len,
                            "%s{\"address\":\"0x0000000000000000000000000000000000000000\",\"blockNumber\":"
                            "\"0x5\",\"blockHash\":\"0x%064x\",\"transactionHash\":\"0x%064x\","
                            "\"logIndex\":\"0x%x\",\"data\":\"0x%s\",\"topics\":[",
                            index ? "," : "", 5, 6, index, data);
    for (size_t i = 0; i < log.topics_len; i++)
        len += (size_t)snprintf(out + len, size - len, "%s\"%s\"", i ? "," : "",
                                bytes32_hex(&log.topics[i], hex));
    snprintf(out + len, size - len, "]}");
    free(log.data.data);
}

static void setup(struct fixture *f)
{
    struct am_err err;
    *f = (struct fixture){.base = event_base_new()};
    f->http = http_client_new(f->base);
    print_result("nodeState", f->state, sizeof(f->state));
    print_result("membersPage", f->page, sizeof(f->page));
    f->node = (struct fake_rpc){
        .methods = {{.name = "eth_chainId", .answers = {"\"result\":\"0x1\""}},
                    {.name = "eth_call", .answers = {f->state}},
                    {.name = "eth_getBlockByNumber",
                     .answers = {BLOCK("0x10", FIRST_HASH), BLOCK("0x11", SECOND_HASH)}},
                    {.name = "eth_getLogs", .answers = {"\"result\":[]"}}},
        .observe = observe,
        .user = f,
    };
    fake_rpc_start(&f->node, f->base, f->http);
    f->config = (struct config){.chain_id = 1,
                                .rpc_urls = {1, {fake_server_url(f->node.server)}},
                                .bundler_urls = {1, {"http://127.0.0.1:1"}},
                                .dstack_endpoint = "/nowhere"};
    f->onchain = onchain_new(f->base, &f->config, on_answer, f, &err);
    cr_assert(f->onchain);
}

static void teardown(struct fixture *f)
{
    onchain_free(f->onchain);
    fake_rpc_stop(&f->node);
    http_client_free(f->http);
    event_base_free(f->base);
}

static void await(struct fixture *f, enum core_event_type type)
{
    f->answers = 0;
    event_base_dispatch(f->base);
    cr_assert_eq(f->answers, 1);
    cr_assert_eq(f->type, type, "%d: %s", f->type, f->error);
}

static void read_state(struct fixture *f)
{
    onchain_read_state(f->onchain, false);
    await(f, CORE_EVENT_CHAIN_STATE);
}

static unsigned calls(struct fixture *f, const char *method)
{
    return fake_rpc_method(&f->node, method)->calls;
}

Test(onchain_registry, a_new_state_is_pinned_to_a_block_by_its_hash_and_an_old_one_costs_one_call)
{
    struct fixture f;
    setup(&f);
    read_state(&f);
    cr_assert(f.chain.block == 16 && f.chain.block_hash.b[0] == 0xaa && f.chain.version == 7);
    cr_assert_str_eq(f.params, "{\"blockHash\":\"0x" FIRST_HASH "\"}");
    cr_assert(calls(&f, "eth_call") == 2 && calls(&f, "eth_getBlockByNumber") == 1);
    read_state(&f);
    cr_assert_eq(f.chain.block, 16);
    cr_assert(calls(&f, "eth_call") == 3 && calls(&f, "eth_getBlockByNumber") == 1);
    onchain_read_state(f.onchain, true);
    await(&f, CORE_EVENT_CHAIN_STATE);
    cr_assert(calls(&f, "eth_call") == 5 && calls(&f, "eth_getBlockByNumber") == 2,
              "anew, it is pinned again");
    teardown(&f);
}

static unsigned all_calls(const struct fixture *f)
{
    unsigned sum = 0;
    for (size_t i = 0; i < FAKE_RPC_METHODS_MAX; i++)
        sum += f->node.methods[i].calls;
    return sum;
}

/* One deadline of the core, what it asks for answered; its time is also the age of the state that was read.
 */
static void live_on(struct fixture *f, struct kit *kit)
{
    const uint64_t since_ms = kit->now_ms;
    kit_deadline(kit);
    f->onchain->state_ms -= kit->now_ms - since_ms;
    const bool reading = kit_has(kit, CORE_DO_READ_STATE);
    cr_assert_not(kit_has(kit, CORE_DO_READ_SELF) || kit_has(kit, CORE_DO_READ_INBOX) ||
                  kit_has(kit, CORE_DO_READ_SENT));
    if (kit_has(kit, CORE_DO_OBSERVE_DEVICE))
        kit_observed(kit, CORE_NEVER);
    if (kit_has(kit, CORE_DO_APPLY_DEVICE))
        kit_applied(kit);
    if (!reading)
        return;
    read_state(f);
    kit_state(kit);
    cr_assert_not(kit_has(kit, CORE_DO_READ_CHANGES) || kit_has(kit, CORE_DO_READ_PAGE));
}

Test(onchain_registry, a_quiet_node_with_an_indexer_makes_at_most_forty_calls_an_hour)
{
    static const uint64_t hour_ms = 3600 * 1000;
    static struct kit kit;
    struct fixture f;
    setup(&f);
    kit_join(&kit, 0, 1);
    kit_applied(&kit);
    kit_observed(&kit, CORE_NEVER);
    kit_step(&kit, &(struct core_event){.type = CORE_EVENT_INDEXER, .indexer = {.caught_up = true}});
    read_state(&f);
    kit_state(&kit);
    for (int hour = 0; hour < 3; hour++) {
        const uint64_t until_ms = kit.now_ms + hour_ms;
        const unsigned before = all_calls(&f);
        while (core_deadline(kit.core) <= until_ms)
            live_on(&f, &kit);
        const unsigned made = all_calls(&f) - before;
        cr_assert(made >= 30 && made <= 40, "%u", made);
    }
    kit_free(&kit);
    teardown(&f);
}

Test(onchain_registry, a_block_that_is_gone_is_not_asked_for_again)
{
    struct fixture f;
    const struct core_action action = {.type = CORE_DO_READ_PAGE, .page = {.limit = 3}};
    setup(&f);
    read_state(&f);
    fake_rpc_answer(&f.node, "eth_call", GONE);
    onchain_read_page(f.onchain, &action);
    await(&f, CORE_EVENT_READ_FAILED);
    cr_assert(strstr(f.error, "unknown block"), "%s", f.error);
    fake_rpc_answer(&f.node, "eth_call", f.state);
    read_state(&f);
    cr_assert(f.chain.block == 17 && f.chain.block_hash.b[0] == 0xbb);
    teardown(&f);
}

Test(onchain_registry, events_become_changes_in_the_order_of_the_chain)
{
    static const struct {
        const char *name;
        enum core_change_type type;
    } kinds[] = {
        {"MemberRegistered", CORE_CHANGE_REGISTERED},     {"WgKeyPublished", CORE_CHANGE_WG_KEY},
        {"Ed25519KeyPublished", CORE_CHANGE_ED25519_KEY}, {"CskCommitmentSet", CORE_CHANGE_CSK_COMMITTED},
        {"CskRotationStarted", CORE_CHANGE_CSK_ROTATED},  {"MemberRemoved", CORE_CHANGE_REMOVED},
    };
    const size_t len = sizeof(kinds) / sizeof(kinds[0]);
    const struct core_action action = {.type = CORE_DO_READ_CHANGES, .page = {.block = 9, .limit = 3}};
    struct fixture f;
    setup(&f);
    strcpy(f.logs, "\"result\":[");
    for (unsigned i = 0; i < len; i++)
        print_log(kinds[i].name, i, f.logs, sizeof(f.logs));
    strcat(f.logs, "]");
    fake_rpc_answer(&f.node, "eth_getLogs", f.logs);
    fake_rpc_answer(&f.node, "eth_call", f.page);
    onchain_read_changes(f.onchain, &action);
    await(&f, CORE_EVENT_CHANGES);
    cr_assert(f.changes_len == len && f.records_len == 3);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(f.changes[i].type, kinds[i].type, "%zu", i);
    cr_assert_eq(f.changes[0].registered.member_contract.b[0], 0x11);
    cr_assert_eq(f.changes[1].key.pubkey.b[31], 0x02);
    cr_assert(f.changes[3].csk.generation == 3 && f.changes[3].csk.commitment.b[31] == 0x88);
    teardown(&f);
}

Test(onchain_registry, changes_fail_when_either_half_does)
{
    const struct core_action action = {.type = CORE_DO_READ_CHANGES, .page = {.block = 9, .limit = 3}};
    struct fixture f;
    setup(&f);
    fake_rpc_answer(&f.node, "eth_call", GONE);
    onchain_read_changes(f.onchain, &action);
    await(&f, CORE_EVENT_READ_FAILED);
    fake_rpc_answer(&f.node, "eth_call", f.page);
    fake_rpc_answer(&f.node, "eth_getLogs", "\"result\":null");
    onchain_read_changes(f.onchain, &action);
    await(&f, CORE_EVENT_READ_FAILED);
    cr_assert(strstr(f.error, "eth_getLogs"), "%s", f.error);
    teardown(&f);
}
