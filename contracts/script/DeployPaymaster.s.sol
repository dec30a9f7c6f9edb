// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IEntryPoint } from "@account-abstraction/contracts/interfaces/IEntryPoint.sol";
import { VerifyingPaymaster } from "@account-abstraction/contracts/samples/VerifyingPaymaster.sol";
import { Deployer } from "./Deployer.sol";
import { vm } from "./Vm.sol";

/// @title Deploys a VerifyingPaymaster, which pays what its signer approves, and fills its deposit up.
/// @notice Environment: PAYMASTER_SIGNER (address), DEPOSIT (wei, default 1 ether), ENTRY_POINT (canonical v0.7). The
/// sender owns the paymaster.
contract DeployPaymaster is Deployer {
    function run() external {
        address signer = vm.envAddress("PAYMASTER_SIGNER");
        IEntryPoint entryPoint = IEntryPoint(vm.envOr("ENTRY_POINT", ENTRY_POINT_V07));
        uint256 deposit = vm.envOr("DEPOSIT", uint256(1 ether));
        _requireContract("EntryPoint", address(entryPoint));

        vm.startBroadcast();
        address paymaster = _deployed(signer);
        if (paymaster == address(0)) paymaster = address(new VerifyingPaymaster(entryPoint, signer));
        uint256 present = entryPoint.balanceOf(paymaster);
        if (present < deposit) entryPoint.depositTo{ value: deposit - present }(paymaster);
        vm.serializeAddress("paymaster", "owner", _sender());
        vm.stopBroadcast();

        _say(string.concat("paymaster ", vm.toString(paymaster)));
        vm.serializeUint("paymaster", "chainId", block.chainid);
        vm.serializeAddress("paymaster", "entryPoint", address(entryPoint));
        vm.serializeAddress("paymaster", "signer", signer);
        _writeReceipt("paymaster", vm.serializeAddress("paymaster", "paymaster", paymaster));
    }

    /// @dev The paymaster of the receipt, if it is there and obeys this signer. Its constructor makes the deploying
    /// account its owner, so it can not come from the deterministic deployer.
    function _deployed(address signer) private view returns (address paymaster) {
        if (!vm.exists(_receiptPath("paymaster"))) return address(0);
        paymaster = vm.parseJsonAddress(_readReceipt("paymaster"), ".paymaster");
        if (paymaster.code.length == 0 || VerifyingPaymaster(paymaster).verifyingSigner() != signer) {
            return address(0);
        }
    }
}
