// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAttestorFacet } from "../interfaces/IAttestorFacet.sol";

/// @dev An attestation method and what its `initAttestor` is called with.
struct AttestorConfig {
    IAttestorFacet facet;
    bytes initData;
}

/// @param clusterOwner Owns the cluster and, at first, the diamond.
/// @param cidrIp Network address of the mesh; 0 with prefix 0 means 10.13.0.0/16.
/// @param cidrPrefix 8 to 29.
struct ClusterArgs {
    address clusterOwner;
    uint32 cidrIp;
    uint8 cidrPrefix;
    AttestorConfig[] attestors;
}

/// @dev The facets that every cluster has, and the contract that initialises them.
struct CoreFacets {
    address attest;
    address message;
    address network;
    address init;
}
