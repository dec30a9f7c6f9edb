// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAttestFacet } from "../../src/interfaces/IAttestFacet.sol";
import { World } from "../support/World.sol";
import { ClusterHandler } from "./ClusterHandler.sol";

contract InvariantsTest is World {
    ClusterHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new ClusterHandler(cluster, memberFactory, clusterOwner);
    }

    /// @dev Where forge looks for what to call.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev All in one, since each invariant function costs a campaign of its own.
    function invariant_Cluster() public view {
        assertEq(handler.violation(), "", "violation");
        _checkRegistryAndIndicesAgree();
        _checkNoAddressAndNoWgKeyBelongsToTwo();
        _checkRemovedStaysRemoved();
        _checkHeadsFollowFromTheEventsAlone();
        _checkKeyholderIsTheLowestLiveMember();
        _checkMembersHaveOwners();
    }

    function _checkRegistryAndIndicesAgree() private view {
        bytes32[] memory ids = attest.listMembers();
        (IAttestFacet.MemberView[] memory page, uint256 total) = attest.membersPage(0, type(uint256).max);
        assertEq(attest.memberCount(), ids.length, "count");
        assertEq(total, ids.length, "total");
        for (uint256 i = 0; i < ids.length; ++i) {
            IAttestFacet.MemberRecord memory record = attest.memberById(ids[i]);
            assertEq(page[i].memberId, ids[i], "page");
            assertEq(abi.encode(page[i].record), abi.encode(record), "record");
            bytes32 id = keccak256(abi.encode(cluster, record.memberContract, record.attestorId));
            assertEq(ids[i], id, "id");
            assertEq(attest.memberIdOf(record.memberContract), id, "memberIdOf");
            assertEq(attest.isLiveMember(id), !record.removed, "isLiveMember");
            assertEq(attest.isClusterMember(record.memberContract), !record.removed, "isClusterMember");
            assertEq(network.wgPubKeyOf(id), record.wgPubKey, "wg");
            assertEq(network.wgKeyHolder(record.wgPubKey), id, "holder");
        }
    }

    function _checkNoAddressAndNoWgKeyBelongsToTwo() private view {
        (IAttestFacet.MemberView[] memory page,) = attest.membersPage(0, type(uint256).max);
        for (uint256 i = 0; i < page.length; ++i) {
            for (uint256 j = 0; j < i; ++j) {
                assertTrue(page[i].record.meshIp != page[j].record.meshIp, "mesh ip");
                assertTrue(page[i].record.wgPubKey != page[j].record.wgPubKey, "wg key");
                assertTrue(page[i].record.memberContract != page[j].record.memberContract, "contract");
            }
        }
    }

    function _checkRemovedStaysRemoved() private view {
        bytes32[] memory ids = attest.listMembers();
        uint256 removed = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            assertEq(attest.memberById(ids[i]).removed, handler.removedSeen(ids[i]), "removed");
            if (handler.removedSeen(ids[i])) ++removed;
        }
        (,, uint64 members, uint64 removedCount,,,,,,) = attest.nodeState(0);
        assertEq(members, ids.length, "members");
        assertEq(removedCount, removed, "removed count");
    }

    function _checkHeadsFollowFromTheEventsAlone() private view {
        (uint64 version, bytes32 head,,,,,,,,) = attest.nodeState(0);
        assertEq(handler.replay().version(), version, "version");
        assertEq(handler.replay().head(), head, "head");
        bytes32[] memory ids = attest.listMembers();
        for (uint256 i = 0; i < ids.length; ++i) {
            (uint64 count, bytes32 inboxHead) = message.inboxOf(ids[i]);
            assertEq(handler.replay().inboxCount(ids[i]), count, "inbox count");
            assertEq(handler.replay().inboxHead(ids[i]), inboxHead, "inbox head");
        }
    }

    function _checkKeyholderIsTheLowestLiveMember() private view {
        bytes32[] memory ids = attest.listMembers();
        bytes32 expected = 0;
        for (uint256 i = ids.length; i > 0; --i) {
            if (attest.isLiveMember(ids[i - 1])) expected = ids[i - 1];
        }
        assertEq(attest.keyholder(), expected, "keyholder");
    }

    function _checkMembersHaveOwners() private view {
        for (uint256 i = 0; i < handler.memberTotal(); ++i) {
            bool registered = attest.memberIdOf(address(handler.members(i))) != 0;
            assertEq(handler.members(i).owner() != address(0), registered, "owner iff registered");
        }
        assertEq(attest.clusterOwner(), handler.clusterOwner(), "cluster owner");
    }
}
