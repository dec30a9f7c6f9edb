#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evm/chain.h"
#include "test/unit/evm/evm_vectors.h"
#include "test/unit/evm/fake_rpc.h"
#include "test/unit/vectors.h"

struct fixture {
    struct event_base *base;
    struct http_client *http;
    struct fake_rpc fake;
    struct address address;
    struct bytes32 block;
    char params[320];
    unsigned results;
    struct chain_result result;
    struct cluster_member members[4];
    char error[AM_ERR_TEXT_MAX];
    char answer[8192];
};

static void observe(void *user, const char *method, json_object *params)
{
    struct fixture *f = user;
    (void)method;
    snprintf(f->params, sizeof(f->params), "%s",
             json_object_to_json_string_ext(params, JSON_C_TO_STRING_PLAIN));
}

static void on_done(void *user, const struct chain_result *result)
{
    struct fixture *f = user;
    f->results++;
    f->result = *result;
    snprintf(f->error, sizeof(f->error), "%s", result->error ? result->error : "");
    event_base_loopbreak(f->base);
}

static void on_page(void *user, const struct chain_result *result)
{
    struct fixture *f = user;
    cr_assert_eq(result->code, 0);
    cr_assert_leq(result->page.count, 4);
    memcpy(f->members, result->page.members, result->page.count * sizeof(*f->members));
    on_done(user, result);
}

static void setup(struct fixture *f, const char *method, const char *fragment)
{
    *f = (struct fixture){.fake = {.methods = {{.name = method, .answers = {fragment}}}}};
    f->base = event_base_new();
    f->http = http_client_new(f->base);
    f->block = (struct bytes32){{0x12, 0x34}};
    f->fake.observe = observe;
    f->fake.user = f;
    f->address = vector_address(vectors_section("registration"), "cluster");
    fake_rpc_start(&f->fake, f->base, f->http);
}

/* An eth_call that returns a result of the vectors. */
static void setup_result(struct fixture *f, const char *name)
{
    const struct evm_bytes result = evm_vector("results", name);
    setup(f, "eth_call", NULL);
    const int start = snprintf(f->answer, sizeof(f->answer), "\"result\":\"0x");
    cr_assert_lt((size_t)start + 2 * result.len + 2, sizeof(f->answer));
    hex_encode(result.data, result.len, f->answer + start);
    strcat(f->answer, "\"");
    f->fake.methods[0].answers[0] = f->answer;
    free(result.data);
}

static void teardown(struct fixture *f)
{
    fake_rpc_stop(&f->fake);
    http_client_free(f->http);
    event_base_free(f->base);
}

static void await(struct fixture *f, const struct chain_read *read)
{
    cr_assert(read);
    cr_assert_eq(f->results, 0);
    event_base_dispatch(f->base);
    cr_assert_eq(f->results, 1);
}

static uint64_t noted_block(const struct fixture *f)
{
    struct rpc_endpoint endpoints[RPC_URLS_MAX];
    rpc_endpoints(f->fake.rpc, endpoints);
    return endpoints[0].block;
}

Test(chain, block)
{
    struct fixture f;
    setup(&f, "eth_getBlockByNumber",
          "\"result\":{\"number\":\"0x10\",\"timestamp\":\"0x6000\",\"baseFeePerGas\":\"0x7\",\"hash\":"
          "\"0x0000000000000000000000000000000000000000000000000000000000000009\"}");
    await(&f, chain_read_block(f.fake.rpc, on_done, &f));
    cr_assert_eq(f.result.code, 0);
    cr_assert_eq(f.result.block.number, 16);
    cr_assert_eq(f.result.block.timestamp, 0x6000);
    cr_assert_eq(f.result.block.hash.b[31], 9);
    cr_assert_eq(f.result.block.base_fee.b[31], 7);
    cr_assert_str_eq(f.params, "[\"latest\",false]");
    cr_assert_eq(noted_block(&f), 16);
    teardown(&f);
}

Test(chain, an_older_block_says_nothing_of_how_far_its_endpoint_is)
{
    struct fixture f;
    setup(&f, "eth_getBlockByNumber",
          "\"result\":{\"number\":\"0x10\",\"timestamp\":\"0x6000\",\"baseFeePerGas\":\"0x7\",\"hash\":"
          "\"0x0000000000000000000000000000000000000000000000000000000000000009\"}");
    await(&f, chain_read_block_at(f.fake.rpc, 16, on_done, &f));
    cr_assert_eq(f.result.block.number, 16);
    cr_assert_str_eq(f.params, "[\"0x10\",false]");
    cr_assert_eq(noted_block(&f), 0);
    teardown(&f);
}

Test(chain, a_block_with_a_missing_or_malformed_field_is_refused)
{
    const char *const answers[] = {
        "\"result\":null",
        "\"result\":{\"number\":\"0x10\",\"timestamp\":\"0x6000\"}",
        "\"result\":{\"number\":16,\"timestamp\":\"0x6000\",\"hash\":"
        "\"0x0000000000000000000000000000000000000000000000000000000000000009\"}",
        "\"result\":{\"number\":\"0x10\",\"timestamp\":\"0x6000\",\"baseFeePerGas\":\"seven\",\"hash\":"
        "\"0x0000000000000000000000000000000000000000000000000000000000000009\"}",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct fixture f;
        setup(&f, "eth_getBlockByNumber", answers[i]);
        await(&f, chain_read_block(f.fake.rpc, on_done, &f));
        cr_assert_eq(f.result.code, AM_EFORMAT, "case %zu", i);
        teardown(&f);
    }
}

Test(chain, cluster_of_a_member)
{
    struct fixture f;
    setup_result(&f, "cluster");
    await(&f, chain_read_cluster(f.fake.rpc, &f.address, on_done, &f));
    cr_assert_eq(f.result.code, 0);
    cr_assert(address_equal(&f.result.address, &f.address));
    cr_assert_str_eq(
        f.params,
        "[{\"to\":\"0xa46273adc86c772c7d8dae896a5fbfdda2b6ccfa\",\"data\":\"0xdbd01de1\"},\"latest\"]");
    teardown(&f);
}

Test(chain, member_gets_its_id)
{
    struct fixture f;
    json_object *member = json_object_array_get_idx(vectors_section("members"), 0);
    const struct address contract = vector_address(member, "memberContract");
    const struct bytes32 id = vector_bytes32(member, "memberId");
    setup_result(&f, "memberOf");
    await(&f, chain_read_member(f.fake.rpc, &f.address, &contract, &f.block, on_done, &f));
    cr_assert_eq(f.result.code, 0);
    cr_assert(bytes32_equal(&f.result.member.member_id, &id));
    cr_assert(strstr(f.params,
                     ",{\"blockHash\":\"0x12340000000000000000000000000000000000000000000000000000000"
                     "00000\"}]"),
              "%s", f.params);
    teardown(&f);
}

Test(chain, state_and_page)
{
    struct fixture f;
    const struct bytes32 id = {0};
    setup_result(&f, "nodeState");
    await(&f, chain_read_state(f.fake.rpc, &f.address, &id, NULL, on_done, &f));
    cr_assert_eq(f.result.code, 0);
    cr_assert_eq(f.result.state.version, 7);
    cr_assert(strstr(f.params, ",\"latest\"]"), "%s", f.params);
    teardown(&f);
    setup_result(&f, "membersPage");
    await(&f, chain_read_page(f.fake.rpc, &f.address, 0, 3, NULL, on_page, &f));
    cr_assert_eq(f.result.page.count, 3);
    cr_assert_eq(f.result.page.total, 103);
    cr_assert_eq(f.members[2].mesh_ip, 0x0a0d0003);
    cr_assert(f.members[1].removed);
    teardown(&f);
}

Test(chain, a_page_longer_than_asked_for_is_refused)
{
    struct fixture f;
    setup_result(&f, "membersPage");
    await(&f, chain_read_page(f.fake.rpc, &f.address, 0, 2, NULL, on_done, &f));
    cr_assert_eq(f.result.code, AM_EFORMAT);
    teardown(&f);
}

Test(chain, page_limits_are_checked)
{
    struct fixture f;
    setup(&f, "eth_call", "\"result\":null");
    cr_assert_null(chain_read_page(f.fake.rpc, &f.address, 0, 0, NULL, on_done, &f));
    cr_assert_null(chain_read_page(f.fake.rpc, &f.address, 0, CHAIN_PAGE_MAX + 1, NULL, on_done, &f));
    teardown(&f);
}

Test(chain, failures_are_told_apart)
{
    const struct {
        const char *answer;
        int code;
        const char *text;
    } cases[] = {
        {"\"result\":\"0x\"", AM_EMISMATCH, "no such contract at 0xa46273adc86c772c7d8dae896a5fbfdda2b6ccfa"},
        {"\"result\":\"0x12\"", AM_EFORMAT, "the result (1 bytes)"},
        {"\"result\":\"0x1\"", AM_EFORMAT, "eth_call"},
        {"\"result\":7", AM_EFORMAT, "eth_call"},
        {"\"error\":{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x6ce1250a\"}", AM_EREVERT,
         "UnknownMember"},
        {"\"error\":{\"code\":3,\"message\":\"execution reverted\"}", AM_EREVERT, "execution reverted"},
        {"\"error\":{\"code\":-32000,\"message\":\"header not found\"}", AM_EREMOTE, "header not found"},
        {FAKE_HTTP_ERROR, -EIO, "HTTP status 502"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        setup(&f, "eth_call", cases[i].answer);
        await(&f, chain_read_cluster(f.fake.rpc, &f.address, on_done, &f));
        cr_assert_eq(f.result.code, cases[i].code, "case %zu: %s", i, f.error);
        cr_assert(strstr(f.error, cases[i].text), "case %zu: %s", i, f.error);
        teardown(&f);
    }
}

Test(chain, a_cancelled_read_calls_nobody)
{
    const struct timeval moment = {0, 50000};
    struct fixture f;
    setup(&f, "eth_maxPriorityFeePerGas", "\"result\":\"0x1\"");
    chain_read_cancel(chain_read_tip(f.fake.rpc, on_done, &f));
    chain_read_cancel(NULL);
    event_base_loopexit(f.base, &moment);
    event_base_dispatch(f.base);
    cr_assert_eq(f.results, 0);
    teardown(&f);
}
