#include "evm/cluster_event.h"

#include <string.h>

#include "contracts_abi.h"

/* Readers of an event's indexed arguments (behind topic 0) and of its data. */
typedef void (*event_take_fn)(struct abi_reader *indexed, struct abi_reader *data, struct cluster_event *out);

static void take_registered(struct abi_reader *indexed, struct abi_reader *data, struct cluster_event *out)
{
    out->registered.member_id = abi_take_bytes32(indexed);
    out->registered.member_contract = abi_take_address(indexed);
    out->registered.attestor_id = abi_take_bytes32(indexed);
    out->registered.keys.x = abi_take_bytes32(data);
    out->registered.keys.wg = abi_take_bytes32(data);
    out->registered.keys.ed25519 = abi_take_bytes32(data);
}

static void take_removed(struct abi_reader *indexed, struct abi_reader *data, struct cluster_event *out)
{
    (void)data;
    out->removed = abi_take_bytes32(indexed);
}

static void take_key(struct abi_reader *indexed, struct abi_reader *data, struct cluster_event *out)
{
    out->key_published.member_id = abi_take_bytes32(indexed);
    out->key_published.key = abi_take_bytes32(data);
}

static void take_commitment(struct abi_reader *indexed, struct abi_reader *data, struct cluster_event *out)
{
    out->csk.generation = abi_take_u64(indexed);
    out->csk.commitment = abi_take_bytes32(data);
}

static void take_rotation(struct abi_reader *indexed, struct abi_reader *data, struct cluster_event *out)
{
    (void)data;
    out->csk.generation = abi_take_u64(indexed);
}

static void take_message(struct abi_reader *indexed, struct abi_reader *data, struct cluster_event *out)
{
    out->message.sender = abi_take_bytes32(indexed);
    out->message.recipient = abi_take_bytes32(indexed);
    out->message.envelope_id = abi_take_bytes32(indexed);
    out->message.ciphertext = abi_take_bytes(data, &out->message.ciphertext_len);
    if (out->message.ciphertext_len > CLUSTER_CIPHERTEXT_MAX)
        *data->ok = false;
}

static const struct {
    struct bytes32 topic;
    enum cluster_event_type type;
    const char *name;
    size_t topics_len;
    event_take_fn take;
} kinds[] = {
    {ABI_MEMBER_REGISTERED_TOPIC, CLUSTER_EVENT_MEMBER_REGISTERED, "MemberRegistered", 4, take_registered},
    {ABI_MEMBER_REMOVED_TOPIC, CLUSTER_EVENT_MEMBER_REMOVED, "MemberRemoved", 2, take_removed},
    {ABI_WG_KEY_PUBLISHED_TOPIC, CLUSTER_EVENT_WG_KEY_PUBLISHED, "WgKeyPublished", 2, take_key},
    {ABI_ED25519_KEY_PUBLISHED_TOPIC, CLUSTER_EVENT_ED25519_KEY_PUBLISHED, "Ed25519KeyPublished", 2,
     take_key},
    {ABI_CSK_COMMITMENT_SET_TOPIC, CLUSTER_EVENT_CSK_COMMITMENT_SET, "CskCommitmentSet", 2, take_commitment},
    {ABI_CSK_ROTATION_STARTED_TOPIC, CLUSTER_EVENT_CSK_ROTATION_STARTED, "CskRotationStarted", 2,
     take_rotation},
    {ABI_MESSAGE_SENT_TOPIC, CLUSTER_EVENT_MESSAGE_SENT, "MessageSent", 4, take_message},
};

int cluster_event_parse(const struct bytes32 *topics, size_t topics_len, const uint8_t *data, size_t data_len,
                        struct cluster_event *out, struct am_err *err)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; topics_len > 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bool indexed_ok, data_ok;
        if (!bytes32_equal(&topics[0], &kinds[i].topic))
            continue;
        if (topics_len != kinds[i].topics_len)
            return am_fail(err, AM_EFORMAT, "%s log with %zu topics", kinds[i].name, topics_len);
        struct abi_reader indexed = abi_reader_of(topics[1].b, (topics_len - 1) * ABI_WORD, &indexed_ok);
        struct abi_reader arguments = abi_reader_of(data, data_len, &data_ok);
        kinds[i].take(&indexed, &arguments, out);
        if (!indexed_ok || !data_ok)
            return am_fail(err, AM_EFORMAT, "%s log whose arguments do not have their shape", kinds[i].name);
        out->type = kinds[i].type;
        return 0;
    }
    return 0;
}
