// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAccount } from "@account-abstraction/contracts/interfaces/IAccount.sol";
import { IEntryPoint } from "@account-abstraction/contracts/interfaces/IEntryPoint.sol";
import { PackedUserOperation } from "@account-abstraction/contracts/interfaces/PackedUserOperation.sol";
import { Initializable } from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import { Vm, vm } from "../script/Vm.sol";
import { IAttestFacet } from "../src/interfaces/IAttestFacet.sol";
import { IClusterMember } from "../src/interfaces/IClusterMember.sol";
import { DstackProof, IDstackFacet } from "../src/interfaces/IDstackFacet.sol";
import { INetworkFacet } from "../src/interfaces/INetworkFacet.sol";
import { IOperatorFacet, OperatorProof } from "../src/interfaces/IOperatorFacet.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { NodeKeys, Proofs } from "./support/Proofs.sol";
import { World } from "./support/World.sol";

/// @dev Refuses every call, with a reason.
contract Refuser {
    error Refused(uint256 code);

    fallback() external payable {
        revert Refused(7);
    }
}

contract ClusterMemberTest is World {
    uint256 private constant OTHER_KEY = 0xabcdef;

    ClusterMember private member;
    uint256 private key;
    NodeKeys private keys;

    function setUp() public override {
        super.setUp();
        member = _deployMember(1);
        key = Proofs.derivedKey(address(member));
        keys = Proofs.keysOf(1);
        vm.deal(address(member), 1 ether);
    }

    // ---- set-up

    function test_Deployed_IsBoundAndLocked() public {
        assertEq(member.cluster(), cluster, "cluster");
        assertEq(member.owner(), address(0), "no owner");
        assertEq(member.entryPoint(), address(ENTRY_POINT), "entry point");
        assertTrue(member.supportsInterface(type(IAccount).interfaceId), "account");
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        member.initialize(cluster);
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        implementation.initialize(cluster);
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        implementation.initializeFromApp(cluster);
    }

    function testFuzz_InitializeFromApp_OnAFactoryMember_Reverts(address caller) public {
        vm.assume(caller != address(0));
        vm.prank(caller);
        vm.expectRevert(IClusterMember.NotAppOwner.selector);
        member.initializeFromApp(cluster);
    }

    function testFuzz_SetOwner_ByOthers_Reverts(address caller) public {
        vm.assume(caller != cluster);
        vm.prank(caller);
        vm.expectRevert(IClusterMember.NotCluster.selector);
        member.__setOwnerFromCluster(caller);
    }

    function test_SetOwner_OnceAndNeverZero() public {
        vm.startPrank(cluster);
        vm.expectRevert(IClusterMember.ZeroOwner.selector);
        member.__setOwnerFromCluster(address(0));
        vm.expectEmit(true, true, true, true, address(member));
        emit IClusterMember.OwnerSet(stranger);
        member.__setOwnerFromCluster(stranger);
        vm.expectRevert(IClusterMember.OwnerAlreadySet.selector);
        member.__setOwnerFromCluster(stranger);
    }

    function test_Receive_TakesEther() public {
        vm.deal(stranger, 1 ether);
        vm.prank(stranger);
        (bool success,) = address(member).call{ value: 1 ether }("");
        assertTrue(success && address(member).balance == 2 ether, "received");
    }

    // ---- upgrades

    function test_Upgrade_ByTheClusterOwnerOfTheMoment() public {
        ClusterMember next = new ClusterMember(address(ENTRY_POINT));
        vm.prank(clusterOwner);
        attest.transferClusterOwnership(stranger);
        vm.prank(stranger);
        attest.acceptClusterOwnership();
        vm.prank(clusterOwner);
        vm.expectRevert(IClusterMember.NotClusterOwner.selector);
        member.upgradeToAndCall(address(next), "");
        vm.prank(stranger);
        member.upgradeToAndCall(address(next), "");
        assertEq(member.cluster(), cluster, "state stays");
    }

    function testFuzz_Upgrade_ByOthers_Reverts(address caller) public {
        vm.assume(caller != clusterOwner);
        _register(member, keys);
        ClusterMember next = new ClusterMember(address(ENTRY_POINT));
        vm.prank(caller);
        vm.expectRevert(IClusterMember.NotClusterOwner.selector);
        member.upgradeToAndCall(address(next), "");
    }

    function test_Upgrade_ByItsOwnKey_Reverts() public {
        _register(member, keys);
        ClusterMember next = new ClusterMember(address(ENTRY_POINT));
        bytes memory upgrade = abi.encodeWithSignature("upgradeToAndCall(address,bytes)", next, "");
        vm.prank(address(ENTRY_POINT));
        vm.expectRevert(IClusterMember.NotClusterOwner.selector);
        member.execute(address(member), 0, upgrade);
    }

    // ---- execute

    function testFuzz_Execute_ByOthers_Reverts(address caller, address target, bytes memory data) public {
        vm.assume(caller != address(ENTRY_POINT));
        vm.prank(caller);
        vm.expectRevert(IClusterMember.NotEntryPoint.selector);
        member.execute(target, 0, data);
    }

    function testFuzz_Execute_SendsValueAndData(uint96 value) public {
        vm.deal(address(member), value);
        vm.prank(address(ENTRY_POINT));
        member.execute(address(0xbeef), value, "");
        assertEq(address(0xbeef).balance, value, "value");
    }

    function test_Execute_BubblesRevertData() public {
        Refuser refuser = new Refuser();
        vm.prank(address(ENTRY_POINT));
        vm.expectRevert(abi.encodeWithSelector(Refuser.Refused.selector, 7));
        member.execute(address(refuser), 0, "x");
    }

    // ---- validation with an owner

    function testFuzz_Validate_OtherCallers_Revert(address caller, PackedUserOperation memory op) public {
        vm.assume(caller != address(ENTRY_POINT));
        vm.prank(caller);
        vm.expectRevert(IClusterMember.NotEntryPoint.selector);
        member.validateUserOp(op, 0, 0);
    }

    function testFuzz_Validate_BySigner(uint256 signingKey, bytes32 hash, bytes memory callData) public {
        signingKey = bound(signingKey, 1, type(uint128).max);
        _register(member, keys);
        assertEq(_validate(callData, hash, signingKey), signingKey == key ? 0 : 1, "by another key");
        assertEq(_validate(callData, hash, key), 0, "by the owner, whatever the call");
    }

    function testFuzz_Validate_AnySignatureBytes_NeverRevert(bytes memory signature, bytes32 hash) public {
        _register(member, keys);
        PackedUserOperation memory op;
        op.signature = signature;
        vm.prank(address(ENTRY_POINT));
        assertEq(member.validateUserOp(op, hash, 0), 1, "invalid");
    }

    function testFuzz_Validate_PaysThePrefund(uint64 missing) public {
        PackedUserOperation memory op;
        uint256 before = address(ENTRY_POINT).balance;
        vm.prank(address(ENTRY_POINT));
        member.validateUserOp(op, 0, missing);
        uint256 paid = missing <= 1 ether ? missing : 0; // who can not pay leaves it to the EntryPoint to refuse
        assertEq(ENTRY_POINT.balanceOf(address(member)), paid, "deposit");
        assertEq(address(ENTRY_POINT).balance, before + paid, "balance");
    }

    // ---- bootstrap

    function test_Bootstrap_OwnRegistration_IsValid() public {
        assertEq(_validate(_registerCall(address(member), keys), "hash", key), 0, "by the proof's signer");
        assertEq(_validate(_registerCall(address(member), keys), "hash", OTHER_KEY), 1, "by another");
        assertEq(member.bootstrapSigner(_registerCall(address(member), keys)), vm.addr(key), "signer");
    }

    function test_Bootstrap_OperatorRegistration_IsValidByTheOwnerKey() public {
        bytes memory call = _operatorCall(address(member), vm.addr(OTHER_KEY));
        assertEq(_validate(call, "hash", OTHER_KEY), 0, "by the owner key");
        assertEq(_validate(call, "hash", OPERATOR_KEY), 1, "not by the operator");
        assertEq(_validate(_operatorCall(address(member), address(0)), "hash", OTHER_KEY), 1, "no owner key");
    }

    function test_Bootstrap_RegistrationOfAnotherMember_IsInvalid() public {
        address other = address(_deployMember(2));
        assertEq(_validate(_registerCall(other, keys), "hash", Proofs.derivedKey(other)), 1, "dstack");
        assertEq(_validate(_operatorCall(other, vm.addr(OTHER_KEY)), "hash", OTHER_KEY), 1, "operator");
    }

    /// @dev A proof for this member inside a call that names another one.
    function test_Bootstrap_OwnProofInACallForAnother_IsInvalid() public {
        DstackProof memory proof = Proofs.dstack(cluster, address(member), keys);
        address other = address(_deployMember(2));
        bytes memory inner =
            abi.encodeCall(IDstackFacet.dstack_register, (proof, other, keys.x, keys.wg, keys.ed));
        _expectInvalid(abi.encodeCall(ClusterMember.execute, (cluster, 0, inner)));
    }

    function test_Bootstrap_OtherShapes_AreInvalid() public {
        DstackProof memory proof = Proofs.dstack(cluster, address(member), keys);
        bytes memory inner = abi.encodeCall(
            IDstackFacet.dstack_register, (proof, address(member), keys.x, keys.wg, keys.ed)
        );
        bytes4 execute = ClusterMember.execute.selector;
        _expectInvalid("");
        _expectInvalid(hex"b61d27");
        _expectInvalid(abi.encodePacked(execute));
        _expectInvalid(abi.encodeWithSelector(execute, stranger, 0, inner)); // another target
        _expectInvalid(abi.encodeWithSelector(execute, cluster, 1, inner)); // value
        _expectInvalid(abi.encodeWithSelector(execute, uint256(uint160(cluster)) | (1 << 160), 0, inner));
        _expectInvalid(abi.encodeWithSelector(execute, cluster, 0, "")); // no call
        _expectInvalid(abi.encodeWithSelector(execute, cluster, 0, abi.encodePacked(bytes4(inner)))); // no proof
        _expectInvalid(
            abi.encodeWithSelector(execute, cluster, 0, abi.encodeCall(INetworkFacet.publishWgKey, ("w")))
        );
        _expectInvalid(inner); // not wrapped
        _expectInvalid(abi.encodePacked(bytes4(0xdeadbeef), inner));
    }

    /// @dev Cut anywhere, or with any word overwritten: valid or invalid, but never a revert.
    function testFuzz_Bootstrap_DamagedCalls_NeverRevert(uint256 length, uint256 at, bytes32 word) public {
        bytes memory callData = _registerCall(address(member), keys);
        at = bound(at, 0, callData.length - 32);
        length = bound(length, 0, callData.length);
        assembly ("memory-safe") {
            mstore(add(add(callData, 0x20), at), word)
            mstore(callData, length)
        }
        _validate(callData, "hash", OTHER_KEY);
    }

    function testFuzz_Bootstrap_RandomCalls_AreInvalid(bytes memory call, uint256 signingKey) public {
        signingKey = bound(signingKey, 1, type(uint128).max);
        assertEq(_validate(call, "hash", signingKey), 1, "invalid");
        assertEq(
            _validate(
                abi.encodeWithSelector(ClusterMember.execute.selector, cluster, 0, call), "h", signingKey
            ),
            1,
            "invalid"
        );
    }

    /// @dev ERC-7562: an unstaked account may touch its own storage only, and call nobody but itself.
    function test_Bootstrap_TouchesOnlyItsOwnStorage() public {
        bytes memory call = _registerCall(address(member), keys);
        PackedUserOperation memory op = _op(call, "hash", key);
        vm.startStateDiffRecording();
        vm.prank(address(ENTRY_POINT));
        assertEq(member.validateUserOp(op, "hash", 0), 0, "valid");
        _checkAccesses(vm.stopAndReturnStateDiff());
    }

    function test_Validate_TouchesOnlyItsOwnStorage() public {
        _register(member, keys);
        PackedUserOperation memory op = _op("", "hash", key);
        vm.startStateDiffRecording();
        vm.prank(address(ENTRY_POINT));
        assertEq(member.validateUserOp(op, "hash", 0), 0, "valid");
        _checkAccesses(vm.stopAndReturnStateDiff());
    }

    function _checkAccesses(Vm.AccountAccess[] memory accesses) private view {
        for (uint256 i = 0; i < accesses.length; ++i) {
            address account = accesses[i].account;
            if (account == address(vm)) continue;
            bool precompile = uint160(account) <= 9;
            assertTrue(
                account == address(member) || account == address(implementation) || precompile, "calls nobody"
            );
            for (uint256 j = 0; j < accesses[i].storageAccesses.length; ++j) {
                assertEq(accesses[i].storageAccesses[j].account, address(member), "storage");
                assertEq(accesses[i].storageAccesses[j].isWrite, false, "writes nothing");
            }
        }
    }

    // ---- through the EntryPoint

    function test_UserOp_RegistersAndThenActs() public {
        _handle(_userOp(address(member), _registerCall(address(member), keys), key));
        bytes32 id = attest.memberIdOf(address(member));
        assertTrue(id != 0, "registered");
        assertEq(member.owner(), vm.addr(key), "owner installed");

        bytes memory publish = abi.encodeCall(INetworkFacet.publishWgKey, ("next"));
        _handle(_userOp(address(member), abi.encodeCall(ClusterMember.execute, (cluster, 0, publish)), key));
        assertEq(network.wgPubKeyOf(id), "next", "second operation");
    }

    function test_UserOp_RegistersByVoucher() public {
        _handle(_userOp(address(member), _operatorCall(address(member), vm.addr(OTHER_KEY)), OTHER_KEY));
        assertEq(member.owner(), vm.addr(OTHER_KEY), "owner");
    }

    function test_UserOp_OfAStranger_IsRefused() public {
        bytes memory call = _registerCall(address(member), keys);
        PackedUserOperation memory op = _userOp(address(member), call, OTHER_KEY);
        vm.expectRevert(abi.encodeWithSelector(IEntryPoint.FailedOp.selector, 0, "AA24 signature error"));
        _handle(op);
    }

    /// @dev A registration that the cluster refuses changes nothing but the nonce, and the owner stays unset.
    function test_UserOp_RefusedRegistration_LeavesTheMemberFree() public {
        vm.prank(clusterOwner);
        dstack.removeAllowedKmsRoot(vm.addr(Proofs.KMS_KEY));
        _handle(_userOp(address(member), _registerCall(address(member), keys), key));
        assertEq(attest.memberIdOf(address(member)), 0, "not registered");
        assertEq(member.owner(), address(0), "no owner");
        vm.prank(clusterOwner);
        dstack.addAllowedKmsRoot(vm.addr(Proofs.KMS_KEY));
        _handle(_userOp(address(member), _registerCall(address(member), keys), key));
        assertEq(member.owner(), vm.addr(key), "registered at last");
    }

    function _operatorCall(address target, address ownerKey) private view returns (bytes memory) {
        OperatorProof memory proof = Proofs.operatorVoucher(
            cluster, target, keys, ownerKey, uint64(block.timestamp + 1), OPERATOR_KEY
        );
        bytes memory inner =
            abi.encodeCall(IOperatorFacet.operator_register, (proof, target, keys.x, keys.wg, keys.ed));
        return abi.encodeCall(ClusterMember.execute, (cluster, 0, inner));
    }

    function _expectInvalid(bytes memory call) private {
        assertEq(_validate(call, "hash", key), 1, "invalid");
    }

    function _op(bytes memory callData, bytes32 hash, uint256 signingKey)
        private
        pure
        returns (PackedUserOperation memory op)
    {
        op.callData = callData;
        op.signature = Proofs.sign(signingKey, MessageHashUtils.toEthSignedMessageHash(hash));
    }

    function _validate(bytes memory callData, bytes32 hash, uint256 signingKey) private returns (uint256) {
        PackedUserOperation memory op = _op(callData, hash, signingKey);
        vm.prank(address(ENTRY_POINT));
        return member.validateUserOp(op, hash, 0);
    }
}
