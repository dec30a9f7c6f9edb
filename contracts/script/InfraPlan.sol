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
import { IndexerRegistry } from "../src/IndexerRegistry.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { ClusterMemberFactory } from "../src/member/ClusterMemberFactory.sol";
import { Deployer } from "./Deployer.sol";

/// @title What all clusters of a chain share, as data: DeployInfra deploys it, Verify recomputes it.
abstract contract InfraPlan is Deployer {
    struct Item {
        string name; // in the receipt
        bytes initCode;
    }

    /// @param owner Owns the cluster factory and the indexer registry.
    function _infraPlan(address entryPoint, address owner) internal view returns (Item[] memory items) {
        items = new Item[](10);
        items[0] = Item(
            "memberImplementation", abi.encodePacked(type(ClusterMember).creationCode, abi.encode(entryPoint))
        );
        bytes memory implementation = abi.encode(_addressOf(items[0].initCode));
        items[1] =
            Item("memberFactory", abi.encodePacked(type(ClusterMemberFactory).creationCode, implementation));
        bytes memory memberFactory = abi.encode(_addressOf(items[1].initCode));
        items[2] = Item("attestFacet", type(AttestFacet).creationCode);
        items[3] = Item("messageFacet", type(MessageFacet).creationCode);
        items[4] = Item("networkFacet", type(NetworkFacet).creationCode);
        items[5] = Item("diamondInit", type(DiamondInit).creationCode);
        CoreFacets memory core = CoreFacets({
            attest: _addressOf(items[2].initCode),
            message: _addressOf(items[3].initCode),
            network: _addressOf(items[4].initCode),
            init: _addressOf(items[5].initCode)
        });
        items[6] = Item(
            "clusterFactory",
            abi.encodePacked(type(ClusterDiamondFactory).creationCode, abi.encode(core, owner))
        );
        items[7] = Item("dstackFacet", abi.encodePacked(type(DstackFacet).creationCode, memberFactory));
        items[8] = Item("operatorFacet", abi.encodePacked(type(OperatorFacet).creationCode, memberFactory));
        items[9] =
            Item("indexerRegistry", abi.encodePacked(type(IndexerRegistry).creationCode, abi.encode(owner)));
    }
}
