// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import { IOperatorFacet, OperatorProof } from "../src/interfaces/IOperatorFacet.sol";
import { OperatorVoucher } from "../src/lib/OperatorVoucher.sol";
import { Deployer } from "./Deployer.sol";
import { vm } from "./Vm.sol";

/// @title Signs an operator's voucher: a key's word, not hardware's, that a member may join.
/// @notice Environment: CLUSTER or CLUSTER_NAME, MEMBER, X_PUB_KEY, WG_PUB_KEY, ED25519_PUB_KEY, OWNER_KEY (address),
/// LIFETIME (seconds, default one day). The key given to forge signs; nothing is sent to the chain.
contract Voucher is Deployer {
    function run() external {
        address cluster = _cluster();
        address member = vm.envAddress("MEMBER");
        vm.startBroadcast();
        OperatorProof memory proof;
        proof.signer = _sender();
        vm.stopBroadcast();
        proof.ownerKey = vm.envAddress("OWNER_KEY");
        proof.expiry = uint64(block.timestamp + vm.envOr("LIFETIME", uint256(1 days)));

        bytes32 voucher = OperatorVoucher.hash(
            cluster,
            member,
            vm.envBytes32("X_PUB_KEY"),
            vm.envBytes32("WG_PUB_KEY"),
            vm.envBytes32("ED25519_PUB_KEY"),
            proof
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(proof.signer, MessageHashUtils.toEthSignedMessageHash(voucher));
        if (!IOperatorFacet(cluster).isOperator(proof.signer)) {
            _say(string.concat("warning: the cluster does not know the operator ", vm.toString(proof.signer)));
        }

        vm.serializeUint("voucher", "chainId", block.chainid);
        vm.serializeAddress("voucher", "cluster", cluster);
        vm.serializeAddress("voucher", "member", member);
        vm.serializeAddress("voucher", "signer", proof.signer);
        vm.serializeAddress("voucher", "ownerKey", proof.ownerKey);
        vm.serializeUint("voucher", "expiry", proof.expiry);
        string memory json = vm.serializeBytes("voucher", "signature", abi.encodePacked(r, s, v));
        _writeFile(string.concat("voucher-", vm.toString(member)), json);
    }
}
