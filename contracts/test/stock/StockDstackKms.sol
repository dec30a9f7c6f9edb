// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAppAuth } from "../../src/interfaces/IAppAuth.sol";

/// @dev The part of dstack's KMS contract that decides whether an app gets its keys: it asks the app contract.
contract StockDstackKms is IAppAuth {
    mapping(address appId => bool) public registeredApps;
    mapping(bytes32 osImageHash => bool) public allowedOsImages;

    function registerApp(address appId) external {
        registeredApps[appId] = true;
    }

    function addOsImageHash(bytes32 osImageHash) external {
        allowedOsImages[osImageHash] = true;
    }

    function isAppAllowed(AppBootInfo calldata bootInfo) external view returns (bool, string memory) {
        if (!registeredApps[bootInfo.appId]) return (false, "App not registered");
        if (!allowedOsImages[bootInfo.osImageHash]) return (false, "OS image is not allowed");
        if (bootInfo.appId.code.length == 0) return (false, "App not deployed or invalid address");
        return IAppAuth(bootInfo.appId).isAppAllowed(bootInfo);
    }
}
