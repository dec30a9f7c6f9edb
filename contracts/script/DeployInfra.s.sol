// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { AttestFacet } from "../src/facets/AttestFacet.sol";
import { DstackFacet } from "../src/facets/DstackFacet.sol";
import { MessageFacet } from "../src/facets/MessageFacet.sol";
import { NetworkFacet } from "../src/facets/NetworkFacet.sol";
import { OperatorFacet } from "../src/facets/OperatorFacet.sol";
import { ClusterDiamondFactory } from "../src/cluster/ClusterDiamondFactory.sol";
import { CoreFacets } from "../src/cluster/ClusterConfig.sol";
import { DiamondInit } from "../src/cluster/DiamondInit.sol";
import { IAttestorFacet } from "../src/interfaces/IAttestorFacet.sol";
import { IndexerRegistry } from "../src/IndexerRegistry.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { ClusterMemberFactory } from "../src/member/ClusterMemberFactory.sol";
import { Deployer } from "./Deployer.sol";
import { vm } from "./Vm.sol";

/// @title Deploys what all clusters of a chain share: facets, factories, implementation, indexer registry.
/// @notice Environment: ENTRY_POINT (default: canonical v0.7). The sender owns the factory and the registry.
contract DeployInfra is Deployer {
    function run() external {
        vm.startBroadcast();
        address entryPoint = vm.envOr("ENTRY_POINT", ENTRY_POINT_V07);
        _requireContract("EntryPoint", entryPoint);
        address implementation = _deploy(
            "ClusterMember", abi.encodePacked(type(ClusterMember).creationCode, abi.encode(entryPoint))
        );
        address memberFactory = _deploy(
            "ClusterMemberFactory",
            abi.encodePacked(type(ClusterMemberFactory).creationCode, abi.encode(implementation))
        );
        vm.serializeUint("infra", "chainId", block.chainid);
        vm.serializeAddress("infra", "owner", _sender());
        vm.serializeAddress("infra", "entryPoint", entryPoint);
        vm.serializeAddress("infra", "memberImplementation", implementation);
        vm.serializeAddress("infra", "memberFactory", memberFactory);
        vm.serializeAddress("infra", "indexerRegistry", _deployIndexerRegistry());
        string memory receipt =
            vm.serializeAddress("infra", "clusterFactory", _deployClusterFactory(memberFactory));
        vm.stopBroadcast();
        _writeReceipt("infra", receipt);
    }

    function _deployIndexerRegistry() private returns (address) {
        return _deploy(
            "IndexerRegistry", abi.encodePacked(type(IndexerRegistry).creationCode, abi.encode(_sender()))
        );
    }

    function _deployClusterFactory(address memberFactory) private returns (address) {
        CoreFacets memory core = CoreFacets({
            attest: _deploy("AttestFacet", type(AttestFacet).creationCode),
            message: _deploy("MessageFacet", type(MessageFacet).creationCode),
            network: _deploy("NetworkFacet", type(NetworkFacet).creationCode),
            init: _deploy("DiamondInit", type(DiamondInit).creationCode)
        });
        vm.serializeAddress("infra", "attestFacet", core.attest);
        vm.serializeAddress("infra", "messageFacet", core.message);
        vm.serializeAddress("infra", "networkFacet", core.network);
        vm.serializeAddress("infra", "diamondInit", core.init);

        ClusterDiamondFactory factory = ClusterDiamondFactory(
            _deploy(
                "ClusterDiamondFactory",
                abi.encodePacked(type(ClusterDiamondFactory).creationCode, abi.encode(core, _sender()))
            )
        );
        bytes memory memberFactoryArg = abi.encode(memberFactory);
        address dstack =
            _deploy("DstackFacet", abi.encodePacked(type(DstackFacet).creationCode, memberFactoryArg));
        address operator =
            _deploy("OperatorFacet", abi.encodePacked(type(OperatorFacet).creationCode, memberFactoryArg));
        _approve(factory, "dstackFacet", dstack);
        _approve(factory, "operatorFacet", operator);
        return address(factory);
    }

    function _approve(ClusterDiamondFactory factory, string memory name, address facet) private {
        vm.serializeAddress("infra", name, facet);
        if (!factory.isApprovedAttestor(IAttestorFacet(facet))) {
            factory.setAttestorApproved(IAttestorFacet(facet), true);
        }
    }
}
