// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAttestFacet } from "../interfaces/IAttestFacet.sol";

/// @title What facets share: how they reach the registry, and the gates on who calls.
/// @dev Facets keep their state in one ERC-7201 namespace each and reach each other only by calling the diamond.
abstract contract FacetBase {
    /// @notice Only the diamond itself may call this.
    error OnlySelf();
    /// @notice The caller is no live member.
    error NotAMember();
    /// @notice A key is never zero.
    error ZeroKey();

    modifier onlySelf() {
        _checkSelf();
        _;
    }

    /// @dev The cluster owner, or the diamond on the owner's behalf.
    modifier onlyClusterOwner() {
        _checkClusterOwner();
        _;
    }

    function _checkSelf() internal view {
        if (msg.sender != address(this)) revert OnlySelf();
    }

    function _checkClusterOwner() internal view virtual {
        if (msg.sender != _registry().clusterOwner()) revert IAttestFacet.NotClusterOwner();
    }

    function _registry() internal view returns (IAttestFacet) {
        return IAttestFacet(address(this));
    }

    /// @dev The caller's member id; reverts NotAMember.
    function _callerMemberId() internal view returns (bytes32 memberId) {
        memberId = _registry().liveMemberIdOf(msg.sender);
        if (memberId == 0) revert NotAMember();
    }
}
