// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A node's identity on chain: dstack app proxy and ERC-4337 account on one address.
interface IClusterMember {
    event OwnerSet(address indexed owner);

    /// @notice The caller is not the EntryPoint.
    error NotEntryPoint();
    /// @notice The caller is not the member's cluster.
    error NotCluster();
    /// @notice The caller is not the cluster's owner.
    error NotClusterOwner();
    /// @notice The caller does not own the stock app that this proxy was.
    error NotAppOwner();
    /// @notice The cluster is not a contract.
    error InvalidCluster();
    /// @notice The owner is set, and final.
    error OwnerAlreadySet();
    /// @notice Zero can not be owner.
    error ZeroOwner();
    /// @notice `execute` must not speak for the cluster owner.
    error ForwardingForbidden();

    /// @notice Binds a factory-deployed member to its cluster. Once, in the proxy's constructor.
    function initialize(address cluster) external;

    /// @notice Binds an upgraded dstack app (Path A) to its cluster. Once, and only by the stock app's owner.
    function initializeFromApp(address cluster) external;

    /// @notice The cluster this contract is a member of, or will be.
    function cluster() external view returns (address);

    /// @notice The key whose UserOperations are valid; zero until the member registers.
    function owner() external view returns (address);

    /// @notice Calls a contract on the member's behalf. EntryPoint only; bubbles revert data.
    function execute(address target, uint256 value, bytes calldata data) external;

    /// @notice Installs the owner. Only the cluster, only once.
    function __setOwnerFromCluster(address newOwner) external;

    /// @notice The key that must sign the UserOperation that registers this member: the signer of the proof in it.
    /// @return signer Zero if `callData` is anything but this member's own registration.
    /// @dev Reads this account's storage only. Reverts on call data that does not decode.
    function bootstrapSigner(bytes calldata callData) external view returns (address signer);
}
