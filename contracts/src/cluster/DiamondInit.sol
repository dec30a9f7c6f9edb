// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAttestFacet } from "../interfaces/IAttestFacet.sol";
import { MemberStorage } from "../lib/MemberStorage.sol";
import { MeshAddress } from "../lib/MeshAddress.sol";

/// @title Sets the core facets' storage up. Delegatecalled by the diamond's constructor.
contract DiamondInit {
    /// @notice A cluster needs an owner.
    error ZeroClusterOwner();
    /// @notice The prefix is not 8 to 29, or the network address has host bits.
    error InvalidMeshNetwork();

    /// @notice Sets who owns the cluster and which network its mesh uses; 0/0 means 10.13.0.0/16.
    function init(address clusterOwner, uint32 cidrIp, uint8 cidrPrefix) external {
        if (clusterOwner == address(0)) revert ZeroClusterOwner();
        if (cidrIp == 0 && cidrPrefix == 0) {
            (cidrIp, cidrPrefix) = (MeshAddress.DEFAULT_NETWORK, MeshAddress.DEFAULT_PREFIX);
        }
        if (!MeshAddress.isValidNetwork(cidrIp, cidrPrefix)) revert InvalidMeshNetwork();

        MemberStorage.Layout storage $ = MemberStorage.layout();
        $.clusterOwner = clusterOwner;
        $.cidrIp = cidrIp;
        $.cidrPrefix = cidrPrefix;
        emit IAttestFacet.ClusterOwnershipTransferred(address(0), clusterOwner);
    }
}
