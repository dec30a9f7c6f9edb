// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What the diamond offers its own facets beyond ERC-2535.
interface IClusterDiamond {
    /// @notice Owner of the diamond: may cut facets.
    function owner() external view returns (address);

    /// @notice Hands the diamond over without a second step. Only the diamond itself, for `acceptBothOwners`.
    function _setDiamondOwner(address newOwner) external;
}
