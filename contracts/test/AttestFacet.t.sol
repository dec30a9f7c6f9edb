// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { vm } from "../script/Vm.sol";
import { AttestorConfig, ClusterArgs } from "../src/cluster/ClusterConfig.sol";
import { IAttestFacet } from "../src/interfaces/IAttestFacet.sol";
import { INetworkFacet } from "../src/interfaces/INetworkFacet.sol";
import { FacetBase } from "../src/lib/FacetBase.sol";
import { MeshAddress } from "../src/lib/MeshAddress.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { NodeKeys, Proofs } from "./support/Proofs.sol";
import { World } from "./support/World.sol";

contract AttestFacetTest is World {
    bytes32 private constant ATTESTOR = keccak256("test attestor");

    /// @dev Adds a member as an attestor facet would, without a member contract.
    function _add(address memberContract) private returns (bytes32) {
        NodeKeys memory keys = Proofs.keysOf(uint160(memberContract));
        vm.prank(cluster);
        return attest._addMember(memberContract, ATTESTOR, keys.x, keys.wg, keys.ed);
    }

    function _useNetwork(uint32 ip, uint8 prefix) private {
        ClusterArgs memory args = _clusterArgs();
        (args.cidrIp, args.cidrPrefix) = (ip, prefix);
        _use(clusterFactory.deployCluster(args, bytes32(uint256(2))));
    }

    // ---- views

    function test_Views_OfAnEmptyCluster() public view {
        assertEq(attest.memberCount(), 0, "count");
        assertEq(attest.listMembers().length, 0, "list");
        assertEq(attest.keyholder(), 0, "keyholder");
        assertEq(attest.memberOf(stranger).memberContract, address(0), "memberOf");
        assertEq(attest.memberById(bytes32(uint256(1))).registeredAt, 0, "memberById");
        assertEq(attest.isClusterMember(stranger), false, "isClusterMember");
        assertEq(attest.isLiveMember(0), false, "isLiveMember");
        (uint32 ip, uint8 prefix) = attest.meshCidr();
        assertEq(ip, 0x0a0d0000, "default network");
        assertEq(prefix, 16, "default prefix");
        assertEq(_version(), 0, "version");
        assertEq(_head(), 0, "head");
    }

    function testFuzz_AddMember_IsWhatViewsShow(address memberContract) public {
        vm.assume(memberContract != address(0));
        NodeKeys memory keys = Proofs.keysOf(uint160(memberContract));
        bytes32 expected = keccak256(abi.encode(cluster, memberContract, ATTESTOR));
        vm.expectEmit(true, true, true, true, cluster);
        emit IAttestFacet.MemberRegistered(expected, memberContract, ATTESTOR, keys.x, keys.wg, keys.ed);
        bytes32 id = _add(memberContract);

        assertEq(id, expected, "id");
        IAttestFacet.MemberRecord memory record = attest.memberOf(memberContract);
        assertEq(abi.encode(record), abi.encode(attest.memberById(id)), "memberOf is memberById");
        assertEq(record.attestorId, ATTESTOR, "attestor");
        assertEq(record.memberContract, memberContract, "contract");
        assertEq(record.meshIp, MeshAddress.probe(id, 0, 0x0a0d0000, 16), "ip");
        assertEq(record.registeredAt, block.timestamp, "time");
        assertEq(record.xPubKey, keys.x, "x");
        assertEq(record.wgPubKey, keys.wg, "wg");
        assertEq(record.ed25519PubKey, keys.ed, "ed");
        assertEq(record.removed, false, "removed");
        assertEq(attest.memberIdOf(memberContract), id, "memberIdOf");
        assertEq(attest.liveMemberIdOf(memberContract), id, "liveMemberIdOf");
        assertEq(attest.meshIpOf(id), record.meshIp, "meshIpOf");
        assertEq(attest.xPubKeyOf(id), keys.x, "xPubKeyOf");
        assertEq(attest.keyholder(), id, "keyholder");
        assertTrue(attest.isClusterMember(memberContract) && attest.isLiveMember(id), "live");
        assertEq(_version(), 1, "version");
    }

    function test_NodeState_CountsEverything() public {
        (ClusterMember a, bytes32 idA) = _join(1);
        (, bytes32 idB) = _join(2);
        vm.prank(address(a));
        message.send(idA, bytes32(uint256(7)), "x");
        vm.prank(clusterOwner);
        attest.removeMember(idB);
        vm.prank(address(a));
        attest.setCskCommitment(1, bytes32(uint256(5)));

        (
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
        ) = attest.nodeState(idA);
        assertEq(version, 5, "version"); // two registrations, removal, rotation, commitment
        assertTrue(head != 0 && inboxHead != 0, "heads");
        assertEq(members, 2, "members");
        assertEq(removed, 1, "removed");
        assertEq(cidrIp, 0x0a0d0000, "ip");
        assertEq(cidrPrefix, 16, "prefix");
        assertEq(generation, 1, "generation");
        assertEq(commitment, bytes32(uint256(5)), "commitment");
        assertEq(inboxCount, 1, "inbox");
    }

    function testFuzz_MembersPage_IsThatPartOfTheList(uint256 offset, uint256 limit) public {
        for (uint160 i = 1; i <= 5; ++i) {
            _add(address(i));
        }
        offset = bound(offset, 0, 7);
        (IAttestFacet.MemberView[] memory page, uint256 total) = attest.membersPage(offset, limit);
        bytes32[] memory ids = attest.listMembers();
        uint256 rest = offset < 5 ? 5 - offset : 0;
        assertEq(total, 5, "total");
        assertEq(page.length, limit < rest ? limit : rest, "length");
        for (uint256 i = 0; i < page.length; ++i) {
            assertEq(page[i].memberId, ids[offset + i], "id");
            assertEq(abi.encode(page[i].record), abi.encode(attest.memberById(ids[offset + i])), "record");
        }
    }

    function test_MembersPage_BeyondTheEnd_IsEmpty() public {
        _add(address(1));
        (IAttestFacet.MemberView[] memory page, uint256 total) =
            attest.membersPage(type(uint256).max, type(uint256).max);
        assertEq(page.length, 0, "empty");
        assertEq(total, 1, "total");
    }

    // ---- adding

    function testFuzz_AddMember_FromOutside_Reverts(address caller, bytes32 key) public {
        vm.assume(caller != cluster);
        vm.prank(caller);
        vm.expectRevert(FacetBase.OnlySelf.selector);
        attest._addMember(stranger, ATTESTOR, key, key, key);
    }

    function testFuzz_RecordChange_FromOutside_Reverts(address caller, bytes32 change) public {
        vm.assume(caller != cluster);
        vm.prank(caller);
        vm.expectRevert(FacetBase.OnlySelf.selector);
        attest._recordChange(change);
    }

    function test_AddMember_Twice_Reverts() public {
        _add(stranger);
        vm.prank(cluster);
        vm.expectRevert(IAttestFacet.AlreadyMember.selector);
        attest._addMember(stranger, keccak256("other attestor"), "x", "w", "e");
    }

    function test_AddMember_ARemovedOne_Reverts() public {
        bytes32 id = _add(stranger);
        vm.prank(clusterOwner);
        attest.removeMember(id);
        vm.prank(cluster);
        vm.expectRevert(IAttestFacet.AlreadyMember.selector);
        attest._addMember(stranger, ATTESTOR, "x", "w", "e");
    }

    function test_AddMember_ZeroKeys_Revert() public {
        bytes32[3] memory keys = [bytes32("x"), bytes32("w"), bytes32("e")];
        for (uint256 i = 0; i < 3; ++i) {
            bytes32[3] memory k = [keys[0], keys[1], keys[2]];
            k[i] = 0;
            vm.prank(cluster);
            vm.expectRevert(FacetBase.ZeroKey.selector);
            attest._addMember(stranger, ATTESTOR, k[0], k[1], k[2]);
        }
    }

    // ---- mesh addresses

    function test_MeshIp_OfSixMembersInASlash29_AreAllItHas() public {
        _useNetwork(0xac100000, 29);
        uint256 seen = 0;
        for (uint160 i = 1; i <= 6; ++i) {
            uint32 ip = attest.meshIpOf(_add(address(i)));
            assertTrue(ip > 0xac100000 && ip < 0xac100007, "in the network, neither its first nor its last");
            assertEq(seen & (1 << (ip & 7)), 0, "nobody else's");
            seen |= 1 << (ip & 7);
        }
        vm.prank(cluster);
        vm.expectRevert(IAttestFacet.MeshIpExhausted.selector);
        attest._addMember(stranger, ATTESTOR, "x", "w", "e");
    }

    function test_MeshIp_OfARemovedMember_StaysReserved() public {
        _useNetwork(0xac100000, 29);
        for (uint160 i = 1; i <= 6; ++i) {
            bytes32 id = _add(address(i));
            vm.prank(clusterOwner);
            attest.removeMember(id);
        }
        vm.prank(cluster);
        vm.expectRevert(IAttestFacet.MeshIpExhausted.selector);
        attest._addMember(stranger, ATTESTOR, "x", "w", "e");
    }

    function testFuzz_Probe_StaysInsideTheNetwork(bytes32 id, uint8 k, uint32 ip, uint8 prefix) public pure {
        prefix = uint8(bound(prefix, 8, 29));
        uint32 mask = uint32(type(uint32).max << (32 - prefix));
        uint32 probed = MeshAddress.probe(id, k, ip & mask, prefix);
        assertEq(probed & mask, ip & mask, "network");
        assertTrue(probed & ~mask != 0 && probed & ~mask != ~mask, "neither network nor broadcast address");
    }

    // ---- removal

    function test_RemoveMember_KeepsTheRecord() public {
        (ClusterMember member, bytes32 id) = _join(1);
        IAttestFacet.MemberRecord memory before = attest.memberById(id);
        vm.expectEmit(true, true, true, true, cluster);
        emit IAttestFacet.MemberRemoved(id);
        vm.expectEmit(true, true, true, true, cluster);
        emit IAttestFacet.CskRotationStarted(1);
        vm.prank(clusterOwner);
        attest.removeMember(id);

        before.removed = true;
        assertEq(abi.encode(attest.memberById(id)), abi.encode(before), "record");
        assertEq(attest.listMembers()[0], id, "index");
        assertEq(attest.memberIdOf(address(member)), id, "memberIdOf");
        assertEq(attest.liveMemberIdOf(address(member)), 0, "liveMemberIdOf");
        assertEq(attest.isLiveMember(id), false, "isLiveMember");
        assertEq(attest.isClusterMember(address(member)), false, "isClusterMember");
        assertEq(attest.cskGeneration(), 1, "generation");
        assertEq(attest.keyholder(), 0, "keyholder");
    }

    function test_RemoveMember_Twice_Reverts() public {
        bytes32 id = _add(stranger);
        vm.startPrank(clusterOwner);
        attest.removeMember(id);
        vm.expectRevert(IAttestFacet.MemberIsRemoved.selector);
        attest.removeMember(id);
    }

    function testFuzz_RemoveMember_Unknown_Reverts(bytes32 id) public {
        vm.prank(clusterOwner);
        vm.expectRevert(IAttestFacet.UnknownMember.selector);
        attest.removeMember(id);
    }

    function testFuzz_OwnerFunctions_ByOthers_Revert(address caller) public {
        vm.assume(caller != clusterOwner && caller != cluster);
        bytes32 id = _add(stranger);
        bytes4 refusal = IAttestFacet.NotClusterOwner.selector;
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        attest.removeMember(id);
        vm.expectRevert(refusal);
        attest.rotateCsk();
        vm.expectRevert(refusal);
        attest.transferClusterOwnership(caller);
        vm.expectRevert(refusal);
        attest.transferBothOwners(caller);
    }

    function testFuzz_RemoveMember_OfMany(uint8 members, uint256 which) public {
        uint256 count = bound(members, 1, 12);
        for (uint160 i = 1; i <= count; ++i) {
            _add(address(i));
        }
        bytes32[] memory ids = attest.listMembers();
        which = bound(which, 0, count - 1);
        _remove(ids[which]);
        for (uint256 i = 0; i < count; ++i) {
            assertEq(attest.isLiveMember(ids[i]), i != which, "live");
        }
        bytes32 first = which == 0 ? (count > 1 ? ids[1] : bytes32(0)) : ids[0];
        assertEq(attest.keyholder(), first, "keyholder");
        assertEq(abi.encode(attest.listMembers()), abi.encode(ids), "list");
    }

    // ---- cluster shared key

    function test_Keyholder_IsTheLowestLiveIndex() public {
        bytes32[4] memory ids;
        for (uint160 i = 0; i < 4; ++i) {
            ids[i] = _add(address(i + 1));
        }
        assertEq(attest.keyholder(), ids[0], "first");
        _remove(ids[1]);
        assertEq(attest.keyholder(), ids[0], "still the first");
        _remove(ids[0]);
        assertEq(attest.keyholder(), ids[2], "passes over the one removed before");
        _remove(ids[2]);
        _remove(ids[3]);
        assertEq(attest.keyholder(), 0, "nobody");
        bytes32 late = _add(stranger);
        assertEq(attest.keyholder(), late, "a newcomer");
    }

    function testFuzz_SetCskCommitment_ByTheKeyholder(bytes32 commitment) public {
        vm.assume(commitment != 0);
        _add(stranger);
        vm.expectEmit(true, true, true, true, cluster);
        emit IAttestFacet.CskCommitmentSet(0, commitment);
        vm.startPrank(stranger);
        attest.setCskCommitment(0, commitment);
        assertEq(attest.cskCommitment(), commitment, "current");
        assertEq(attest.cskCommitmentOf(0), commitment, "of generation 0");
        vm.expectRevert(IAttestFacet.CommitmentAlreadySet.selector);
        attest.setCskCommitment(0, commitment);
    }

    function test_SetCskCommitment_Refusals() public {
        vm.prank(stranger);
        vm.expectRevert(IAttestFacet.NotKeyholder.selector);
        attest.setCskCommitment(0, "c"); // nobody is keyholder, and stranger's id is zero too
        _add(stranger);
        _add(address(2));
        vm.prank(address(2));
        vm.expectRevert(IAttestFacet.NotKeyholder.selector);
        attest.setCskCommitment(0, "c");
        vm.startPrank(stranger);
        vm.expectRevert(IAttestFacet.ZeroCommitment.selector);
        attest.setCskCommitment(0, 0);
        vm.expectRevert(IAttestFacet.WrongGeneration.selector);
        attest.setCskCommitment(1, "c");
        vm.stopPrank();
        vm.prank(clusterOwner);
        attest.rotateCsk();
        vm.prank(stranger);
        vm.expectRevert(IAttestFacet.WrongGeneration.selector);
        attest.setCskCommitment(0, "c");
    }

    function testFuzz_SetCskCommitment_OfAnyGeneration(uint8 rotations, uint64 generation, bytes32 value)
        public
    {
        vm.assume(value != 0);
        _add(stranger);
        for (uint256 i = 0; i < rotations % 5; ++i) {
            vm.prank(clusterOwner);
            attest.rotateCsk();
        }
        bool current = generation == rotations % 5;
        vm.prank(stranger);
        if (!current) vm.expectRevert(IAttestFacet.WrongGeneration.selector);
        attest.setCskCommitment(generation, value);
        assertEq(attest.cskCommitmentOf(generation), current ? value : bytes32(0), "commitment");
    }

    function test_RotateCsk_OpensAGeneration_AndKeepsTheLast() public {
        _add(stranger);
        vm.prank(stranger);
        attest.setCskCommitment(0, "c0");
        vm.expectEmit(true, true, true, true, cluster);
        emit IAttestFacet.CskRotationStarted(1);
        vm.prank(clusterOwner);
        attest.rotateCsk();
        assertEq(attest.cskGeneration(), 1, "generation");
        assertEq(attest.cskCommitment(), 0, "open");
        assertEq(attest.cskCommitmentOf(0), "c0", "kept");
        vm.prank(stranger);
        attest.setCskCommitment(1, "c1");
        assertEq(attest.cskCommitment(), "c1", "set");
    }

    // ---- changes

    function test_Version_RisesByOneForEveryChange() public {
        (ClusterMember member,) = _join(1);
        assertEq(_version(), 1, "registered");
        vm.startPrank(address(member));
        network.publishWgKey("w");
        assertEq(_version(), 2, "wg key");
        network.publishEd25519Key("e");
        assertEq(_version(), 3, "ed key");
        attest.setCskCommitment(0, "c");
        assertEq(_version(), 4, "commitment");
        vm.stopPrank();
        vm.startPrank(clusterOwner);
        attest.rotateCsk();
        assertEq(_version(), 5, "rotation");
        attest.transferClusterOwnership(stranger);
        dstack.addComposeHash("c");
        assertEq(_version(), 5, "nothing a node reacts to");
        attest.removeMember(attest.memberIdOf(address(member)));
        assertEq(_version(), 7, "removal and rotation");
    }

    // ---- ownership

    function testFuzz_ClusterOwnership_TwoSteps(address newOwner, address other) public {
        vm.assume(newOwner != address(0) && newOwner != other && newOwner != clusterOwner);
        vm.prank(clusterOwner);
        attest.transferClusterOwnership(newOwner);
        assertEq(attest.clusterOwner(), clusterOwner, "not yet");
        assertEq(attest.pendingClusterOwner(), newOwner, "offered");
        vm.prank(other);
        vm.expectRevert(IAttestFacet.NotPendingOwner.selector);
        attest.acceptClusterOwnership();
        vm.prank(newOwner);
        attest.acceptClusterOwnership();
        assertEq(attest.clusterOwner(), newOwner, "moved");
        assertEq(attest.pendingClusterOwner(), address(0), "done");
    }

    function test_AcceptClusterOwnership_WhenNothingIsOffered_Reverts() public {
        vm.prank(stranger);
        vm.expectRevert(IAttestFacet.NotPendingOwner.selector);
        attest.acceptClusterOwnership();
    }

    function test_ClusterOwnership_OfferWithdrawn() public {
        vm.startPrank(clusterOwner);
        attest.transferClusterOwnership(stranger);
        attest.transferClusterOwnership(address(0));
        vm.stopPrank();
        vm.prank(stranger);
        vm.expectRevert(IAttestFacet.NotPendingOwner.selector);
        attest.acceptClusterOwnership();
    }

    function test_BothOwnerships_MoveInOneStep() public {
        vm.prank(clusterOwner);
        attest.transferBothOwners(stranger);
        assertEq(attest.pendingBothOwner(), stranger, "offered");
        vm.expectRevert(IAttestFacet.NotPendingOwner.selector);
        attest.acceptBothOwners();
        vm.prank(stranger);
        attest.acceptBothOwners();
        assertEq(attest.clusterOwner(), stranger, "cluster");
        assertEq(_diamond().owner(), stranger, "diamond");
        assertEq(attest.pendingBothOwner(), address(0), "done");
    }

    function test_BothOwnerships_WhenTheyDiffer_Revert() public {
        vm.prank(clusterOwner);
        attest.transferClusterOwnership(stranger);
        vm.startPrank(stranger);
        attest.acceptClusterOwnership();
        vm.expectRevert(IAttestFacet.OwnersDiffer.selector);
        attest.transferBothOwners(infraOwner);
    }

    function test_BothOwnerships_DiamondMovedSinceTheOffer_Reverts() public {
        vm.startPrank(clusterOwner);
        attest.transferBothOwners(stranger);
        _diamond().transferOwnership(infraOwner);
        vm.stopPrank();
        vm.prank(infraOwner);
        _diamond().acceptOwnership();
        vm.prank(stranger);
        vm.expectRevert(IAttestFacet.OwnersDiffer.selector);
        attest.acceptBothOwners();
    }

    function test_BothOwnerships_OfferEndsWithTheClusterOwner() public {
        vm.startPrank(clusterOwner);
        attest.transferBothOwners(stranger);
        attest.transferClusterOwnership(infraOwner);
        vm.stopPrank();
        vm.prank(infraOwner);
        attest.acceptClusterOwnership();
        vm.prank(stranger);
        vm.expectRevert(IAttestFacet.NotPendingOwner.selector);
        attest.acceptBothOwners();
    }

    function test_BothOwnerships_EndTheDiamondsOwnOffer() public {
        vm.startPrank(clusterOwner);
        _diamond().transferOwnership(infraOwner);
        attest.transferBothOwners(stranger);
        vm.stopPrank();
        vm.prank(stranger);
        attest.acceptBothOwners();
        assertEq(_diamond().nomineeOwner(), address(0), "the old offer is void");
    }

    function _remove(bytes32 id) private {
        vm.prank(clusterOwner);
        attest.removeMember(id);
    }
}
