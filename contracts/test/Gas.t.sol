// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { PackedUserOperation } from "@account-abstraction/contracts/interfaces/PackedUserOperation.sol";
import { VerifyingPaymaster } from "@account-abstraction/contracts/samples/VerifyingPaymaster.sol";
import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import { vm } from "../script/Vm.sol";
import { DstackProof } from "../src/interfaces/IDstackFacet.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { NodeKeys, Proofs } from "./support/Proofs.sol";
import { World } from "./support/World.sol";

/// @dev What a node's operations cost. Each measured call is a transaction of its own, so that storage is cold and
/// the transaction's base cost and call data are in the figure; "execution" is the figure without those two.
/// The snapshots are in snapshots/; script/gas prints them.
/// forge-config: default.isolate = true
contract GasTest is World {
    uint256 private constant PAYMASTER_KEY = 0xfa9;
    uint256 private constant TRANSACTION_GAS = 21_000;

    ClusterMember private first;
    bytes32 private firstId;
    ClusterMember private member;

    function setUp() public override {
        super.setUp();
        (first, firstId) = _join(1);
        member = _deployMember(2);
    }

    /// @dev A sponsored UserOperation, alone in its bundle: everything from the bundler's transaction down.
    function test_Gas_DstackRegister() public {
        NodeKeys memory keys = Proofs.keysOf(2);
        VerifyingPaymaster paymaster = new VerifyingPaymaster(ENTRY_POINT, vm.addr(PAYMASTER_KEY));
        vm.deal(address(this), 1 ether);
        ENTRY_POINT.depositTo{ value: 1 ether }(address(paymaster));
        PackedUserOperation[] memory ops = new PackedUserOperation[](1);
        ops[0] = _sponsored(paymaster, _registerCall(address(member), keys));
        vm.prank(stranger, stranger);
        ENTRY_POINT.handleOps(ops, payable(stranger));
        uint256 gasUsed = vm.snapshotGasLastCall("gas", "dstack_register_userop");
        assertTrue(attest.isClusterMember(address(member)), "registered");
        assertTrue(gasUsed <= 600_000, "limit");
    }

    function test_Gas_DstackRegister_WithoutUserOp() public {
        NodeKeys memory keys = Proofs.keysOf(2);
        DstackProof memory proof = Proofs.dstack(cluster, address(member), keys);
        dstack.dstack_register(proof, address(member), keys.x, keys.wg, keys.ed);
        _snapshot(
            "dstack_register",
            abi.encodeCall(dstack.dstack_register, (proof, address(member), keys.x, keys.wg, keys.ed))
        );
    }

    function test_Gas_Send() public {
        _register(member, Proofs.keysOf(2));
        vm.prank(address(member));
        message.send(firstId, "first", new bytes(256));
        bytes memory ciphertext =
            abi.encodePacked(keccak256("1"), keccak256("2"), keccak256("3"), keccak256("4"));
        ciphertext = abi.encodePacked(ciphertext, ciphertext);
        vm.prank(address(member));
        message.send(firstId, "second", ciphertext);
        uint256 execution =
            _snapshot("send_256", abi.encodeCall(message.send, (firstId, "second", ciphertext)));
        assertTrue(execution <= 75_000, "limit");
    }

    function test_Gas_PublishWgKey() public {
        vm.prank(address(first));
        network.publishWgKey(keccak256("next"));
        uint256 execution =
            _snapshot("publish_wg_key", abi.encodeCall(network.publishWgKey, (keccak256("next"))));
        assertTrue(execution <= 75_000, "limit");
    }

    function test_Gas_SetCskCommitment() public {
        vm.prank(address(first));
        attest.setCskCommitment(0, keccak256("c"));
        _snapshot("set_csk_commitment", abi.encodeCall(attest.setCskCommitment, (0, keccak256("c"))));
    }

    function test_Gas_RemoveMember() public {
        vm.prank(clusterOwner);
        attest.removeMember(firstId);
        _snapshot("remove_member", abi.encodeCall(attest.removeMember, (firstId)));
    }

    function test_Sizes_LeaveAMarginBelowEip170() public view {
        address[9] memory contracts = [
            core.attest,
            core.message,
            core.network,
            address(dstackFacet),
            address(operatorFacet),
            address(implementation),
            address(memberFactory),
            address(clusterFactory),
            cluster
        ];
        for (uint256 i = 0; i < contracts.length; ++i) {
            assertTrue(contracts[i].code.length < 22_000, vm.toString(i));
        }
    }

    /// @dev Snapshots the last call's execution gas, given its call data.
    function _snapshot(string memory name, bytes memory callData) private returns (uint256 execution) {
        execution = vm.lastCallGas().gasTotalUsed - TRANSACTION_GAS - _callDataGas(callData);
        vm.snapshotValue("gas", name, execution);
    }

    /// @dev EIP-2028.
    function _callDataGas(bytes memory callData) private pure returns (uint256 gas_) {
        for (uint256 i = 0; i < callData.length; ++i) {
            gas_ += callData[i] == 0 ? 4 : 16;
        }
    }

    function _sponsored(VerifyingPaymaster paymaster, bytes memory callData)
        private
        view
        returns (PackedUserOperation memory op)
    {
        uint256 key = Proofs.derivedKey(address(member));
        op = _userOp(address(member), callData, key);
        bytes memory head = abi.encodePacked(paymaster, uint128(100_000), uint128(0));
        bytes memory window = abi.encode(uint48(block.timestamp + 1 hours), uint48(0));
        op.paymasterAndData = abi.encodePacked(head, window, new bytes(65));
        bytes32 approval = paymaster.getHash(op, uint48(block.timestamp + 1 hours), 0);
        bytes memory signature = Proofs.sign(PAYMASTER_KEY, MessageHashUtils.toEthSignedMessageHash(approval));
        op.paymasterAndData = abi.encodePacked(head, window, signature);
        op.signature =
            Proofs.sign(key, MessageHashUtils.toEthSignedMessageHash(ENTRY_POINT.getUserOpHash(op)));
    }
}
