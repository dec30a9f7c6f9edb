// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ClusterArgs } from "../src/cluster/ClusterConfig.sol";
import { ClusterDiamondFactory } from "../src/cluster/ClusterDiamondFactory.sol";
import { ClusterFile } from "./ClusterFile.sol";
import { Deployer } from "./Deployer.sol";
import { vm } from "./Vm.sol";

/// @title Deploys a cluster as a JSON file describes it.
/// @notice Environment: CLUSTER_CONFIG, path of the file (see contracts/README.md). Needs the infra receipt.
contract DeployCluster is Deployer {
    function run() external {
        string memory file = vm.readFile(vm.envString("CLUSTER_CONFIG"));
        ClusterDiamondFactory factory = ClusterDiamondFactory(_infra("clusterFactory"));
        (ClusterArgs memory args, bytes32 salt) =
            ClusterFile.parse(file, _infra("dstackFacet"), _infra("operatorFacet"));

        address cluster = factory.predictClusterAddress(args, salt);
        if (cluster.code.length == 0) {
            vm.startBroadcast();
            factory.deployCluster(args, salt);
            vm.stopBroadcast();
        }
        string memory name = ClusterFile.name(file);
        _say(string.concat("cluster ", name, " ", vm.toString(cluster)));

        vm.serializeUint("cluster", "chainId", block.chainid);
        vm.serializeString("cluster", "name", name);
        vm.serializeAddress("cluster", "cluster", cluster);
        vm.serializeAddress("cluster", "clusterOwner", args.clusterOwner);
        vm.serializeUint("cluster", "cidrIp", args.cidrIp);
        vm.serializeUint("cluster", "cidrPrefix", args.cidrPrefix);
        _writeReceipt(string.concat("cluster-", name), vm.serializeBytes32("cluster", "salt", salt));
    }
}
