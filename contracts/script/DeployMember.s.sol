// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IClusterMemberFactory } from "../src/interfaces/IClusterMemberFactory.sol";
import { IDstackFacet } from "../src/interfaces/IDstackFacet.sol";
import { Deployer } from "./Deployer.sol";
import { vm } from "./Vm.sol";

/// @title Deploys member contracts of a cluster.
/// @notice Environment: CLUSTER (address) or CLUSTER_NAME (of a cluster receipt; "default"), SALT (number, 0), COUNT
/// (1; the salts that follow SALT), ALLOW_BOOT (false; true also allowlists the app ids, as the cluster owner, so
/// that a dstack KMS lets them boot before they are members). Needs the infra receipt.
contract DeployMember is Deployer {
    function run() external {
        address cluster = _cluster();
        IClusterMemberFactory factory = IClusterMemberFactory(_infra("memberFactory"));
        bool allowBoot = vm.envOr("ALLOW_BOOT", false);
        uint256 first = vm.envOr("SALT", uint256(0));
        uint256 count = vm.envOr("COUNT", uint256(1));
        for (uint256 salt = first; salt < first + count; ++salt) {
            address member = factory.predictMemberAddress(cluster, bytes32(salt));
            vm.startBroadcast();
            if (member.code.length == 0) factory.deployMember(cluster, bytes32(salt));
            if (allowBoot && !IDstackFacet(cluster).allowedAppIds(member)) {
                IDstackFacet(cluster).addAllowedAppId(member);
            }
            vm.stopBroadcast();
            _report(cluster, member, salt);
        }
    }

    function _report(address cluster, address member, uint256 salt) private {
        _say(string.concat("member ", vm.toString(salt), " ", vm.toString(member)));
        vm.serializeUint("member", "chainId", block.chainid);
        vm.serializeAddress("member", "cluster", cluster);
        vm.serializeAddress("member", "member", member);
        string memory receipt = vm.serializeBytes32("member", "salt", bytes32(salt));
        _writeReceipt(string.concat("member-", _clusterName(), "-", vm.toString(salt)), receipt);
    }
}
