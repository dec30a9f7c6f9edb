// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Ownable } from "@openzeppelin/contracts/access/Ownable.sol";
import { vm } from "../script/Vm.sol";
import { IndexerRegistry } from "../src/IndexerRegistry.sol";
import { Test } from "./support/Test.sol";

contract IndexerRegistryTest is Test {
    address private constant OWNER = address(0xa11ce);

    IndexerRegistry private registry;

    function setUp() public {
        registry = new IndexerRegistry(OWNER);
    }

    function test_Current_OfNothing_IsEmpty() public view {
        (string memory endpoint, bytes32 codeId, bytes32 pubKey, uint64 updatedAt) = registry.current();
        assertEq(endpoint, "", "endpoint");
        assertTrue(codeId == 0 && pubKey == 0 && updatedAt == 0, "nothing");
    }

    function testFuzz_SetIndexer(bytes32 codeId, bytes32 pubKey, uint32 at) public {
        vm.assume(pubKey != 0);
        vm.warp(at);
        vm.expectEmit(true, true, true, true, address(registry));
        emit IndexerRegistry.IndexerUpdated("indexer.example.net:443", codeId, pubKey);
        vm.prank(OWNER);
        registry.setIndexer("indexer.example.net:443", codeId, pubKey);
        (string memory endpoint, bytes32 code, bytes32 key, uint64 updatedAt) = registry.current();
        assertEq(endpoint, "indexer.example.net:443", "endpoint");
        assertEq(code, codeId, "code");
        assertEq(key, pubKey, "key");
        assertEq(updatedAt, at, "time");
    }

    function test_SetIndexer_Refusals() public {
        vm.startPrank(OWNER);
        vm.expectRevert(IndexerRegistry.InvalidIndexer.selector);
        registry.setIndexer("", "c", "k");
        vm.expectRevert(IndexerRegistry.InvalidIndexer.selector);
        registry.setIndexer(string(new bytes(256)), "c", "k");
        vm.expectRevert(IndexerRegistry.InvalidIndexer.selector);
        registry.setIndexer("e", "c", 0);
    }

    function testFuzz_SetIndexer_ByOthers_Reverts(address caller) public {
        vm.assume(caller != OWNER);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller));
        registry.setIndexer("e", "c", "k");
    }

    function testFuzz_Ownership_TwoSteps(address newOwner) public {
        vm.assume(newOwner != address(0) && newOwner != OWNER);
        vm.prank(OWNER);
        registry.transferOwnership(newOwner);
        assertEq(registry.owner(), OWNER, "not yet");
        vm.prank(newOwner);
        registry.acceptOwnership();
        assertEq(registry.owner(), newOwner, "moved");
    }
}
