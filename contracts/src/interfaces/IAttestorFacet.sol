// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What a facet must offer to be installed as an attestation method.
/// @dev These are called on the implementation; none of them is cut into the diamond.
interface IAttestorFacet {
    /// @notice Name of the method, a part of its members' ids.
    function attestorId() external view returns (bytes32);

    /// @notice The functions to cut into the diamond.
    function selectors() external view returns (bytes4[] memory);

    /// @notice Sets the facet's storage up. Delegatecalled by the diamond, once, when the facet is cut in.
    function initAttestor(bytes calldata initData) external;
}
