// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Signatures and compressed public keys as dstack and wallets write them.
library Secp256k1 {
    uint256 private constant P = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;
    uint256 private constant SQRT_EXPONENT = (P + 1) / 4; // P = 3 mod 4

    /// @notice The signer of `hash`, zero if the signature is malformed: r ‖ s ‖ v with v 0, 1, 27 or 28 and low s.
    function recover(bytes32 hash, bytes memory signature) internal pure returns (address signer) {
        if (signature.length != 65) return address(0);
        bytes32 r;
        bytes32 s;
        uint8 v;
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
            v := byte(0, mload(add(signature, 0x60)))
        }
        if (v < 2) v += 27;
        (signer,,) = ECDSA.tryRecover(hash, v, r, s);
    }

    /// @notice The address of a 33-byte SEC1 public key, zero if the bytes are none.
    function addressOf(bytes memory compressed) internal view returns (address) {
        if (compressed.length != 33) return address(0);
        uint256 x;
        assembly ("memory-safe") {
            x := mload(add(compressed, 0x21))
        }
        uint8 prefix = uint8(compressed[0]);
        if ((prefix != 2 && prefix != 3) || x >= P) return address(0);

        uint256 ySquared = addmod(mulmod(mulmod(x, x, P), x, P), 7, P);
        uint256 y = _powmod(ySquared, SQRT_EXPONENT);
        if (mulmod(y, y, P) != ySquared) return address(0); // x is on no point of the curve
        if (y & 1 != prefix & 1) y = P - y;
        return address(uint160(uint256(keccak256(abi.encode(x, y)))));
    }

    /// @dev base ** exponent mod P by the modexp precompile (EIP-198).
    function _powmod(uint256 base, uint256 exponent) private view returns (uint256 result) {
        (, bytes memory answer) =
            address(5).staticcall(abi.encode(uint256(32), uint256(32), uint256(32), base, exponent, P));
        result = abi.decode(answer, (uint256));
    }
}
