// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Ownable } from "@openzeppelin/contracts/access/Ownable.sol";
import { Ownable2Step } from "@openzeppelin/contracts/access/Ownable2Step.sol";
import { Create2 } from "@openzeppelin/contracts/utils/Create2.sol";
import { IAttestorFacet } from "../interfaces/IAttestorFacet.sol";
import { AttestorConfig, ClusterArgs, CoreFacets } from "./ClusterConfig.sol";
import { ClusterDiamond } from "./ClusterDiamond.sol";

/// @title Deploys clusters of known core facets and approved attestors.
/// @notice The owner approves attestors for new clusters; it has no power over clusters that exist.
contract ClusterDiamondFactory is Ownable2Step {
    CoreFacets private _core;
    mapping(address cluster => bool) private _deployed;
    mapping(IAttestorFacet facet => bool) private _approved;

    event ClusterDeployed(address indexed cluster, address indexed clusterOwner, bytes32 salt);
    event AttestorApproved(address indexed facet, bytes32 indexed attestorId, bool approved);

    /// @notice The attestor is not in the approved set.
    error AttestorNotApproved(address facet);
    /// @notice A cluster without an attestor could never have a member.
    error NoAttestor();

    constructor(CoreFacets memory core, address initialOwner) Ownable(initialOwner) {
        _core = core;
    }

    /// @notice Adds an attestor to the set that new clusters may use, or takes it out. Factory owner only.
    function setAttestorApproved(IAttestorFacet facet, bool approved) external onlyOwner {
        _approved[facet] = approved;
        emit AttestorApproved(address(facet), facet.attestorId(), approved);
    }

    /// @notice True iff new clusters may use the attestor.
    function isApprovedAttestor(IAttestorFacet facet) external view returns (bool) {
        return _approved[facet];
    }

    /// @notice Deploys a cluster; anybody may, for any owner. The address depends on `args` and `salt` alone.
    /// @dev Reverts NoAttestor, AttestorNotApproved, DiamondInit's errors, or if the cluster exists.
    function deployCluster(ClusterArgs calldata args, bytes32 salt) external returns (address cluster) {
        if (args.attestors.length == 0) revert NoAttestor();
        for (uint256 i = 0; i < args.attestors.length; ++i) {
            AttestorConfig calldata attestor = args.attestors[i];
            if (!_approved[attestor.facet]) revert AttestorNotApproved(address(attestor.facet));
        }
        cluster = address(new ClusterDiamond{ salt: salt }(_core, args));
        _deployed[cluster] = true;
        emit ClusterDeployed(cluster, args.clusterOwner, salt);
    }

    /// @notice The address that `deployCluster` gives.
    function predictClusterAddress(ClusterArgs calldata args, bytes32 salt) external view returns (address) {
        bytes memory initCode = abi.encodePacked(type(ClusterDiamond).creationCode, abi.encode(_core, args));
        return Create2.computeAddress(salt, keccak256(initCode));
    }

    /// @notice True iff this factory deployed the cluster.
    function isDeployedCluster(address cluster) external view returns (bool) {
        return _deployed[cluster];
    }

    /// @notice The core facets of the clusters this factory deploys.
    function coreFacets() external view returns (CoreFacets memory) {
        return _core;
    }
}
