// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @dev Assertions; one that fails reverts with both sides and what was compared.
abstract contract Test {
    error NotEqual(bytes32 actual, bytes32 expected, string what);
    error BytesNotEqual(bytes actual, bytes expected, string what);
    error NotTrue(string what);

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    function assertEq(bytes32 actual, bytes32 expected, string memory what) internal pure {
        if (actual != expected) revert NotEqual(actual, expected, what);
    }

    function assertEq(uint256 actual, uint256 expected, string memory what) internal pure {
        assertEq(bytes32(actual), bytes32(expected), what);
    }

    function assertEq(address actual, address expected, string memory what) internal pure {
        assertEq(uint160(actual), uint160(expected), what);
    }

    function assertEq(bool actual, bool expected, string memory what) internal pure {
        assertEq(actual ? 1 : 0, expected ? 1 : 0, what);
    }

    function assertEq(bytes memory actual, bytes memory expected, string memory what) internal pure {
        if (keccak256(actual) != keccak256(expected)) revert BytesNotEqual(actual, expected, what);
    }

    function assertEq(string memory actual, string memory expected, string memory what) internal pure {
        assertEq(bytes(actual), bytes(expected), what);
    }

    /// @dev `x` folded into [min, max].
    function bound(uint256 x, uint256 min, uint256 max) internal pure returns (uint256) {
        return x >= min && x <= max ? x : min + x % (max - min + 1);
    }
}
