// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Mesh IPv4 addresses, derived from member ids.
library MeshAddress {
    uint32 internal constant DEFAULT_NETWORK = 0x0a0d0000; // 10.13.0.0
    uint8 internal constant DEFAULT_PREFIX = 16;
    uint8 internal constant MIN_PREFIX = 8;
    uint8 internal constant MAX_PREFIX = 29;
    uint8 internal constant MAX_PROBES = 64;

    /// @notice The address that a member tries at its k-th probe. Never the network's or its broadcast address.
    function probe(bytes32 memberId, uint8 k, uint32 network, uint8 prefix) internal pure returns (uint32) {
        bytes32 seed = k == 0 ? keccak256(abi.encode(memberId)) : keccak256(abi.encodePacked(memberId, k));
        uint256 usable = (uint256(1) << (32 - prefix)) - 2;
        return network | uint32((uint32(uint256(seed)) % usable) + 1);
    }

    /// @notice True iff the prefix is in range and the network has no host bits.
    function isValidNetwork(uint32 network, uint8 prefix) internal pure returns (bool) {
        if (prefix < MIN_PREFIX || prefix > MAX_PREFIX) return false;
        return network & uint32((uint256(1) << (32 - prefix)) - 1) == 0;
    }
}
