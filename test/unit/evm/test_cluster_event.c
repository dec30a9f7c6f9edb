#include <criterion/criterion.h>
#include <stdlib.h>

#include "evm/cluster_event.h"
#include "test/unit/evm/evm_vectors.h"
#include "test/unit/vectors.h"

static struct cluster_event parse(const struct evm_log *log)
{
    struct cluster_event event;
    struct am_err err = {0};
    cr_assert_eq(
        cluster_event_parse(log->topics, log->topics_len, log->data.data, log->data.len, &event, &err), 0,
        "%s", err.text);
    return event;
}

static struct bytes32 member_id(unsigned i)
{
    return vector_bytes32(json_object_array_get_idx(vectors_section("members"), i), "memberId");
}

Test(cluster_event, registered)
{
    const struct evm_log log = evm_vector_log("MemberRegistered");
    const struct cluster_event event = parse(&log);
    const struct bytes32 id = member_id(0);
    cr_assert_eq(event.type, CLUSTER_EVENT_MEMBER_REGISTERED);
    cr_assert(bytes32_equal(&event.registered.member_id, &id));
    cr_assert_eq(event.registered.member_contract.b[0], 0x11);
    cr_assert_eq(be16_read(event.registered.keys.x.b + 30), 0x1001);
    cr_assert_eq(be16_read(event.registered.keys.ed25519.b + 30), 0x1003);
    free(log.data.data);
}

Test(cluster_event, small_ones)
{
    const struct bytes32 first = member_id(0), second = member_id(1);
    struct evm_log log = evm_vector_log("MemberRemoved");
    struct cluster_event event = parse(&log);
    cr_assert(event.type == CLUSTER_EVENT_MEMBER_REMOVED && bytes32_equal(&event.removed, &second));
    free(log.data.data);
    log = evm_vector_log("WgKeyPublished");
    event = parse(&log);
    cr_assert(event.type == CLUSTER_EVENT_WG_KEY_PUBLISHED &&
              bytes32_equal(&event.key_published.member_id, &first));
    cr_assert_eq(be16_read(event.key_published.key.b + 30), 0x2002);
    free(log.data.data);
    log = evm_vector_log("Ed25519KeyPublished");
    event = parse(&log);
    cr_assert(event.type == CLUSTER_EVENT_ED25519_KEY_PUBLISHED);
    cr_assert_eq(be16_read(event.key_published.key.b + 30), 0x2003);
    free(log.data.data);
    log = evm_vector_log("CskCommitmentSet");
    event = parse(&log);
    cr_assert(event.type == CLUSTER_EVENT_CSK_COMMITMENT_SET && event.csk.generation == 3);
    cr_assert_eq(event.csk.commitment.b[31], 0x88);
    free(log.data.data);
    log = evm_vector_log("CskRotationStarted");
    event = parse(&log);
    cr_assert(event.type == CLUSTER_EVENT_CSK_ROTATION_STARTED && event.csk.generation == 4);
    free(log.data.data);
}

Test(cluster_event, message)
{
    const struct evm_log log = evm_vector_log("MessageSent");
    const struct cluster_event event = parse(&log);
    const struct bytes32 sender = member_id(0), recipient = member_id(1);
    cr_assert_eq(event.type, CLUSTER_EVENT_MESSAGE_SENT);
    cr_assert(bytes32_equal(&event.message.sender, &sender));
    cr_assert(bytes32_equal(&event.message.recipient, &recipient));
    cr_assert_eq(event.message.ciphertext_len, 2);
    cr_assert_arr_eq(event.message.ciphertext, ((uint8_t[]){0xc1, 0x01}), 2);
    free(log.data.data);
}

Test(cluster_event, another_event_is_none_of_ours)
{
    const struct bytes32 topic = {{1}};
    struct cluster_event event;
    cr_assert_eq(cluster_event_parse(&topic, 1, NULL, 0, &event, NULL), 0);
    cr_assert_eq(event.type, CLUSTER_EVENT_OTHER);
    cr_assert_eq(cluster_event_parse(NULL, 0, NULL, 0, &event, NULL), 0);
    cr_assert_eq(event.type, CLUSTER_EVENT_OTHER);
}

Test(cluster_event, missing_topics_and_short_data_are_refused)
{
    const struct evm_log log = evm_vector_log("MemberRegistered");
    struct cluster_event event;
    struct am_err err;
    cr_assert_eq(cluster_event_parse(log.topics, 3, log.data.data, log.data.len, &event, &err), AM_EFORMAT);
    cr_assert_str_eq(err.text, "MemberRegistered log with 3 topics");
    for (size_t len = 0; len < log.data.len; len++) {
        cr_assert_eq(cluster_event_parse(log.topics, 4, log.data.data, len, &event, &err), AM_EFORMAT);
        cr_assert_eq(event.type, CLUSTER_EVENT_OTHER);
    }
    free(log.data.data);
}
