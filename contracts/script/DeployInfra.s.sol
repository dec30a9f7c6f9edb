// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ClusterDiamondFactory } from "../src/cluster/ClusterDiamondFactory.sol";
import { IAttestorFacet } from "../src/interfaces/IAttestorFacet.sol";
import { InfraPlan } from "./InfraPlan.sol";
import { vm } from "./Vm.sol";

/// @title Deploys what all clusters of a chain share: facets, factories, implementation, indexer registry.
/// @notice Environment: ENTRY_POINT (default: canonical v0.7). The sender owns the factory and the registry.
contract DeployInfra is InfraPlan {
    uint256 private constant CLUSTER_FACTORY = 6;
    uint256 private constant DSTACK_FACET = 7;
    uint256 private constant OPERATOR_FACET = 8;

    function run() external {
        address entryPoint = vm.envOr("ENTRY_POINT", ENTRY_POINT_V07);
        _requireContract("EntryPoint", entryPoint);

        vm.startBroadcast();
        address owner = _sender();
        Item[] memory items = _infraPlan(entryPoint, owner);
        for (uint256 i = 0; i < items.length; ++i) {
            vm.serializeAddress("infra", items[i].name, _deploy(items[i].name, items[i].initCode));
        }
        ClusterDiamondFactory factory = ClusterDiamondFactory(_addressOf(items[CLUSTER_FACTORY].initCode));
        _approve(factory, IAttestorFacet(_addressOf(items[DSTACK_FACET].initCode)));
        _approve(factory, IAttestorFacet(_addressOf(items[OPERATOR_FACET].initCode)));
        vm.stopBroadcast();

        vm.serializeUint("infra", "chainId", block.chainid);
        vm.serializeAddress("infra", "entryPoint", entryPoint);
        _writeReceipt("infra", vm.serializeAddress("infra", "owner", owner));
    }

    function _approve(ClusterDiamondFactory factory, IAttestorFacet facet) private {
        if (!factory.isApprovedAttestor(facet)) factory.setAttestorApproved(facet, true);
    }
}
