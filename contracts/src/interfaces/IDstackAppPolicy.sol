// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The rest of the surface that dstack's own app contract has: policy switches and getters.
interface IDstackAppPolicy {
    event AllowAnyDeviceSet(bool allowAny);
    event RequireTcbUpToDateSet(bool requireUpToDate);

    /// @notice Whether every device may boot, or only listed ones. Cluster owner only.
    function setAllowAnyDevice(bool allowAny) external;

    /// @notice Whether the platform's TCB must be "UpToDate" to boot. Cluster owner only.
    function setRequireTcbUpToDate(bool requireUpToDate) external;

    /// @notice True iff every device may boot.
    function allowAnyDevice() external view returns (bool);

    /// @notice True iff the TCB must be up to date.
    function requireTcbUpToDate() external view returns (bool);

    /// @notice True iff the compose hash may boot.
    function allowedComposeHashes(bytes32 composeHash) external view returns (bool);

    /// @notice True iff the device is listed.
    function allowedDeviceIds(bytes32 deviceId) external view returns (bool);

    /// @notice Version of dstack's app contract interface that this one follows.
    function version() external pure returns (uint256);
}
