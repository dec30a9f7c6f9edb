// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { PackedUserOperation } from "@account-abstraction/contracts/interfaces/PackedUserOperation.sol";
import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import { vm } from "../script/Vm.sol";
import { IAttestFacet } from "../src/interfaces/IAttestFacet.sol";
import { DstackProof } from "../src/interfaces/IDstackFacet.sol";
import { OperatorProof } from "../src/interfaces/IOperatorFacet.sol";
import { IMessageFacet } from "../src/interfaces/IMessageFacet.sol";
import { INetworkFacet } from "../src/interfaces/INetworkFacet.sol";
import { DstackChain } from "../src/lib/DstackChain.sol";
import { MemberStorage } from "../src/lib/MemberStorage.sol";
import { MeshAddress } from "../src/lib/MeshAddress.sol";
import { OperatorVoucher } from "../src/lib/OperatorVoucher.sol";
import { Secp256k1 } from "../src/lib/Secp256k1.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { World } from "./support/World.sol";

/// @dev The project's shared vectors, which viem and noble-curves computed, against the contracts.
contract VectorsTest is World {
    string private json;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("../test/vectors/core.json");
        vm.cloneAccount(cluster, vm.parseJsonAddress(json, ".cluster"));
        _use(vm.parseJsonAddress(json, ".cluster"));
        _placeMember(vm.parseJsonAddress(json, ".members[0].memberContract"));
        _placeMember(vm.parseJsonAddress(json, ".members[1].memberContract"));
    }

    /// @dev A member contract at an arbitrary address, as Path A has them.
    function _placeMember(address at) private {
        vm.cloneAccount(address(_deployMember(uint160(at))), at);
        vm.prank(clusterOwner);
        dstack.addAllowedAppId(at);
    }

    function test_StorageSlots_AreThoseOfErc7201() public view {
        string[6] memory names = ["Member", "Message", "Network", "Dstack", "Operator", "ClusterMember"];
        for (uint256 i = 0; i < names.length; ++i) {
            bytes32 id = keccak256(bytes(string.concat("attestmesh.storage.", names[i])));
            bytes32 slot = keccak256(abi.encode(uint256(id) - 1)) & ~bytes32(uint256(0xff));
            assertEq(slot, vm.parseJsonBytes32(json, string.concat(".erc7201Slots.", names[i])), names[i]);
        }
        assertEq(MemberStorage.SLOT, vm.parseJsonBytes32(json, ".erc7201Slots.Member"), "Member");
    }

    function test_AttestorIds() public view {
        assertEq(dstackFacet.attestorId(), vm.parseJsonBytes32(json, ".attestorIds.dstack"), "dstack");
        assertEq(operatorFacet.attestorId(), vm.parseJsonBytes32(json, ".attestorIds.operator"), "operator");
    }

    function test_MemberIds_And_MeshAddresses() public view {
        string[4] memory networks = ["10.13.0.0/16", "10.18.0.0/24", "10.0.0.0/8", "172.16.0.0/29"];
        for (uint256 i = 0; i < 3; ++i) {
            string memory member = string.concat(".members[", vm.toString(i), "]");
            address at = vm.parseJsonAddress(json, string.concat(member, ".memberContract"));
            bytes32 id = keccak256(abi.encode(cluster, at, dstackFacet.attestorId()));
            bytes32 operatorId = keccak256(abi.encode(cluster, at, operatorFacet.attestorId()));
            assertEq(id, vm.parseJsonBytes32(json, string.concat(member, ".memberId")), "member id");
            assertEq(
                operatorId,
                vm.parseJsonBytes32(json, string.concat(member, ".operatorMemberId")),
                "operator id"
            );
            for (uint256 n = 0; n < networks.length; ++n) {
                string memory key = string.concat(member, ".mesh['", networks[n], "']");
                string[] memory ips = vm.parseJsonStringArray(json, key);
                (uint32 ip, uint8 prefix) = _network(networks[n]);
                for (uint8 k = 0; k < ips.length; ++k) {
                    assertEq(MeshAddress.probe(id, k, ip, prefix), _ip(ips[k]), ips[k]);
                }
            }
        }
    }

    function test_Registration_AsTheVectorHasIt() public {
        bytes32 id = _registerVector();
        IAttestFacet.MemberRecord memory record = attest.memberById(id);
        assertEq(id, vm.parseJsonBytes32(json, ".members[0].memberId"), "member id");
        assertEq(
            record.meshIp, _ip(vm.parseJsonStringArray(json, ".members[0].mesh['10.13.0.0/16']")[0]), "ip"
        );
        assertEq(record.xPubKey, vm.parseJsonBytes32(json, ".registration.xPubKey"), "x");
        assertEq(record.wgPubKey, vm.parseJsonBytes32(json, ".registration.wgPubKey"), "wg");
        assertEq(record.ed25519PubKey, vm.parseJsonBytes32(json, ".registration.ed25519PubKey"), "ed");
        assertEq(
            ClusterMember(payable(record.memberContract)).owner(),
            vm.parseJsonAddress(json, ".registration.owner"),
            "owner"
        );
    }

    function test_BindHash() public view {
        bytes32 binding = DstackChain.bindHash(
            vm.parseJsonAddress(json, ".registration.cluster"),
            vm.parseJsonAddress(json, ".registration.memberContract"),
            vm.parseJsonBytes32(json, ".registration.xPubKey"),
            vm.parseJsonBytes32(json, ".registration.wgPubKey"),
            vm.parseJsonBytes32(json, ".registration.ed25519PubKey")
        );
        assertEq(binding, vm.parseJsonBytes32(json, ".registration.bindHash"), "bind hash");
    }

    /// @dev The voucher of test/vectors/operator.json, signed as wallets sign: EIP-191 over the voucher hash.
    function test_OperatorVoucher() public {
        string memory file = vm.readFile("../test/vectors/operator.json");
        OperatorProof memory proof = OperatorProof({
            signer: vm.parseJsonAddress(file, ".voucher.signer"),
            ownerKey: vm.parseJsonAddress(file, ".voucher.ownerKey"),
            expiry: uint64(vm.parseJsonUint(file, ".voucher.expiry")),
            signature: vm.parseJsonBytes(file, ".voucher.signature")
        });
        bytes32 voucher = OperatorVoucher.hash(
            vm.parseJsonAddress(file, ".voucher.cluster"),
            vm.parseJsonAddress(file, ".voucher.memberContract"),
            vm.parseJsonBytes32(file, ".voucher.xPubKey"),
            vm.parseJsonBytes32(file, ".voucher.wgPubKey"),
            vm.parseJsonBytes32(file, ".voucher.ed25519PubKey"),
            proof
        );
        assertEq(voucher, vm.parseJsonBytes32(file, ".voucher.voucherHash"), "voucher hash");
        assertEq(
            Secp256k1.recover(MessageHashUtils.toEthSignedMessageHash(voucher), proof.signature),
            proof.signer,
            "signer"
        );
    }

    function test_UserOp_HashAndSignature() public {
        vm.chainId(vm.parseJsonUint(json, ".userOp.chainId"));
        PackedUserOperation memory op;
        op.sender = vm.parseJsonAddress(json, ".userOp.op.sender");
        op.nonce = vm.parseJsonUint(json, ".userOp.op.nonce");
        op.callData = vm.parseJsonBytes(json, ".userOp.op.callData");
        op.accountGasLimits = _pack(".userOp.op.verificationGasLimit", ".userOp.op.callGasLimit");
        op.preVerificationGas = vm.parseJsonUint(json, ".userOp.op.preVerificationGas");
        op.gasFees = _pack(".userOp.op.maxPriorityFeePerGas", ".userOp.op.maxFeePerGas");
        op.paymasterAndData = abi.encodePacked(
            vm.parseJsonAddress(json, ".userOp.op.paymaster"),
            _pack(".userOp.op.paymasterVerificationGasLimit", ".userOp.op.paymasterPostOpGasLimit"),
            vm.parseJsonBytes(json, ".userOp.op.paymasterData")
        );
        bytes32 hash = ENTRY_POINT.getUserOpHash(op);
        assertEq(hash, vm.parseJsonBytes32(json, ".userOp.userOpHash"), "user op hash");

        _registerVector();
        op.signature = vm.parseJsonBytes(json, ".userOp.signature");
        vm.prank(address(ENTRY_POINT));
        assertEq(ClusterMember(payable(op.sender)).validateUserOp(op, hash, 0), 0, "valid");
        assertEq(
            Secp256k1.recover(MessageHashUtils.toEthSignedMessageHash(hash), op.signature),
            vm.parseJsonAddress(json, ".userOp.owner"),
            "signer"
        );
    }

    function test_Topics() public view {
        _checkTopic("MemberRegistered", IAttestFacet.MemberRegistered.selector);
        _checkTopic("MemberRemoved", IAttestFacet.MemberRemoved.selector);
        _checkTopic("CskCommitmentSet", IAttestFacet.CskCommitmentSet.selector);
        _checkTopic("CskRotationStarted", IAttestFacet.CskRotationStarted.selector);
        _checkTopic("WgKeyPublished", INetworkFacet.WgKeyPublished.selector);
        _checkTopic("Ed25519KeyPublished", INetworkFacet.Ed25519KeyPublished.selector);
        _checkTopic("MessageSent", IMessageFacet.MessageSent.selector);
    }

    function test_HeadChain() public {
        bytes32 id = _registerVector();
        _checkHead(0);
        vm.startPrank(vm.parseJsonAddress(json, ".registration.memberContract"));
        attest.setCskCommitment(0, vm.parseJsonBytes32(json, ".headChain.steps[1].args[1]"));
        _checkHead(1);
        network.publishWgKey(vm.parseJsonBytes32(json, ".headChain.steps[2].args[1]"));
        _checkHead(2);
        vm.stopPrank();
        assertEq(network.wgPubKeyOf(id), vm.parseJsonBytes32(json, ".headChain.steps[2].args[1]"), "key");
        // The vector removes a member that its chain never registered: record the bare changes.
        vm.startPrank(cluster);
        bytes32 removed = vm.parseJsonBytes32(json, ".headChain.steps[3].args[0]");
        attest._recordChange(keccak256(abi.encode(IAttestFacet.MemberRemoved.selector, removed)));
        _checkHead(3);
        attest._recordChange(keccak256(abi.encode(IAttestFacet.CskRotationStarted.selector, uint64(1))));
        _checkHead(4);
    }

    function test_InboxChain() public {
        bytes32 sender = _registerVector();
        vm.startPrank(cluster);
        bytes32 recipient = attest._addMember(
            vm.parseJsonAddress(json, ".members[1].memberContract"),
            dstackFacet.attestorId(),
            bytes32(uint256(1)),
            bytes32(uint256(2)),
            bytes32(uint256(3))
        );
        vm.stopPrank();
        assertEq(recipient, vm.parseJsonBytes32(json, ".inboxChain.recipient"), "recipient");
        for (uint256 i = 0; i < 2; ++i) {
            string memory step = string.concat(".inboxChain.steps[", vm.toString(i), "]");
            assertEq(sender, vm.parseJsonBytes32(json, string.concat(step, ".sender")), "sender");
            vm.prank(vm.parseJsonAddress(json, ".registration.memberContract"));
            message.send(
                recipient,
                vm.parseJsonBytes32(json, string.concat(step, ".envelopeId")),
                vm.parseJsonBytes(json, string.concat(step, ".ciphertext"))
            );
            (uint64 count, bytes32 head) = message.inboxOf(recipient);
            assertEq(count, vm.parseJsonUint(json, string.concat(step, ".count")), "count");
            assertEq(head, vm.parseJsonBytes32(json, string.concat(step, ".head")), "inbox head");
        }
    }

    function _registerVector() private returns (bytes32) {
        vm.prank(clusterOwner);
        dstack.addAllowedKmsRoot(vm.parseJsonAddress(json, ".registration.kmsRoot"));
        DstackProof memory proof = DstackProof({
            codeId: vm.parseJsonBytes32(json, ".registration.codeId"),
            messageHash: vm.parseJsonBytes32(json, ".registration.bindHash"),
            messageSignature: vm.parseJsonBytes(json, ".registration.messageSignature"),
            appSignature: vm.parseJsonBytes(json, ".registration.appSignature"),
            kmsSignature: vm.parseJsonBytes(json, ".registration.kmsSignature"),
            derivedCompressedPubkey: vm.parseJsonBytes(json, ".registration.derivedCompressedPubkey"),
            appCompressedPubkey: vm.parseJsonBytes(json, ".registration.appCompressedPubkey"),
            purpose: vm.parseJsonString(json, ".registration.purpose")
        });
        return dstack.dstack_register(
            proof,
            vm.parseJsonAddress(json, ".registration.memberContract"),
            vm.parseJsonBytes32(json, ".registration.xPubKey"),
            vm.parseJsonBytes32(json, ".registration.wgPubKey"),
            vm.parseJsonBytes32(json, ".registration.ed25519PubKey")
        );
    }

    function _checkHead(uint256 step) private view {
        string memory path = string.concat(".headChain.steps[", vm.toString(step), "]");
        (uint64 version, bytes32 head,,,,,,,,) = attest.nodeState(0);
        assertEq(version, vm.parseJsonUint(json, string.concat(path, ".version")), "version");
        assertEq(head, vm.parseJsonBytes32(json, string.concat(path, ".head")), "head");
    }

    function _checkTopic(string memory name, bytes32 topic) private view {
        assertEq(topic, vm.parseJsonBytes32(json, string.concat(".topics.", name)), name);
    }

    function _pack(string memory high, string memory low) private view returns (bytes32) {
        return bytes32((vm.parseJsonUint(json, high) << 128) | vm.parseJsonUint(json, low));
    }

    function _network(string memory text) private pure returns (uint32, uint8) {
        string[] memory parts = vm.split(text, "/");
        return (_ip(parts[0]), uint8(vm.parseUint(parts[1])));
    }

    function _ip(string memory text) private pure returns (uint32 ip) {
        string[] memory octets = vm.split(text, ".");
        for (uint256 i = 0; i < 4; ++i) {
            ip = (ip << 8) | uint32(vm.parseUint(octets[i]));
        }
    }
}
