// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { BitMaps } from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import { Math } from "@openzeppelin/contracts/utils/math/Math.sol";
import { IAttestFacet } from "../interfaces/IAttestFacet.sol";
import { IClusterDiamond } from "../interfaces/IClusterDiamond.sol";
import { IMessageFacet } from "../interfaces/IMessageFacet.sol";
import { INetworkFacet } from "../interfaces/INetworkFacet.sol";
import { FacetBase } from "../lib/FacetBase.sol";
import { MemberStorage } from "../lib/MemberStorage.sol";
import { MeshAddress } from "../lib/MeshAddress.sol";

/// @title The member registry of a cluster.
contract AttestFacet is IAttestFacet, FacetBase {
    using BitMaps for BitMaps.BitMap;

    // ---- members

    /// @inheritdoc IAttestFacet
    function _addMember(
        address memberContract,
        bytes32 attestorId,
        bytes32 xPubKey,
        bytes32 wgPubKey,
        bytes32 ed25519PubKey
    ) external onlySelf returns (bytes32 memberId) {
        if (xPubKey == 0) revert ZeroKey();
        MemberStorage.Layout storage $ = MemberStorage.layout();
        if ($.idOf[memberContract] != 0) revert AlreadyMember();

        memberId = keccak256(abi.encode(address(this), memberContract, attestorId));
        $.idOf[memberContract] = memberId;
        $.ids.push(memberId);
        $.members[memberId] = MemberStorage.Member({
            attestorId: attestorId,
            memberContract: memberContract,
            meshIp: _takeMeshIp($, memberId),
            registeredAt: uint56(block.timestamp),
            removed: false,
            xPubKey: xPubKey
        });
        INetworkFacet(address(this))._setInitialKeys(memberId, wgPubKey, ed25519PubKey);

        emit MemberRegistered(memberId, memberContract, attestorId, xPubKey, wgPubKey, ed25519PubKey);
        _extendHead(
            $,
            keccak256(
                abi.encode(
                    MemberRegistered.selector,
                    memberId,
                    memberContract,
                    attestorId,
                    xPubKey,
                    wgPubKey,
                    ed25519PubKey
                )
            )
        );
    }

    /// @inheritdoc IAttestFacet
    function removeMember(bytes32 memberId) external onlyClusterOwner {
        MemberStorage.Layout storage $ = MemberStorage.layout();
        MemberStorage.Member storage member = $.members[memberId];
        if (member.memberContract == address(0)) revert UnknownMember();
        if (member.removed) revert MemberIsRemoved();

        member.removed = true;
        ++$.removedCount;
        _advanceKeyholder($);
        emit MemberRemoved(memberId);
        _extendHead($, keccak256(abi.encode(MemberRemoved.selector, memberId)));
        _openNextGeneration($);
    }

    /// @inheritdoc IAttestFacet
    function isClusterMember(address memberContract) external view returns (bool) {
        return liveMemberIdOf(memberContract) != 0;
    }

    /// @inheritdoc IAttestFacet
    function memberIdOf(address memberContract) external view returns (bytes32) {
        return MemberStorage.layout().idOf[memberContract];
    }

    /// @inheritdoc IAttestFacet
    function liveMemberIdOf(address memberContract) public view returns (bytes32 memberId) {
        MemberStorage.Layout storage $ = MemberStorage.layout();
        memberId = $.idOf[memberContract];
        if ($.members[memberId].removed) memberId = 0;
    }

    /// @inheritdoc IAttestFacet
    function isLiveMember(bytes32 memberId) external view returns (bool) {
        MemberStorage.Member storage member = MemberStorage.layout().members[memberId];
        return member.memberContract != address(0) && !member.removed;
    }

    /// @inheritdoc IAttestFacet
    function memberOf(address memberContract) external view returns (MemberRecord memory) {
        return memberById(MemberStorage.layout().idOf[memberContract]);
    }

    /// @inheritdoc IAttestFacet
    function memberById(bytes32 memberId) public view returns (MemberRecord memory) {
        MemberStorage.Member storage member = MemberStorage.layout().members[memberId];
        INetworkFacet network = INetworkFacet(address(this));
        return MemberRecord({
            attestorId: member.attestorId,
            memberContract: member.memberContract,
            meshIp: member.meshIp,
            registeredAt: member.registeredAt,
            xPubKey: member.xPubKey,
            wgPubKey: network.wgPubKeyOf(memberId),
            ed25519PubKey: network.ed25519PubKeyOf(memberId),
            removed: member.removed
        });
    }

    /// @inheritdoc IAttestFacet
    function listMembers() external view returns (bytes32[] memory) {
        return MemberStorage.layout().ids;
    }

    /// @inheritdoc IAttestFacet
    function memberCount() external view returns (uint256) {
        return MemberStorage.layout().ids.length;
    }

    /// @inheritdoc IAttestFacet
    function membersPage(uint256 offset, uint256 limit)
        external
        view
        returns (MemberView[] memory page, uint256 total)
    {
        bytes32[] storage ids = MemberStorage.layout().ids;
        total = ids.length;
        page = new MemberView[](Math.min(limit, Math.saturatingSub(total, offset)));
        for (uint256 i = 0; i < page.length; ++i) {
            bytes32 memberId = ids[offset + i];
            page[i] = MemberView({ memberId: memberId, record: memberById(memberId) });
        }
    }

    /// @inheritdoc IAttestFacet
    function meshCidr() external view returns (uint32 ip, uint8 prefix) {
        MemberStorage.Layout storage $ = MemberStorage.layout();
        return ($.cidrIp, $.cidrPrefix);
    }

    /// @inheritdoc IAttestFacet
    function meshIpOf(bytes32 memberId) external view returns (uint32) {
        return MemberStorage.layout().members[memberId].meshIp;
    }

    /// @inheritdoc IAttestFacet
    function xPubKeyOf(bytes32 memberId) external view returns (bytes32) {
        return MemberStorage.layout().members[memberId].xPubKey;
    }

    // ---- changes

    /// @inheritdoc IAttestFacet
    function _recordChange(bytes32 change) external onlySelf {
        _extendHead(MemberStorage.layout(), change);
    }

    /// @inheritdoc IAttestFacet
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
        )
    {
        MemberStorage.Layout storage $ = MemberStorage.layout();
        (version, head, members, removed) = ($.version, $.head, uint64($.ids.length), $.removedCount);
        (cidrIp, cidrPrefix) = ($.cidrIp, $.cidrPrefix);
        (generation, commitment) = ($.cskGeneration, $.cskCommitments[$.cskGeneration]);
        (inboxCount, inboxHead) = IMessageFacet(address(this)).inboxOf(memberId);
    }

    // ---- cluster shared key

    /// @inheritdoc IAttestFacet
    function setCskCommitment(uint64 generation, bytes32 commitment) external {
        MemberStorage.Layout storage $ = MemberStorage.layout();
        bytes32 keyholderId = keyholder();
        if (keyholderId == 0 || $.idOf[msg.sender] != keyholderId) revert NotKeyholder();
        if (generation != $.cskGeneration) revert WrongGeneration();
        if (commitment == 0) revert ZeroCommitment();
        if ($.cskCommitments[generation] != 0) revert CommitmentAlreadySet();

        $.cskCommitments[generation] = commitment;
        emit CskCommitmentSet(generation, commitment);
        _extendHead($, keccak256(abi.encode(CskCommitmentSet.selector, generation, commitment)));
    }

    /// @inheritdoc IAttestFacet
    function rotateCsk() external onlyClusterOwner {
        _openNextGeneration(MemberStorage.layout());
    }

    /// @inheritdoc IAttestFacet
    function keyholder() public view returns (bytes32) {
        MemberStorage.Layout storage $ = MemberStorage.layout();
        return $.keyholderIndex < $.ids.length ? $.ids[$.keyholderIndex] : bytes32(0);
    }

    /// @inheritdoc IAttestFacet
    function cskCommitment() external view returns (bytes32) {
        MemberStorage.Layout storage $ = MemberStorage.layout();
        return $.cskCommitments[$.cskGeneration];
    }

    /// @inheritdoc IAttestFacet
    function cskCommitmentOf(uint64 generation) external view returns (bytes32) {
        return MemberStorage.layout().cskCommitments[generation];
    }

    /// @inheritdoc IAttestFacet
    function cskGeneration() external view returns (uint64) {
        return MemberStorage.layout().cskGeneration;
    }

    // ---- ownership

    /// @inheritdoc IAttestFacet
    function clusterOwner() external view returns (address) {
        return MemberStorage.layout().clusterOwner;
    }

    /// @inheritdoc IAttestFacet
    function pendingClusterOwner() external view returns (address) {
        return MemberStorage.layout().pendingClusterOwner;
    }

    /// @inheritdoc IAttestFacet
    function transferClusterOwnership(address newOwner) external onlyClusterOwner {
        MemberStorage.layout().pendingClusterOwner = newOwner;
        emit ClusterOwnershipTransferStarted(msg.sender, newOwner);
    }

    /// @inheritdoc IAttestFacet
    function acceptClusterOwnership() external {
        MemberStorage.Layout storage $ = MemberStorage.layout();
        if (msg.sender != $.pendingClusterOwner) revert NotPendingOwner();
        _setClusterOwner($, msg.sender);
    }

    /// @inheritdoc IAttestFacet
    function pendingBothOwner() external view returns (address) {
        return MemberStorage.layout().pendingBothOwner;
    }

    /// @inheritdoc IAttestFacet
    function transferBothOwners(address newOwner) external onlyClusterOwner {
        if (IClusterDiamond(address(this)).owner() != msg.sender) revert OwnersDiffer();
        MemberStorage.layout().pendingBothOwner = newOwner;
        emit BothOwnershipsTransferStarted(msg.sender, newOwner);
    }

    /// @inheritdoc IAttestFacet
    function acceptBothOwners() external {
        MemberStorage.Layout storage $ = MemberStorage.layout();
        if (msg.sender != $.pendingBothOwner) revert NotPendingOwner();
        if (IClusterDiamond(address(this)).owner() != $.clusterOwner) revert OwnersDiffer();
        _setClusterOwner($, msg.sender);
        IClusterDiamond(address(this))._setDiamondOwner(msg.sender);
    }

    // ---- internal

    function _checkClusterOwner() internal view override {
        if (msg.sender != MemberStorage.layout().clusterOwner) revert NotClusterOwner();
    }

    /// @dev Every offer made by the previous owner ends with its ownership.
    function _setClusterOwner(MemberStorage.Layout storage $, address newOwner) private {
        emit ClusterOwnershipTransferred($.clusterOwner, newOwner);
        $.clusterOwner = newOwner;
        $.pendingClusterOwner = address(0);
        $.pendingBothOwner = address(0);
    }

    function _takeMeshIp(MemberStorage.Layout storage $, bytes32 memberId) private returns (uint32 ip) {
        (uint32 network, uint8 prefix) = ($.cidrIp, $.cidrPrefix);
        for (uint8 k = 0; k < MeshAddress.MAX_PROBES; ++k) {
            ip = MeshAddress.probe(memberId, k, network, prefix);
            if (!$.takenIps.get(ip)) {
                $.takenIps.set(ip);
                return ip;
            }
        }
        revert MeshIpExhausted();
    }

    /// @dev Removed members never return, so the index only moves up: each member is passed over once.
    function _advanceKeyholder(MemberStorage.Layout storage $) private {
        uint32 index = $.keyholderIndex;
        uint256 count = $.ids.length;
        while (index < count && $.members[$.ids[index]].removed) ++index;
        $.keyholderIndex = index;
    }

    function _openNextGeneration(MemberStorage.Layout storage $) private {
        uint64 generation = ++$.cskGeneration;
        emit CskRotationStarted(generation);
        _extendHead($, keccak256(abi.encode(CskRotationStarted.selector, generation)));
    }

    function _extendHead(MemberStorage.Layout storage $, bytes32 change) private {
        uint64 version = ++$.version;
        $.head = keccak256(abi.encodePacked($.head, version, change));
    }
}
