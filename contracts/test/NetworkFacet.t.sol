// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { vm } from "../script/Vm.sol";
import { INetworkFacet } from "../src/interfaces/INetworkFacet.sol";
import { FacetBase } from "../src/lib/FacetBase.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { NodeKeys, Proofs } from "./support/Proofs.sol";
import { World } from "./support/World.sol";

contract NetworkFacetTest is World {
    ClusterMember private a;
    ClusterMember private b;
    bytes32 private idA;
    bytes32 private idB;

    function setUp() public override {
        super.setUp();
        (a, idA) = _join(1);
        (b, idB) = _join(2);
    }

    function test_Keys_OfRegistration() public view {
        NodeKeys memory keys = Proofs.keysOf(1);
        assertEq(network.wgPubKeyOf(idA), keys.wg, "wg");
        assertEq(network.ed25519PubKeyOf(idA), keys.ed, "ed");
        assertEq(network.wgKeyHolder(keys.wg), idA, "holder");
    }

    function testFuzz_PublishWgKey(bytes32 key) public {
        vm.assume(key != 0 && network.wgKeyHolder(key) == 0);
        vm.expectEmit(true, true, true, true, cluster);
        emit INetworkFacet.WgKeyPublished(idA, key);
        vm.prank(address(a));
        network.publishWgKey(key);
        assertEq(network.wgPubKeyOf(idA), key, "key");
        assertEq(network.wgKeyHolder(key), idA, "holder");
        assertEq(attest.memberById(idA).wgPubKey, key, "record");
    }

    function testFuzz_PublishEd25519Key(bytes32 key) public {
        vm.assume(key != 0 && key != Proofs.keysOf(1).ed);
        vm.expectEmit(true, true, true, true, cluster);
        emit INetworkFacet.Ed25519KeyPublished(idA, key);
        vm.prank(address(a));
        network.publishEd25519Key(key);
        assertEq(network.ed25519PubKeyOf(idA), key, "key");
        assertEq(attest.memberById(idA).ed25519PubKey, key, "record");
    }

    function testFuzz_Publish_ByOthers_Reverts(address caller, bytes32 key) public {
        vm.assume(caller != address(a) && caller != address(b));
        vm.startPrank(caller);
        vm.expectRevert(FacetBase.NotAMember.selector);
        network.publishWgKey(key);
        vm.expectRevert(FacetBase.NotAMember.selector);
        network.publishEd25519Key(key);
    }

    function test_Publish_ByARemovedMember_Reverts() public {
        vm.prank(clusterOwner);
        attest.removeMember(idA);
        vm.startPrank(address(a));
        vm.expectRevert(FacetBase.NotAMember.selector);
        network.publishWgKey("w");
        vm.expectRevert(FacetBase.NotAMember.selector);
        network.publishEd25519Key("e");
    }

    function test_Publish_Zero_Reverts() public {
        vm.startPrank(address(a));
        vm.expectRevert(FacetBase.ZeroKey.selector);
        network.publishWgKey(0);
        vm.expectRevert(FacetBase.ZeroKey.selector);
        network.publishEd25519Key(0);
    }

    function test_PublishWgKey_ThatAnotherHolds_Reverts() public {
        bytes32 taken = Proofs.keysOf(2).wg;
        vm.prank(address(a));
        vm.expectRevert(INetworkFacet.WgKeyTaken.selector);
        network.publishWgKey(taken);
    }

    function test_PublishWgKey_ThatAnotherOnceHeld_Reverts() public {
        vm.prank(address(b));
        network.publishWgKey("next");
        bytes32 old = Proofs.keysOf(2).wg;
        vm.prank(address(a));
        vm.expectRevert(INetworkFacet.WgKeyTaken.selector);
        network.publishWgKey(old);
        vm.prank(clusterOwner);
        attest.removeMember(idB);
        vm.prank(address(a));
        vm.expectRevert(INetworkFacet.WgKeyTaken.selector);
        network.publishWgKey("next");
    }

    function test_Register_WithAWgKeyThatAnotherHeld_Reverts() public {
        ClusterMember c = _deployMember(3);
        NodeKeys memory keys = Proofs.keysOf(3);
        keys.wg = Proofs.keysOf(2).wg;
        vm.prank(cluster);
        vm.expectRevert(INetworkFacet.WgKeyTaken.selector);
        attest._addMember(address(c), "a", keys.x, keys.wg, keys.ed);
    }

    function test_PublishWgKey_BackToAnOwnOldKey() public {
        vm.startPrank(address(a));
        network.publishWgKey("next");
        network.publishWgKey(Proofs.keysOf(1).wg);
        assertEq(network.wgPubKeyOf(idA), Proofs.keysOf(1).wg, "key");
    }

    function test_Publish_TheCurrentKey_ChangesNothing() public {
        uint64 version = _version();
        vm.recordLogs();
        vm.startPrank(address(a));
        network.publishWgKey(Proofs.keysOf(1).wg);
        network.publishEd25519Key(Proofs.keysOf(1).ed);
        assertEq(_version(), version, "version");
        assertEq(vm.getRecordedLogs().length, 0, "events");
    }

    function testFuzz_SetInitialKeys_FromOutside_Reverts(address caller) public {
        vm.assume(caller != cluster);
        vm.prank(caller);
        vm.expectRevert(FacetBase.OnlySelf.selector);
        network._setInitialKeys(idA, "w", "e");
    }
}
