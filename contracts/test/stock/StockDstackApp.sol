// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {
    Ownable2StepUpgradeable
} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import { UUPSUpgradeable } from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import { IAppAuth } from "../../src/interfaces/IAppAuth.sol";
import { IAppAuthBasicManagement } from "../../src/interfaces/IAppAuthBasicManagement.sol";

/// @dev An app contract of the shape that dstack's tooling deploys: same bases, same storage from slot 0 on, same
/// functions and events. Written for the tests, from the interface.
contract StockDstackApp is Ownable2StepUpgradeable, UUPSUpgradeable, IAppAuth, IAppAuthBasicManagement {
    mapping(bytes32 => bool) public allowedComposeHashes;
    bool private upgradesDisabled;
    bool public allowAnyDevice;
    mapping(bytes32 => bool) public allowedDeviceIds;
    bool public requireTcbUpToDate;

    error UpgradesAreDisabled();

    constructor() {
        _disableInitializers();
    }

    function initialize(address owner, bool anyDevice, bytes32 device, bytes32 composeHash)
        external
        initializer
    {
        __Ownable_init(owner);
        allowAnyDevice = anyDevice;
        allowedDeviceIds[device] = true;
        allowedComposeHashes[composeHash] = true;
    }

    function addComposeHash(bytes32 composeHash) external onlyOwner {
        allowedComposeHashes[composeHash] = true;
        emit ComposeHashAdded(composeHash);
    }

    function removeComposeHash(bytes32 composeHash) external onlyOwner {
        allowedComposeHashes[composeHash] = false;
        emit ComposeHashRemoved(composeHash);
    }

    function addDevice(bytes32 deviceId) external onlyOwner {
        allowedDeviceIds[deviceId] = true;
        emit DeviceAdded(deviceId);
    }

    function removeDevice(bytes32 deviceId) external onlyOwner {
        allowedDeviceIds[deviceId] = false;
        emit DeviceRemoved(deviceId);
    }

    function isAppAllowed(AppBootInfo calldata bootInfo) external view returns (bool, string memory) {
        if (!allowedComposeHashes[bootInfo.composeHash]) return (false, "Compose hash not allowed");
        if (!allowAnyDevice && !allowedDeviceIds[bootInfo.deviceId]) return (false, "Device not allowed");
        return (true, "");
    }

    function _authorizeUpgrade(address) internal view override onlyOwner {
        if (upgradesDisabled) revert UpgradesAreDisabled();
    }
}
