#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/frame.h"
#include "contracts_abi.h"
#include "indexer/wire/event_kind.h"
#include "indexer/wire/wire.h"
#include "test/unit/vectors.h"

static const uint8_t exporter[WIRE_EXPORTER_SIZE] = {1, 2, 3};

static struct secret *seed_new(uint8_t first)
{
    secret_init();
    struct secret *seed = secret_new();
    seed->b[0] = first;
    return seed;
}

static struct bytes32 key_of(const struct secret *seed)
{
    struct bytes32 key;
    sign_pubkey_of_seed(seed, &key);
    return key;
}

static struct eth_log sample_log(void)
{
    static const struct bytes32 topic = ABI_MESSAGE_SENT_TOPIC;
    return (struct eth_log){.address = {{0xc1}},
                            .block = 77,
                            .index = 3,
                            .block_hash = {{0xbb}},
                            .tx_hash = {{0xaa}},
                            .topics = {topic, {{1}}, {{2}}, {{3}}},
                            .topics_len = 4,
                            .data = (const uint8_t *)"ciphertext",
                            .data_len = 10};
}

static struct wire_server_frame parse(const uint8_t *bytes, size_t len)
{
    struct frame frame;
    struct wire_server_frame out;
    struct am_err err = {0};
    cr_assert_eq(frame_parse(bytes, len, WIRE_FRAME_MAX, &frame), 1);
    cr_assert_eq(frame.len, len);
    cr_assert_eq(wire_parse_server(frame.message, frame.message_len, &out, &err), 0, "%s", err.text);
    return out;
}

Test(wire, a_push_comes_back_whole)
{
    SECRET_AUTO seed = seed_new(1);
    const struct bytes32 key = key_of(seed);
    const struct eth_log log = sample_log();
    struct wire_event event;
    struct am_err err = {0};
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(wire_build_push(seed, &key, 31337, &log, &bytes, &len), 0);
    const struct wire_server_frame frame = parse(bytes, len);
    cr_assert_eq(frame.type, indexer_ServerFrame_push_tag);
    cr_assert_eq(wire_verify_push(&frame.push, &key, &event, &err), 0, "%s", err.text);
    cr_assert(event.chain_id == 31337 && event.log.block == 77 && event.log.index == 3);
    cr_assert_eq(event.kind, indexer_EventKind_EVENT_MESSAGE_SENT);
    cr_assert(event.log.data_len == 10 && memcmp(event.log.data, "ciphertext", 10) == 0);
    cr_assert_arr_eq(event.log.topics, log.topics, sizeof(log.topics));
    free(bytes);
}

Test(wire, a_push_changed_anywhere_is_refused)
{
    SECRET_AUTO seed = seed_new(1);
    const struct bytes32 key = key_of(seed);
    const struct eth_log log = sample_log();
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(wire_build_push(seed, &key, 31337, &log, &bytes, &len), 0);
    const struct wire_server_frame good = parse(bytes, len);
    for (size_t i = 0; i < good.push.body_len; i++) {
        struct wire_event event;
        struct am_err err;
        uint8_t *const body = bytes + (good.push.body - bytes);
        body[i] ^= 0x10;
        cr_assert_eq(wire_verify_push(&good.push, &key, &event, &err), AM_EAUTH);
        body[i] ^= 0x10;
    }
    free(bytes);
}

Test(wire, a_push_of_another_key_is_refused)
{
    SECRET_AUTO seed = seed_new(1);
    SECRET_AUTO other = seed_new(2);
    const struct bytes32 key = key_of(seed), other_key = key_of(other);
    const struct eth_log log = sample_log();
    struct wire_event event;
    struct am_err err;
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(wire_build_push(other, &key, 31337, &log, &bytes, &len), 0);
    const struct wire_server_frame frame = parse(bytes, len);
    cr_assert_eq(wire_verify_push(&frame.push, &key, &event, &err), AM_EAUTH);
    cr_assert_eq(wire_verify_push(&frame.push, &other_key, &event, &err), 0);
    free(bytes);
}

Test(wire, a_hello_is_bound_to_session_cluster_and_member)
{
    SECRET_AUTO seed = seed_new(3);
    const struct bytes32 key = key_of(seed);
    struct wire_hello hello = {.protocol = 1,
                               .chain_id = 5,
                               .cluster = {{0xc1}},
                               .member_id = {{0xa1}},
                               .has_cursor = true,
                               .cursor = {9, 2, {{4}}}};
    uint8_t bytes[WIRE_HELLO_MAX];
    struct frame frame;
    struct wire_client_frame got;
    struct am_err err;
    const size_t len = wire_build_hello(seed, &hello, exporter, bytes);
    cr_assert_eq(frame_parse(bytes, len, WIRE_HELLO_MAX, &frame), 1);
    cr_assert_eq(wire_parse_client(frame.message, frame.message_len, &got, &err), 0);
    cr_assert(got.is_hello && got.hello.has_cursor && got.hello.cursor.block == 9);
    cr_assert_eq(wire_verify_hello(&got.hello, &key, exporter, &err), 0);
    const uint8_t other_session[WIRE_EXPORTER_SIZE] = {1, 2, 4};
    cr_assert_eq(wire_verify_hello(&got.hello, &key, other_session, &err), AM_EAUTH);
    got.hello.cluster.b[5] ^= 1;
    cr_assert_eq(wire_verify_hello(&got.hello, &key, exporter, &err), AM_EAUTH);
}

Test(wire, small_frames_come_back)
{
    SECRET_AUTO seed = seed_new(1);
    const struct bytes32 key = key_of(seed);
    uint8_t bytes[WIRE_SMALL_MAX];
    struct am_err err;
    struct wire_retraction retraction;
    size_t len = wire_build_checkpoint(&(struct wire_checkpoint){7, {{8}}, 9}, bytes);
    struct wire_server_frame frame = parse(bytes, len);
    cr_assert(frame.checkpoint.block == 7 && frame.checkpoint.block_time == 9);
    len = wire_build_refusal(indexer_RefusalCode_REFUSAL_REMOVED, "you were removed", bytes);
    frame = parse(bytes, len);
    cr_assert_eq(frame.refusal.code, indexer_RefusalCode_REFUSAL_REMOVED);
    cr_assert_str_eq(frame.refusal.text, "you were removed");
    len = wire_build_retraction(seed, &(struct wire_retraction){5, {{0xc1}}, 77, {{0xbb}}}, bytes);
    frame = parse(bytes, len);
    cr_assert_eq(wire_verify_retraction(&frame.retraction, &key, &retraction, &err), 0);
    cr_assert(retraction.chain_id == 5 && retraction.block == 77);
    uint8_t *welcome;
    cr_assert_eq(wire_build_welcome((const uint8_t *)"quote", 5, &welcome, &len), 0);
    frame = parse(welcome, len);
    cr_assert(frame.welcome.quote_len == 5 && memcmp(frame.welcome.quote, "quote", 5) == 0);
    free(welcome);
}

Test(wire, every_cut_of_a_frame_waits_or_is_refused)
{
    SECRET_AUTO seed = seed_new(1);
    const struct bytes32 key = key_of(seed);
    const struct eth_log log = sample_log();
    struct frame frame;
    struct wire_server_frame out;
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(wire_build_push(seed, &key, 31337, &log, &bytes, &len), 0);
    for (size_t cut = 0; cut < len; cut++)
        cr_assert_eq(frame_parse(bytes, cut, WIRE_FRAME_MAX, &frame), 0);
    cr_assert_eq(frame_parse(bytes, len, WIRE_FRAME_MAX, &frame), 1);
    for (size_t cut = 0; cut < frame.message_len; cut++)
        cr_assert_eq(wire_parse_server(frame.message, cut, &out, NULL), AM_EFORMAT);
    free(bytes);
}

Test(wire, a_frame_beyond_the_limit_is_not_built)
{
    SECRET_AUTO seed = seed_new(1);
    const struct bytes32 key = key_of(seed);
    struct eth_log log = sample_log();
    uint8_t *bytes;
    size_t len;
    log.data_len = WIRE_FRAME_MAX;
    log.data = calloc(1, log.data_len);
    cr_assert_eq(wire_build_push(seed, &key, 31337, &log, &bytes, &len), -EMSGSIZE);
    free((void *)log.data);
}

Test(wire, kinds_have_names)
{
    const struct bytes32 topic = ABI_COMPOSE_HASH_ADDED_TOPIC;
    cr_assert_eq(event_kind_of_topic(&topic), indexer_EventKind_EVENT_COMPOSE_HASH_ADDED);
    cr_assert_str_eq(event_kind_name(indexer_EventKind_EVENT_COMPOSE_HASH_ADDED), "ComposeHashAdded");
    cr_assert_eq(event_kind_of_topic(&(struct bytes32){{1}}), indexer_EventKind_EVENT_OTHER);
}
