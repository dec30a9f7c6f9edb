// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The member registry of a cluster.
/// @notice Knows members, their addresses in the mesh, the generations of the cluster shared key and who owns the
/// cluster. It knows nothing of how a member was attested: attestor facets admit members through `_addMember`.
interface IAttestFacet {
    /// @param attestorId Names the attestation method that admitted the member.
    /// @param memberContract The member's account and dstack app, one address.
    /// @param meshIp IPv4 address in the mesh, as a big-endian number.
    /// @param registeredAt Unix seconds of the block that registered the member.
    /// @param xPubKey X25519 key for sealed boxes.
    /// @param wgPubKey Current WireGuard key.
    /// @param ed25519PubKey Current key for heartbeats and sessions.
    /// @param removed A removed member keeps its record and its index for audit.
    struct MemberRecord {
        bytes32 attestorId;
        address memberContract;
        uint32 meshIp;
        uint64 registeredAt;
        bytes32 xPubKey;
        bytes32 wgPubKey;
        bytes32 ed25519PubKey;
        bool removed;
    }

    struct MemberView {
        bytes32 memberId;
        MemberRecord record;
    }

    event MemberRegistered(
        bytes32 indexed memberId,
        address indexed memberContract,
        bytes32 indexed attestorId,
        bytes32 xPubKey,
        bytes32 wgPubKey,
        bytes32 ed25519PubKey
    );
    event MemberRemoved(bytes32 indexed memberId);
    event CskCommitmentSet(uint64 indexed generation, bytes32 commitment);
    event CskRotationStarted(uint64 indexed generation);
    event ClusterOwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
    event ClusterOwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event BothOwnershipsTransferStarted(address indexed previousOwner, address indexed newOwner);

    /// @notice The caller is not the cluster owner.
    error NotClusterOwner();
    /// @notice The caller is not the address that ownership was offered to.
    error NotPendingOwner();
    /// @notice Both ownerships move together only when one address holds both.
    error OwnersDiffer();
    /// @notice No member has this id.
    error UnknownMember();
    /// @notice The member was removed before.
    error MemberIsRemoved();
    /// @notice The contract belongs to a member, present or removed.
    error AlreadyMember();
    /// @notice The caller is not the member that originates the cluster shared key.
    error NotKeyholder();
    /// @notice The generation is not the current one.
    error WrongGeneration();
    /// @notice The generation's commitment is set and final.
    error CommitmentAlreadySet();
    /// @notice A commitment is never zero.
    error ZeroCommitment();
    /// @notice 64 probes found no free mesh address: the network is (nearly) full.
    error MeshIpExhausted();

    /// @notice True iff `memberContract` belongs to a live member: registered and not removed.
    function isClusterMember(address memberContract) external view returns (bool);

    /// @notice The member id of a contract, zero if it never registered. Removed members keep theirs.
    function memberIdOf(address memberContract) external view returns (bytes32);

    /// @notice The member id of a live member's contract, zero if there is none.
    function liveMemberIdOf(address memberContract) external view returns (bytes32);

    /// @notice True iff the id names a live member.
    function isLiveMember(bytes32 memberId) external view returns (bool);

    /// @notice The record of a contract; all zero if it never registered.
    function memberOf(address memberContract) external view returns (MemberRecord memory);

    /// @notice The record of a member id; all zero if there is none.
    function memberById(bytes32 memberId) external view returns (MemberRecord memory);

    /// @notice All member ids in the order of registration, the registry index; removed ones stay.
    function listMembers() external view returns (bytes32[] memory);

    /// @notice How many members ever registered.
    function memberCount() external view returns (uint256);

    /// @notice Up to `limit` members from registry index `offset` on; `total` is `memberCount()`.
    /// @dev An offset at or beyond the end gives an empty page.
    function membersPage(uint256 offset, uint256 limit)
        external
        view
        returns (MemberView[] memory page, uint256 total);

    /// @notice Everything a node must know to see that it missed nothing, in one call.
    /// @param memberId Whose inbox to report; any id is allowed, an unknown one has an empty inbox.
    /// @return version Rises by one on every change that a node must react to.
    /// @return head keccak chain over those changes.
    /// @return members How many ever registered; `removed` of them are removed.
    /// @return removed How many of them are removed.
    /// @return cidrIp Network address of the mesh.
    /// @return cidrPrefix Prefix length of the mesh.
    /// @return generation Current generation of the cluster shared key.
    /// @return commitment Its commitment, zero while the generation is open.
    /// @return inboxCount Messages ever sent to `memberId`.
    /// @return inboxHead keccak chain over them.
    function nodeState(bytes32 memberId)
        external
        view
        returns (
            uint64 version,
            bytes32 head,
            uint64 members,
            uint64 removed,
            uint32 cidrIp,
            uint8 cidrPrefix,
            uint64 generation,
            bytes32 commitment,
            uint64 inboxCount,
            bytes32 inboxHead
        );

    /// @notice The mesh network.
    function meshCidr() external view returns (uint32 ip, uint8 prefix);

    /// @notice Mesh IPv4 address of a member, zero if there is none.
    function meshIpOf(bytes32 memberId) external view returns (uint32);

    /// @notice X25519 key of a member, zero if there is none.
    function xPubKeyOf(bytes32 memberId) external view returns (bytes32);

    /// @notice The live member with the lowest registry index: it originates the cluster shared key. Zero if none.
    function keyholder() external view returns (bytes32);

    /// @notice Publishes the hash of a generation's cluster shared key, once and for ever.
    /// @dev Keyholder only. Reverts NotKeyholder, WrongGeneration, ZeroCommitment, CommitmentAlreadySet.
    function setCskCommitment(uint64 generation, bytes32 commitment) external;

    /// @notice Commitment of the current generation, zero while it is open.
    function cskCommitment() external view returns (bytes32);

    /// @notice Commitment of any generation, zero if it was never set.
    function cskCommitmentOf(uint64 generation) external view returns (bytes32);

    /// @notice The current generation, from 0.
    function cskGeneration() external view returns (uint64);

    /// @notice Opens the next generation. Cluster owner only.
    function rotateCsk() external;

    /// @notice Removes a member for ever and opens the next generation. Cluster owner only.
    /// @dev Reverts NotClusterOwner, UnknownMember, MemberIsRemoved.
    function removeMember(bytes32 memberId) external;

    /// @notice Who administers the cluster: members, allowlists, upgrades of member contracts.
    function clusterOwner() external view returns (address);

    /// @notice To whom cluster ownership is offered, zero if to nobody.
    function pendingClusterOwner() external view returns (address);

    /// @notice Offers cluster ownership; zero withdraws the offer. Cluster owner only.
    function transferClusterOwnership(address newOwner) external;

    /// @notice Accepts cluster ownership. Only who it was offered to; NotPendingOwner otherwise.
    function acceptClusterOwnership() external;

    /// @notice To whom both ownerships are offered, zero if to nobody.
    function pendingBothOwner() external view returns (address);

    /// @notice Offers cluster ownership and the diamond's (which may cut facets) together; zero withdraws the offer.
    /// @dev The caller must hold both: reverts NotClusterOwner, OwnersDiffer.
    function transferBothOwners(address newOwner) external;

    /// @notice Accepts both ownerships. Reverts NotPendingOwner, and OwnersDiffer if one has moved since the offer.
    function acceptBothOwners() external;

    /// @notice Adds a member. Only the diamond itself, that is, an attestor facet which has verified the proof.
    /// @dev Reverts OnlySelf, AlreadyMember, MeshIpExhausted, ZeroKey, WgKeyTaken.
    function _addMember(
        address memberContract,
        bytes32 attestorId,
        bytes32 xPubKey,
        bytes32 wgPubKey,
        bytes32 ed25519PubKey
    ) external returns (bytes32 memberId);

    /// @notice Extends the head chain by a change another facet made. Only the diamond itself.
    /// @param change keccak(abi.encode(topic0, all event arguments in order)).
    function _recordChange(bytes32 change) external;
}
