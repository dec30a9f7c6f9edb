// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { SolidStateDiamond } from "@solidstate/contracts/proxy/diamond/SolidStateDiamond.sol";
import { IAttestorFacet } from "../interfaces/IAttestorFacet.sol";
import { IClusterDiamond } from "../interfaces/IClusterDiamond.sol";
import { ClusterArgs, CoreFacets } from "./ClusterConfig.sol";
import { DiamondInit } from "./DiamondInit.sol";
import { Selectors } from "./Selectors.sol";

/// @title One cluster: an ERC-2535 diamond of the core facets and the attestors it was created with.
/// @dev Configured wholly in the constructor: there is no deployed-but-unconfigured moment.
contract ClusterDiamond is SolidStateDiamond {
    /// @notice Only the diamond itself may call this.
    error OnlySelf();

    constructor(CoreFacets memory core, ClusterArgs memory args) {
        FacetCut[] memory cuts = new FacetCut[](4);
        cuts[0] = FacetCut(core.attest, FacetCutAction.ADD, Selectors.attest());
        cuts[1] = FacetCut(core.message, FacetCutAction.ADD, Selectors.message());
        cuts[2] = FacetCut(core.network, FacetCutAction.ADD, Selectors.network());
        bytes4[] memory own = new bytes4[](1);
        own[0] = IClusterDiamond._setDiamondOwner.selector;
        cuts[3] = FacetCut(address(this), FacetCutAction.ADD, own);
        _diamondCut(
            cuts,
            core.init,
            abi.encodeCall(DiamondInit.init, (args.clusterOwner, args.cidrIp, args.cidrPrefix))
        );

        FacetCut[] memory cut = new FacetCut[](1);
        for (uint256 i = 0; i < args.attestors.length; ++i) {
            IAttestorFacet facet = args.attestors[i].facet;
            cut[0] = FacetCut(address(facet), FacetCutAction.ADD, facet.selectors());
            _diamondCut(
                cut, address(facet), abi.encodeCall(IAttestorFacet.initAttestor, (args.attestors[i].initData))
            );
        }
        _setOwner(args.clusterOwner);
    }

    /// @notice See IClusterDiamond.
    function _setDiamondOwner(address newOwner) external {
        if (msg.sender != address(this)) revert OnlySelf();
        _setNomineeOwner(address(0)); // an earlier offer ends with the ownership
        _setOwner(newOwner);
    }
}
