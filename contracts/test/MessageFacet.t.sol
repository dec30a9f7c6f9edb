// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { vm } from "../script/Vm.sol";
import { IMessageFacet } from "../src/interfaces/IMessageFacet.sol";
import { FacetBase } from "../src/lib/FacetBase.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { World } from "./support/World.sol";

contract MessageFacetTest is World {
    ClusterMember private a;
    ClusterMember private b;
    bytes32 private idA;
    bytes32 private idB;

    function setUp() public override {
        super.setUp();
        (a, idA) = _join(1);
        (b, idB) = _join(2);
    }

    function testFuzz_Send(bytes32 envelopeId, bytes memory ciphertext) public {
        vm.assume(ciphertext.length > 0 && ciphertext.length <= 8192);
        uint64 version = _version();
        vm.expectEmit(true, true, true, true, cluster);
        emit IMessageFacet.MessageSent(idA, idB, envelopeId, ciphertext);
        vm.prank(address(a));
        message.send(idB, envelopeId, ciphertext);

        (uint64 count, bytes32 head) = message.inboxOf(idB);
        assertEq(count, 1, "count");
        bytes32 link = keccak256(abi.encode(idA, envelopeId, keccak256(ciphertext)));
        assertEq(head, keccak256(abi.encodePacked(bytes32(0), uint64(1), link)), "head");
        assertTrue(message.isEnvelopeSent(idA, idB, envelopeId), "sent");
        assertEq(message.isEnvelopeSent(idB, idA, envelopeId), false, "the other way");
        assertEq(_version(), version, "a message is no change of the registry");
    }

    function test_Send_LengthLimits() public {
        vm.startPrank(address(a));
        vm.expectRevert(IMessageFacet.InvalidCiphertextLength.selector);
        message.send(idB, "1", "");
        vm.expectRevert(IMessageFacet.InvalidCiphertextLength.selector);
        message.send(idB, "1", new bytes(8193));
        message.send(idB, "1", new bytes(8192));
        message.send(idB, "2", new bytes(1));
    }

    function testFuzz_Send_ByOthers_Reverts(address caller) public {
        vm.assume(caller != address(a) && caller != address(b));
        vm.prank(caller);
        vm.expectRevert(FacetBase.NotAMember.selector);
        message.send(idB, "1", "x");
    }

    function testFuzz_Send_ToOthers_Reverts(bytes32 recipient) public {
        vm.assume(recipient != idA && recipient != idB);
        vm.prank(address(a));
        vm.expectRevert(IMessageFacet.UnknownRecipient.selector);
        message.send(recipient, "1", "x");
    }

    function test_Send_ByAndToARemovedMember_Reverts() public {
        vm.prank(clusterOwner);
        attest.removeMember(idA);
        vm.prank(address(a));
        vm.expectRevert(FacetBase.NotAMember.selector);
        message.send(idB, "1", "x");
        vm.prank(address(b));
        vm.expectRevert(IMessageFacet.UnknownRecipient.selector);
        message.send(idA, "1", "x");
    }

    function test_Send_ADuplicate_Reverts() public {
        vm.startPrank(address(a));
        message.send(idB, "1", "x");
        vm.expectRevert(IMessageFacet.DuplicateEnvelope.selector);
        message.send(idB, "1", "y");
    }

    function test_Send_OneIdPerSenderAndRecipient() public {
        vm.startPrank(address(a));
        message.send(idB, "1", "x");
        message.send(idA, "1", "to myself");
        vm.stopPrank();
        vm.prank(address(b));
        message.send(idB, "1", "another sender's id is not burnt");
        (uint64 count,) = message.inboxOf(idB);
        assertEq(count, 2, "count");
    }

    function test_InboxOf_Unknown_IsEmpty() public view {
        (uint64 count, bytes32 head) = message.inboxOf("nobody");
        assertEq(count, 0, "count");
        assertEq(head, 0, "head");
    }
}
