#include <criterion/criterion.h>
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "evm/eth_log.h"

#define HASH "\"0x1111111111111111111111111111111111111111111111111111111111111111\""
#define LOG(data, more)                                                                                      \
    "{\"address\":\"0xc100000000000000000000000000000000000000\",\"blockNumber\":\"0x7\","                   \
    "\"blockHash\":" HASH ",\"transactionHash\":" HASH ",\"logIndex\":\"0x2\",\"topics\":[" HASH "],"        \
    "\"data\":\"" data "\"" more "}"

static int parse(const char *text, struct eth_logs *out, struct am_err *err)
{
    json_object *value = json_tokener_parse(text);
    cr_assert(value, "%s", text);
    const int code = eth_logs_parse(value, 2, out, err);
    json_object_put(value);
    return code;
}

Test(eth_log, logs_are_read)
{
    struct eth_logs logs;
    struct am_err err = {0};
    cr_assert_eq(parse("[" LOG("0x0102", "") "," LOG("0x", ",\"removed\":false") "]", &logs, &err), 0, "%s",
                 err.text);
    cr_assert_eq(logs.len, 2);
    cr_assert(logs.items[0].block == 7 && logs.items[0].index == 2 && logs.items[0].topics_len == 1);
    cr_assert(logs.items[0].data_len == 2 && logs.items[0].data[1] == 2 && logs.items[1].data_len == 0);
    eth_logs_free(&logs);
    cr_assert_eq(parse("[]", &logs, &err), 0);
    cr_assert_eq(logs.len, 0);
    eth_logs_free(&logs);
}

Test(eth_log, what_is_no_log_is_refused)
{
    struct eth_logs logs;
    struct am_err err;
    cr_assert_eq(parse("{}", &logs, &err), AM_EFORMAT);
    cr_assert_eq(parse("[7]", &logs, &err), AM_EFORMAT);
    cr_assert_eq(parse("[" LOG("0x1", "") "]", &logs, &err), AM_EFORMAT);
    cr_assert_eq(parse("[" LOG("0x", ",\"removed\":true") "]", &logs, &err), AM_EFORMAT);
    cr_assert_eq(parse("[1,2,3]", &logs, &err), -EMSGSIZE);
}

Test(eth_log, bloom_filters_hold_their_addresses)
{
    const struct address address = {{0xc1}};
    uint8_t bloom[ETH_BLOOM_SIZE];
    memset(bloom, 0, sizeof(bloom));
    cr_assert_not(eth_bloom_may_contain(bloom, &address));
    memset(bloom, 0xff, sizeof(bloom));
    cr_assert(eth_bloom_may_contain(bloom, &address));
}
