// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Deploys member contracts at addresses that depend on no key.
interface IClusterMemberFactory {
    event MemberDeployed(address indexed member, address indexed cluster, bytes32 salt);

    /// @notice The cluster is not a contract.
    error InvalidCluster();

    /// @notice Deploys a member contract of a cluster; anybody may. Reverts if it exists.
    function deployMember(address cluster, bytes32 salt) external returns (address member);

    /// @notice The address that `deployMember` gives.
    function predictMemberAddress(address cluster, bytes32 salt) external view returns (address);

    /// @notice True iff this factory deployed the contract.
    function isOurMember(address member) external view returns (bool);

    /// @notice The cluster that the member contract was deployed for, zero if it is not ours.
    function clusterOf(address member) external view returns (address);
}
