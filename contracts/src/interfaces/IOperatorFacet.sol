// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @param signer The operator key that vouches; must be allowlisted.
/// @param ownerKey Becomes the member contract's owner.
/// @param expiry Unix seconds after which the voucher is void.
/// @param signature By signer, EIP-191 personal message over the voucher hash.
struct OperatorProof {
    address signer;
    address ownerKey;
    uint64 expiry;
    bytes signature;
}

/// @title Attestation by an operator's word.
/// @notice A member admitted here is vouched for by a key, not by hardware: nothing says what code it runs.
interface IOperatorFacet {
    event OperatorMemberRegistered(bytes32 indexed memberId, address indexed signer, address indexed owner);
    event OperatorAllowed(address indexed operator, bool allowed);

    /// @notice The member contract was not deployed by our factory for this cluster.
    error NotFactoryMember();
    /// @notice The signer is no allowlisted operator.
    error UnknownOperator();
    /// @notice The voucher has expired.
    error VoucherExpired();
    /// @notice The signature over the voucher is not the signer's.
    error InvalidVoucher();
    /// @notice The owner key or the operator is zero.
    error ZeroOperatorValue();

    /// @notice Admits a member on a voucher. Anybody may submit it: it names the only member it can register.
    /// @dev Checks in this order: NotFactoryMember, ZeroOperatorValue, VoucherExpired, UnknownOperator,
    /// InvalidVoucher; then those of `_addMember` and of the member contract.
    function operator_register(
        OperatorProof calldata proof,
        address memberContract,
        bytes32 xPubKey,
        bytes32 wgPubKey,
        bytes32 ed25519PubKey
    ) external returns (bytes32 memberId);

    /// @notice Lets an operator key vouch. Cluster owner only.
    function addOperator(address operator) external;

    /// @notice Voids all unused vouchers of an operator key. Cluster owner only.
    function removeOperator(address operator) external;

    /// @notice True iff the key may vouch.
    function isOperator(address operator) external view returns (bool);
}
