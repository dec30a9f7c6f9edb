// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import { DstackProof, IDstackFacet, SigChainLink } from "../interfaces/IDstackFacet.sol";
import { Secp256k1 } from "./Secp256k1.sol";

/// @title The signature chain from dstack's KMS root down to a member's binding.
/// @dev KMS root -> app key (for this app id) -> derived key (for our purpose) -> binding of the member's keys.
library DstackChain {
    string internal constant PURPOSE = "attestmesh.binding.v1";

    /// @notice What the derived key signs: the keys that a member contract registers in a cluster.
    function bindHash(
        address cluster,
        address memberContract,
        bytes32 xPubKey,
        bytes32 wgPubKey,
        bytes32 ed25519PubKey
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode("attestmesh.bind.v2", cluster, memberContract, xPubKey, wgPubKey, ed25519PubKey)
        );
    }

    /// @notice The key that signed a binding as EIP-191 personal message, zero if the signature is malformed.
    function bindingSigner(bytes32 binding, bytes memory messageSignature) internal pure returns (address) {
        return Secp256k1.recover(MessageHashUtils.toEthSignedMessageHash(binding), messageSignature);
    }

    /// @notice Verifies all signatures of a proof whose messageHash and app id the caller has checked.
    /// @return derivedKey Address of the key that signed the binding.
    /// @return kmsRoot Who signed for the app key. The caller must check that it trusts this root.
    function verify(DstackProof memory proof, address appId)
        internal
        view
        returns (address derivedKey, address kmsRoot)
    {
        if (keccak256(bytes(proof.purpose)) != keccak256(bytes(PURPOSE))) _fail(SigChainLink.Purpose);

        derivedKey = Secp256k1.addressOf(proof.derivedCompressedPubkey);
        if (derivedKey == address(0)) _fail(SigChainLink.DerivedKey);
        if (bindingSigner(proof.messageHash, proof.messageSignature) != derivedKey) {
            _fail(SigChainLink.DerivedKey);
        }

        address appKey = Secp256k1.addressOf(proof.appCompressedPubkey);
        if (appKey == address(0)) _fail(SigChainLink.AppKey);
        bytes32 derivedHash =
            keccak256(abi.encodePacked(proof.purpose, ":", _hexLower(proof.derivedCompressedPubkey)));
        if (Secp256k1.recover(derivedHash, proof.appSignature) != appKey) _fail(SigChainLink.AppKey);

        bytes32 appHash = keccak256(abi.encodePacked("dstack-kms-issued:", appId, proof.appCompressedPubkey));
        kmsRoot = Secp256k1.recover(appHash, proof.kmsSignature);
        if (kmsRoot == address(0)) _fail(SigChainLink.KmsSignature);
    }

    function _fail(SigChainLink link) private pure {
        revert IDstackFacet.InvalidSigChain(link);
    }

    /// @dev Lower-case hexadecimal text of a 33-byte key, 16 bytes at a time.
    function _hexLower(bytes memory key) private pure returns (bytes memory) {
        bytes32 head;
        assembly ("memory-safe") {
            head := mload(add(key, 0x20))
        }
        bytes32 tail = _hexDigits(bytes16(key[32]));
        return abi.encodePacked(_hexDigits(bytes16(head)), _hexDigits(bytes16(head << 128)), bytes2(tail));
    }

    /// @dev All 32 digits at once: spreads the nibbles to a byte each, then adds '0', and 39 more from ten on ('a').
    function _hexDigits(bytes16 data) private pure returns (bytes32) {
        uint256 x = uint128(data);
        x = (x | x << 64) & 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
        x = (x | x << 32) & 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
        x = (x | x << 16) & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
        x = (x | x << 8) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
        x = (x | x << 4) & 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
        uint256 ones = 0x0101010101010101010101010101010101010101010101010101010101010101;
        uint256 fromTen = ((x + 6 * ones) >> 4) & ones;
        return bytes32(x + 0x30 * ones + 39 * fromTen);
    }
}
