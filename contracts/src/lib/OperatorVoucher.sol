// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { OperatorProof } from "../interfaces/IOperatorFacet.sol";

/// @title What an operator key signs to vouch for a member.
library OperatorVoucher {
    function hash(
        address cluster,
        address memberContract,
        bytes32 xPubKey,
        bytes32 wgPubKey,
        bytes32 ed25519PubKey,
        OperatorProof memory proof
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                "attestmesh.operator.bind.v1",
                cluster,
                memberContract,
                xPubKey,
                wgPubKey,
                ed25519PubKey,
                proof.ownerKey,
                proof.expiry
            )
        );
    }
}
