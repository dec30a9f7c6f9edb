// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title dstack's allowlist management, as its tooling calls it. ERC-165 id 0x8fd37527.
/// @dev Mutations are the cluster owner's. Event parameters are not indexed because dstack's are not.
interface IAppAuthBasicManagement {
    event ComposeHashAdded(bytes32 composeHash);
    event ComposeHashRemoved(bytes32 composeHash);
    event DeviceAdded(bytes32 deviceId);
    event DeviceRemoved(bytes32 deviceId);

    /// @notice Allows a compose hash to boot.
    function addComposeHash(bytes32 composeHash) external;

    /// @notice Stops a compose hash from booting again; running CVMs go on.
    function removeComposeHash(bytes32 composeHash) external;

    /// @notice Allows a device to boot members.
    function addDevice(bytes32 deviceId) external;

    /// @notice Stops a device from booting members again.
    function removeDevice(bytes32 deviceId) external;
}
