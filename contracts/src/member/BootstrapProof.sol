// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { DstackProof, IDstackFacet } from "../interfaces/IDstackFacet.sol";
import { IOperatorFacet, OperatorProof } from "../interfaces/IOperatorFacet.sol";
import { IClusterMember } from "../interfaces/IClusterMember.sol";
import { DstackChain } from "../lib/DstackChain.sol";

/// @title The one UserOperation that is valid before a member has an owner: its own registration.
/// @dev Reads nothing but its arguments, as ERC-7562 wants it. Whether the proof admits anybody is decided when it is
/// executed; here it only says whose signature the UserOperation must carry.
library BootstrapProof {
    uint256 private constant DATA_OFFSET = 0x60;

    /// @notice The signer of the proof inside `execute(cluster, 0, <register call naming member>)`.
    /// @return Zero if the call is of any other shape. Reverts if the proof does not decode.
    function signer(address cluster, address member, bytes calldata callData)
        internal
        pure
        returns (address)
    {
        if (bytes4(callData) != IClusterMember.execute.selector) return address(0);
        bytes calldata args = callData[4:];
        if (uint256(bytes32(args[0x00:0x20])) != uint160(cluster)) return address(0);
        if (uint256(bytes32(args[0x20:0x40])) != 0) return address(0);
        if (uint256(bytes32(args[0x40:0x60])) != DATA_OFFSET) return address(0);
        bytes calldata inner = args[0x80:][:uint256(bytes32(args[0x60:0x80]))];

        bytes4 selector = bytes4(inner);
        if (selector == IDstackFacet.dstack_register.selector) {
            return _dstackSigner(cluster, member, inner[4:]);
        }
        if (selector == IOperatorFacet.operator_register.selector) return _operatorSigner(member, inner[4:]);
        return address(0);
    }

    function _dstackSigner(address cluster, address member, bytes calldata args)
        private
        pure
        returns (address)
    {
        (DstackProof memory proof, address memberContract, bytes32 x, bytes32 wg, bytes32 ed) =
            abi.decode(args, (DstackProof, address, bytes32, bytes32, bytes32));
        if (memberContract != member) return address(0);
        bytes32 binding = DstackChain.bindHash(cluster, member, x, wg, ed);
        return DstackChain.bindingSigner(binding, proof.messageSignature);
    }

    function _operatorSigner(address member, bytes calldata args) private pure returns (address) {
        (OperatorProof memory proof, address memberContract,,,) =
            abi.decode(args, (OperatorProof, address, bytes32, bytes32, bytes32));
        return memberContract == member ? proof.ownerKey : address(0);
    }
}
