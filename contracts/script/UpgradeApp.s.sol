// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAttestFacet } from "../src/interfaces/IAttestFacet.sol";
import { IClusterMember } from "../src/interfaces/IClusterMember.sol";
import { IDstackFacet } from "../src/interfaces/IDstackFacet.sol";
import { Deployer } from "./Deployer.sol";
import { vm } from "./Vm.sol";

interface IUpgradeable {
    function upgradeToAndCall(address implementation, bytes calldata data) external payable;
}

/// @title Path A: turns a stock dstack app into a member contract, in place.
/// @notice Environment: APP (its address), CLUSTER or CLUSTER_NAME. The key must be the app's owner's. If it is the
/// cluster owner's too, the app id is also allowlisted and, once its implementation is seen to be ours, trusted to
/// forward management calls; otherwise the script says what the cluster owner has to do.
contract UpgradeApp is Deployer {
    bytes32 private constant IMPLEMENTATION_SLOT =
        bytes32(uint256(keccak256("eip1967.proxy.implementation")) - 1);

    error NotUpgraded(address app, address implementation);

    function run() external {
        address app = vm.envAddress("APP");
        address cluster = _cluster();
        address implementation = _infra("memberImplementation");
        _requireContract("app", app);

        if (_implementationOf(app) != implementation) {
            vm.startBroadcast();
            bytes memory init = abi.encodeCall(IClusterMember.initializeFromApp, (cluster));
            IUpgradeable(app).upgradeToAndCall(implementation, init);
            vm.stopBroadcast();
        }
        if (_implementationOf(app) != implementation || IClusterMember(app).cluster() != cluster) {
            revert NotUpgraded(app, _implementationOf(app));
        }
        _say(string.concat("app ", vm.toString(app), " is a member contract"));
        _admit(app, IDstackFacet(cluster), IAttestFacet(cluster).clusterOwner());

        vm.serializeUint("app", "chainId", block.chainid);
        vm.serializeAddress("app", "cluster", cluster);
        vm.serializeAddress("app", "implementation", implementation);
        _writeReceipt(string.concat("app-", vm.toString(app)), vm.serializeAddress("app", "member", app));
    }

    function _admit(address app, IDstackFacet dstack, address clusterOwner) private {
        vm.startBroadcast();
        bool isOwner = _sender() == clusterOwner;
        if (isOwner && !dstack.allowedAppIds(app)) dstack.addAllowedAppId(app);
        if (isOwner && !dstack.isManagementForwarder(app)) dstack.setManagementForwarder(app, true);
        vm.stopBroadcast();
        if (!dstack.allowedAppIds(app)) {
            _say("next: the cluster owner calls addAllowedAppId, and setManagementForwarder if it likes");
        }
    }

    function _implementationOf(address proxy) private view returns (address) {
        return address(uint160(uint256(vm.load(proxy, IMPLEMENTATION_SLOT))));
    }
}
