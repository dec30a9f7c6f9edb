// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title dstack's boot authorization, as its KMS calls it. ERC-165 id 0x1e079198.
interface IAppAuth {
    struct AppBootInfo {
        address appId;
        bytes32 composeHash;
        address instanceId;
        bytes32 deviceId;
        bytes32 mrAggregated;
        bytes32 mrSystem;
        bytes32 osImageHash;
        string tcbStatus;
        string[] advisoryIds;
    }

    /// @notice Whether a CVM may boot and receive its keys, and if not, why. Never reverts on well-formed input.
    function isAppAllowed(AppBootInfo calldata bootInfo)
        external
        view
        returns (bool isAllowed, string memory reason);
}
