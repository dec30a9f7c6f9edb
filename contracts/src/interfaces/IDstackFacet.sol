// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAppAuth } from "./IAppAuth.sol";
import { IAppAuthBasicManagement } from "./IAppAuthBasicManagement.sol";
import { IDstackAppPolicy } from "./IDstackAppPolicy.sol";

/// @dev Which part of a proof does not hold: the purpose string, the derived key's signature over the binding, the
/// app key's over the derived key, the KMS root's over the app key, or the allowlist of KMS roots.
enum SigChainLink {
    Purpose,
    DerivedKey,
    AppKey,
    KmsSignature,
    KmsRoot
}

/// @param codeId bytes32(bytes20(appId)); the app id is the member contract.
/// @param messageHash The binding of cluster, member contract and keys.
/// @param messageSignature By the derived key, EIP-191 personal message over messageHash.
/// @param appSignature By the app key over keccak(purpose ":" hex(derivedCompressedPubkey)).
/// @param kmsSignature By the KMS root over keccak("dstack-kms-issued:" appId appCompressedPubkey).
/// @param derivedCompressedPubkey 33 bytes SEC1.
/// @param appCompressedPubkey 33 bytes SEC1.
/// @param purpose Must be "attestmesh.binding.v1".
struct DstackProof {
    bytes32 codeId;
    bytes32 messageHash;
    bytes messageSignature;
    bytes appSignature;
    bytes kmsSignature;
    bytes derivedCompressedPubkey;
    bytes appCompressedPubkey;
    string purpose;
}

/// @title Attestation by dstack's KMS: boot gate, allowlists, registration.
/// @notice A member admitted here runs in a CVM to which a trusted KMS has released keys, which the KMS does only if
/// this contract's boot gate agrees. The trust rests in the allowlisted KMS roots and in the boot gate's lists.
interface IDstackFacet is IAppAuth, IAppAuthBasicManagement, IDstackAppPolicy {
    /// @param kmsRoots Trusted KMS root addresses.
    /// @param appIds App ids that may boot before they are members, and register without our factory (Path A).
    struct DstackInit {
        address[] kmsRoots;
        address[] appIds;
        bytes32[] composeHashes;
        bytes32[] devices;
        bool allowAnyDevice;
        bool requireTcbUpToDate;
    }

    event DstackMemberRegistered(bytes32 indexed memberId, bytes32 indexed codeId, address indexed owner);
    event KmsRootAllowed(address indexed kmsRoot, bool allowed);
    event AppIdAllowed(address indexed appId, bool allowed);
    event ManagementForwarderSet(address indexed app, bool trusted);

    /// @notice The member contract is neither deployed by our factory for this cluster nor an allowed app id.
    error NotOurMember();
    /// @notice codeId is not the member contract's address.
    error CodeIdMismatch();
    /// @notice messageHash is not the binding of this cluster, member contract and keys.
    error BindingMismatch();
    /// @notice The signature chain from the KMS root to the binding does not hold at this link.
    error InvalidSigChain(SigChainLink link);
    /// @notice Zero is no compose hash, device, KMS root or app id.
    error ZeroValue();
    /// @notice The caller is not trusted to forward management calls.
    error NotForwarder();
    /// @notice The function can not be called through a forwarder.
    error NotForwardable();

    /// @notice Admits a member. Anybody may submit the proof: it names the only member it can register.
    /// @dev Checks in this order: NotOurMember, CodeIdMismatch, BindingMismatch, InvalidSigChain; then those of
    /// `_addMember` and of the member contract. Installs the derived key as the member contract's owner.
    function dstack_register(
        DstackProof calldata proof,
        address memberContract,
        bytes32 xPubKey,
        bytes32 wgPubKey,
        bytes32 ed25519PubKey
    ) external returns (bytes32 memberId);

    /// @notice Trusts a KMS root. Cluster owner only, as all that follow.
    function addAllowedKmsRoot(address kmsRoot) external;

    /// @notice Stops trusting a KMS root for new registrations.
    function removeAllowedKmsRoot(address kmsRoot) external;

    /// @notice True iff proofs ending in this KMS root are accepted.
    function allowedKmsRoots(address kmsRoot) external view returns (bool);

    /// @notice Lets an app id boot and register.
    function addAllowedAppId(address appId) external;

    /// @notice Takes an app id off the list; a live member goes on.
    function removeAllowedAppId(address appId) external;

    /// @notice True iff the app id may boot and register.
    function allowedAppIds(address appId) external view returns (bool);

    /// @notice Trusts an app contract that our factory did not deploy to say truly who called it, so that the cluster
    /// owner can manage the allowlists through it. Cluster owner only.
    /// @dev Check the app's implementation first: whoever controls its code then controls the allowlists.
    function setManagementForwarder(address app, bool trusted) external;

    /// @notice True iff `app` may forward the cluster owner's management calls: our factory deployed it for this
    /// cluster, or the owner trusts it.
    function isManagementForwarder(address app) external view returns (bool);

    /// @notice A management call that a member contract received from `caller`, forwarded.
    /// @param data Call data of one of the functions of IAppAuthBasicManagement or a setter of IDstackAppPolicy.
    /// @dev Reverts NotForwarder, NotClusterOwner, NotForwardable.
    function _forwardManagement(address caller, bytes calldata data) external;
}
