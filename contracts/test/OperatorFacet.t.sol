// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { vm } from "../script/Vm.sol";
import { IAttestFacet } from "../src/interfaces/IAttestFacet.sol";
import { IOperatorFacet, OperatorProof } from "../src/interfaces/IOperatorFacet.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { NodeKeys, Proofs } from "./support/Proofs.sol";
import { World } from "./support/World.sol";

contract OperatorFacetTest is World {
    address private constant OWNER_KEY = address(0xbeef);

    ClusterMember private member;
    NodeKeys private keys;

    function setUp() public override {
        super.setUp();
        member = _deployMember(1);
        keys = Proofs.keysOf(1);
    }

    function _voucher() private view returns (OperatorProof memory) {
        uint64 expiry = uint64(block.timestamp + 1 hours);
        return Proofs.operatorVoucher(cluster, address(member), keys, OWNER_KEY, expiry, OPERATOR_KEY);
    }

    function _submit(OperatorProof memory proof) private returns (bytes32) {
        return operator.operator_register(proof, address(member), keys.x, keys.wg, keys.ed);
    }

    function testFuzz_Register_ByAnybody(address caller) public {
        bytes32 expected = keccak256(abi.encode(cluster, address(member), operatorFacet.attestorId()));
        vm.expectEmit(true, true, true, true, cluster);
        emit IOperatorFacet.OperatorMemberRegistered(expected, vm.addr(OPERATOR_KEY), OWNER_KEY);
        vm.prank(caller);
        assertEq(_submit(_voucher()), expected, "id");
        assertEq(member.owner(), OWNER_KEY, "owner");
        assertEq(attest.memberById(expected).attestorId, operatorFacet.attestorId(), "attestor");
        assertEq(network.ed25519PubKeyOf(expected), keys.ed, "keys");
    }

    function test_Register_Again_Reverts() public {
        _submit(_voucher());
        vm.expectRevert(IAttestFacet.AlreadyMember.selector);
        _submit(_voucher());
    }

    function test_Register_AMemberOfTheOtherMethod_Reverts() public {
        _register(member, keys);
        vm.expectRevert(IAttestFacet.AlreadyMember.selector);
        _submit(_voucher());
    }

    function test_Register_AContractOfNobody_Reverts() public {
        OperatorProof memory proof = _voucher();
        vm.prank(clusterOwner);
        dstack.addAllowedAppId(stranger); // dstack's list is dstack's alone
        vm.expectRevert(IOperatorFacet.NotFactoryMember.selector);
        operator.operator_register(proof, stranger, keys.x, keys.wg, keys.ed);
    }

    function test_Register_ZeroOwnerKey_Reverts() public {
        OperatorProof memory proof = _voucher();
        proof.ownerKey = address(0);
        vm.expectRevert(IOperatorFacet.ZeroOperatorValue.selector);
        _submit(proof);
    }

    function test_Register_Expiry() public {
        OperatorProof memory proof = _voucher();
        vm.warp(proof.expiry + 1);
        vm.expectRevert(IOperatorFacet.VoucherExpired.selector);
        _submit(proof);
        vm.warp(proof.expiry);
        _submit(proof);
    }

    function testFuzz_Register_UnknownOperator_Reverts(uint256 key) public {
        key = bound(key, 1, type(uint128).max);
        OperatorProof memory proof =
            Proofs.operatorVoucher(cluster, address(member), keys, OWNER_KEY, uint64(block.timestamp), key);
        vm.expectRevert(IOperatorFacet.UnknownOperator.selector);
        _submit(proof);
    }

    function test_Register_RemovedOperator_Reverts() public {
        vm.prank(clusterOwner);
        operator.removeOperator(vm.addr(OPERATOR_KEY));
        OperatorProof memory proof = _voucher();
        vm.expectRevert(IOperatorFacet.UnknownOperator.selector);
        _submit(proof);
    }

    /// @dev Nothing that the voucher covers can be changed.
    function testFuzz_Register_ChangedVoucher_Reverts(uint8 field, bytes32 value) public {
        OperatorProof memory proof = _voucher();
        NodeKeys memory changed = NodeKeys({ x: keys.x, wg: keys.wg, ed: keys.ed });
        ClusterMember target = member;
        field = field % 6;
        if (field == 0) changed.x = value;
        if (field == 1) changed.wg = value;
        if (field == 2) changed.ed = value;
        if (field == 3) proof.ownerKey = address(uint160(uint256(value) | 1));
        if (field == 4) ++proof.expiry;
        if (field == 5) target = _deployMember(2);
        vm.expectRevert(IOperatorFacet.InvalidVoucher.selector);
        operator.operator_register(proof, address(target), changed.x, changed.wg, changed.ed);
    }

    function testFuzz_Register_BadSignature_Reverts(bytes memory signature) public {
        OperatorProof memory proof = _voucher();
        proof.signature = signature;
        vm.expectRevert(IOperatorFacet.InvalidVoucher.selector);
        _submit(proof);
    }

    function test_Operators_AddAndRemove() public {
        vm.startPrank(clusterOwner);
        vm.expectEmit(true, true, true, true, cluster);
        emit IOperatorFacet.OperatorAllowed(stranger, true);
        operator.addOperator(stranger);
        assertTrue(operator.isOperator(stranger), "added");
        operator.removeOperator(stranger);
        assertTrue(!operator.isOperator(stranger), "removed");
        vm.expectRevert(IOperatorFacet.ZeroOperatorValue.selector);
        operator.addOperator(address(0));
    }

    function testFuzz_Operators_HoldWhatWasAdded(address account) public {
        vm.assume(account != address(0) && account != vm.addr(OPERATOR_KEY));
        vm.startPrank(clusterOwner);
        operator.addOperator(account);
        assertTrue(operator.isOperator(account), "added");
        operator.removeOperator(account);
        assertTrue(!operator.isOperator(account), "removed");
        assertTrue(operator.isOperator(vm.addr(OPERATOR_KEY)), "others stay");
    }

    function testFuzz_Operators_ByOthers_Revert(address caller) public {
        vm.assume(caller != clusterOwner);
        vm.startPrank(caller);
        vm.expectRevert(IAttestFacet.NotClusterOwner.selector);
        operator.addOperator(caller);
        vm.expectRevert(IAttestFacet.NotClusterOwner.selector);
        operator.removeOperator(vm.addr(OPERATOR_KEY));
    }
}
