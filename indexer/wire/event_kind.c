#include "indexer/wire/event_kind.h"

#include <stddef.h>

#include "contracts_abi.h"

#define KIND(kind, name)                                                                                     \
    {                                                                                                        \
        ABI_##kind##_TOPIC, indexer_EventKind_EVENT_##kind, name                                             \
    }
static const struct {
    struct bytes32 topic;
    indexer_EventKind kind;
    const char *name;
} kinds[] = {
    KIND(MEMBER_REGISTERED, "MemberRegistered"),
    KIND(MEMBER_REMOVED, "MemberRemoved"),
    KIND(WG_KEY_PUBLISHED, "WgKeyPublished"),
    KIND(ED25519_KEY_PUBLISHED, "Ed25519KeyPublished"),
    KIND(CSK_COMMITMENT_SET, "CskCommitmentSet"),
    KIND(CSK_ROTATION_STARTED, "CskRotationStarted"),
    KIND(MESSAGE_SENT, "MessageSent"),
    KIND(DSTACK_MEMBER_REGISTERED, "DstackMemberRegistered"),
    KIND(OPERATOR_MEMBER_REGISTERED, "OperatorMemberRegistered"),
    KIND(CLUSTER_OWNERSHIP_TRANSFER_STARTED, "ClusterOwnershipTransferStarted"),
    KIND(CLUSTER_OWNERSHIP_TRANSFERRED, "ClusterOwnershipTransferred"),
    KIND(BOTH_OWNERSHIPS_TRANSFER_STARTED, "BothOwnershipsTransferStarted"),
    KIND(OWNERSHIP_TRANSFERRED, "OwnershipTransferred"),
    KIND(DIAMOND_CUT, "DiamondCut"),
    KIND(COMPOSE_HASH_ADDED, "ComposeHashAdded"),
    KIND(COMPOSE_HASH_REMOVED, "ComposeHashRemoved"),
    KIND(DEVICE_ADDED, "DeviceAdded"),
    KIND(DEVICE_REMOVED, "DeviceRemoved"),
    KIND(ALLOW_ANY_DEVICE_SET, "AllowAnyDeviceSet"),
    KIND(REQUIRE_TCB_UP_TO_DATE_SET, "RequireTcbUpToDateSet"),
    KIND(KMS_ROOT_ALLOWED, "KmsRootAllowed"),
    KIND(APP_ID_ALLOWED, "AppIdAllowed"),
    KIND(MANAGEMENT_FORWARDER_SET, "ManagementForwarderSet"),
    KIND(OPERATOR_ALLOWED, "OperatorAllowed"),
};

indexer_EventKind event_kind_of_topic(const struct bytes32 *topic)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (bytes32_equal(topic, &kinds[i].topic))
            return kinds[i].kind;
    }
    return indexer_EventKind_EVENT_OTHER;
}

const char *event_kind_name(indexer_EventKind kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].kind == kind)
            return kinds[i].name;
    }
    return "other";
}
