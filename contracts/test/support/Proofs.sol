// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Vm, vm } from "../../script/Vm.sol";
import { DstackProof } from "../../src/interfaces/IDstackFacet.sol";
import { OperatorProof } from "../../src/interfaces/IOperatorFacet.sol";
import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @dev The keys a node registers.
struct NodeKeys {
    bytes32 x;
    bytes32 wg;
    bytes32 ed;
}

/// @title Proofs as the agent and dstack's KMS make them.
library Proofs {
    uint256 internal constant KMS_KEY = uint256(keccak256("test kms root")) >> 1;

    /// @dev App and derived keys are functions of the member contract, as with a real KMS.
    function appKey(address member) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("app", member))) >> 1;
    }

    function derivedKey(address member) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("derived", member))) >> 1;
    }

    function keysOf(uint256 seed) internal pure returns (NodeKeys memory) {
        return NodeKeys({
            x: keccak256(abi.encode("x", seed)),
            wg: keccak256(abi.encode("wg", seed)),
            ed: keccak256(abi.encode("ed", seed))
        });
    }

    function bindHash(address cluster, address member, NodeKeys memory keys) internal pure returns (bytes32) {
        return keccak256(abi.encode("attestmesh.bind.v2", cluster, member, keys.x, keys.wg, keys.ed));
    }

    function dstack(address cluster, address member, NodeKeys memory keys)
        internal
        returns (DstackProof memory proof)
    {
        return dstack(cluster, member, keys, KMS_KEY);
    }

    function dstack(address cluster, address member, NodeKeys memory keys, uint256 kmsKey)
        internal
        returns (DstackProof memory proof)
    {
        proof.codeId = bytes32(bytes20(member));
        proof.messageHash = bindHash(cluster, member, keys);
        proof.purpose = "attestmesh.binding.v1";
        proof.derivedCompressedPubkey = compressed(derivedKey(member));
        proof.appCompressedPubkey = compressed(appKey(member));
        proof.messageSignature =
            sign(derivedKey(member), MessageHashUtils.toEthSignedMessageHash(proof.messageHash));
        bytes memory derivedHex = hexLower(proof.derivedCompressedPubkey);
        proof.appSignature = sign(appKey(member), keccak256(abi.encodePacked(proof.purpose, ":", derivedHex)));
        proof.kmsSignature = sign(
            kmsKey, keccak256(abi.encodePacked("dstack-kms-issued:", member, proof.appCompressedPubkey))
        );
    }

    function operatorVoucher(
        address cluster,
        address member,
        NodeKeys memory keys,
        address ownerKey,
        uint64 expiry,
        uint256 operatorKey
    ) internal pure returns (OperatorProof memory proof) {
        bytes32 voucher = keccak256(
            abi.encode(
                "attestmesh.operator.bind.v1", cluster, member, keys.x, keys.wg, keys.ed, ownerKey, expiry
            )
        );
        proof.signer = vm.addr(operatorKey);
        proof.ownerKey = ownerKey;
        proof.expiry = expiry;
        proof.signature = sign(operatorKey, MessageHashUtils.toEthSignedMessageHash(voucher));
    }

    function compressed(uint256 privateKey) internal returns (bytes memory) {
        Vm.Wallet memory wallet = vm.createWallet(privateKey);
        return abi.encodePacked(wallet.publicKeyY & 1 == 0 ? bytes1(0x02) : bytes1(0x03), wallet.publicKeyX);
    }

    function sign(uint256 privateKey, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, digest);
        return abi.encodePacked(r, s, v);
    }

    function hexLower(bytes memory data) internal pure returns (bytes memory text) {
        for (uint256 i = 0; i < data.length; ++i) {
            text = abi.encodePacked(text, _digit(uint8(data[i]) / 16), _digit(uint8(data[i]) % 16));
        }
    }

    function _digit(uint8 value) private pure returns (bytes1) {
        return bytes1(value < 10 ? 48 + value : 87 + value);
    }
}
