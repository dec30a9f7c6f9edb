#include <criterion/criterion.h>
#include <json-c/json.h>

#include "evm/log_filter.h"

#define WORD(last) "\"0x000000000000000000000000000000000000000000000000000000000000000" last "\""

static const struct address cluster = {{0xc1}};
static const struct bytes32 one = {{[31] = 1}}, two = {{[31] = 2}};
static const struct bytes32 kinds[] = {{{[31] = 1}}, {{[31] = 2}}};

static void expect(const struct log_filter *filter, const struct log_place *place, const char *text)
{
    json_object *params = log_filter_params(filter, place);
    cr_assert_str_eq(json_object_to_json_string_ext(params, JSON_C_TO_STRING_PLAIN), text);
    json_object_put(params);
}

Test(log_filter, blocks_by_number_or_by_hash)
{
    const struct log_filter filter = {.addresses = &cluster, .addresses_len = 1};
    expect(&filter, &(struct log_place){.from = 7, .to = 16},
           "[{\"fromBlock\":\"0x7\",\"toBlock\":\"0x10\","
           "\"address\":[\"0xc100000000000000000000000000000000000000\"]}]");
    expect(&filter, &(struct log_place){.hash = &one},
           "[{\"blockHash\":" WORD("1") ",\"address\":[\"0xc100000000000000000000000000000000000000\"]}]");
}

Test(log_filter, topics_by_position)
{
    struct log_filter filter = {.addresses = &cluster, .addresses_len = 1};
    filter.topics[0].any = kinds;
    filter.topics[0].len = 2;
    filter.topics[2].any = &two;
    filter.topics[2].len = 1;
    expect(&filter, &(struct log_place){.from = 0, .to = 0},
           "[{\"fromBlock\":\"0x0\",\"toBlock\":\"0x0\","
           "\"address\":[\"0xc100000000000000000000000000000000000000\"],"
           "\"topics\":[[" WORD("1") "," WORD("2") "],null,[" WORD("2") "]]}]");
}

Test(log_filter, accepts_what_it_asks_for)
{
    struct log_filter filter = {.addresses = &cluster, .addresses_len = 1};
    filter.topics[0].any = kinds;
    filter.topics[0].len = 2;
    filter.topics[2].any = &two;
    filter.topics[2].len = 1;
    const struct eth_log good = {.address = cluster, .topics = {one, {{9}}, two}, .topics_len = 3};
    cr_assert(log_filter_accepts(&filter, &good));

    struct eth_log other = good;
    other.address.b[0]++;
    cr_assert_not(log_filter_accepts(&filter, &other), "another's");
    other = good;
    other.topics[0].b[0]++;
    cr_assert_not(log_filter_accepts(&filter, &other), "another kind");
    other = good;
    other.topics[2] = one;
    cr_assert_not(log_filter_accepts(&filter, &other), "for another");
    other = good;
    other.topics_len = 2;
    cr_assert_not(log_filter_accepts(&filter, &other), "a topic is missing");
}
