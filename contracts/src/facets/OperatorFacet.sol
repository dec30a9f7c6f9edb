// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import { Selectors } from "../cluster/Selectors.sol";
import { IAttestorFacet } from "../interfaces/IAttestorFacet.sol";
import { IClusterMember } from "../interfaces/IClusterMember.sol";
import { IClusterMemberFactory } from "../interfaces/IClusterMemberFactory.sol";
import { IOperatorFacet, OperatorProof } from "../interfaces/IOperatorFacet.sol";
import { FacetBase } from "../lib/FacetBase.sol";
import { OperatorVoucher } from "../lib/OperatorVoucher.sol";
import { Secp256k1 } from "../lib/Secp256k1.sol";

/// @title Attestation by an operator's word.
contract OperatorFacet is IOperatorFacet, IAttestorFacet, FacetBase {
    /// @custom:storage-location erc7201:attestmesh.storage.Operator
    struct Layout {
        mapping(address operator => bool) operators;
    }

    // keccak256(abi.encode(uint256(keccak256("attestmesh.storage.Operator")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant SLOT = 0x205db981323e45ca31d5a3fd0354827409c9c954e0978888dcfe2a883515bc00;

    bytes32 private constant ATTESTOR_ID = keccak256("attestmesh.attestor.operator");

    IClusterMemberFactory private immutable MEMBER_FACTORY;

    constructor(IClusterMemberFactory memberFactory) {
        MEMBER_FACTORY = memberFactory;
    }

    /// @inheritdoc IAttestorFacet
    function attestorId() external pure returns (bytes32) {
        return ATTESTOR_ID;
    }

    /// @inheritdoc IAttestorFacet
    function selectors() external pure returns (bytes4[] memory) {
        return Selectors.operator();
    }

    /// @inheritdoc IAttestorFacet
    /// @param initData abi.encode(address[]): the first operator keys.
    function initAttestor(bytes calldata initData) external {
        address[] memory operators = abi.decode(initData, (address[]));
        for (uint256 i = 0; i < operators.length; ++i) {
            _setOperator(operators[i], true);
        }
    }

    /// @inheritdoc IOperatorFacet
    function operator_register(
        OperatorProof calldata proof,
        address memberContract,
        bytes32 xPubKey,
        bytes32 wgPubKey,
        bytes32 ed25519PubKey
    ) external returns (bytes32 memberId) {
        if (MEMBER_FACTORY.clusterOf(memberContract) != address(this)) {
            revert NotFactoryMember();
        }
        if (proof.ownerKey == address(0)) revert ZeroOperatorValue();
        if (block.timestamp > proof.expiry) revert VoucherExpired();
        if (!_layout().operators[proof.signer]) revert UnknownOperator();
        bytes32 voucher =
            OperatorVoucher.hash(address(this), memberContract, xPubKey, wgPubKey, ed25519PubKey, proof);
        if (
            Secp256k1.recover(MessageHashUtils.toEthSignedMessageHash(voucher), proof.signature)
                != proof.signer
        ) {
            revert InvalidVoucher();
        }

        memberId = _registry()._addMember(memberContract, ATTESTOR_ID, xPubKey, wgPubKey, ed25519PubKey);
        IClusterMember(memberContract).__setOwnerFromCluster(proof.ownerKey);
        emit OperatorMemberRegistered(memberId, proof.signer, proof.ownerKey);
    }

    /// @inheritdoc IOperatorFacet
    function addOperator(address operator) external onlyClusterOwner {
        _setOperator(operator, true);
    }

    /// @inheritdoc IOperatorFacet
    function removeOperator(address operator) external onlyClusterOwner {
        _setOperator(operator, false);
    }

    /// @inheritdoc IOperatorFacet
    function isOperator(address operator) external view returns (bool) {
        return _layout().operators[operator];
    }

    function _setOperator(address operator, bool allowed) private {
        if (operator == address(0)) revert ZeroOperatorValue();
        _layout().operators[operator] = allowed;
        emit OperatorAllowed(operator, allowed);
    }

    function _layout() private pure returns (Layout storage $) {
        assembly ("memory-safe") {
            $.slot := SLOT
        }
    }
}
