// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The keys that members publish for each other.
interface INetworkFacet {
    event WgKeyPublished(bytes32 indexed memberId, bytes32 wgPubKey);
    event Ed25519KeyPublished(bytes32 indexed memberId, bytes32 ed25519PubKey);

    /// @notice Another member holds this WireGuard key, or once did.
    error WgKeyTaken();

    /// @notice Replaces the caller's WireGuard key. Live members only.
    /// @dev Reverts NotAMember, ZeroKey, WgKeyTaken. A member may go back to a key it held before; publishing the
    /// current key again changes nothing and emits nothing.
    function publishWgKey(bytes32 wgPubKey) external;

    /// @notice Replaces the caller's Ed25519 key. Live members only.
    /// @dev Reverts NotAMember, ZeroKey. Publishing the current key again changes nothing and emits nothing.
    function publishEd25519Key(bytes32 ed25519PubKey) external;

    /// @notice Current WireGuard key of a member, zero if there is none.
    function wgPubKeyOf(bytes32 memberId) external view returns (bytes32);

    /// @notice Current Ed25519 key of a member, zero if there is none.
    function ed25519PubKeyOf(bytes32 memberId) external view returns (bytes32);

    /// @notice The member that holds or ever held a WireGuard key, zero if nobody.
    function wgKeyHolder(bytes32 wgPubKey) external view returns (bytes32);

    /// @notice Sets the keys a member registers with. Only the diamond itself; MemberRegistered announces them.
    /// @dev Reverts OnlySelf, ZeroKey, WgKeyTaken.
    function _setInitialKeys(bytes32 memberId, bytes32 wgPubKey, bytes32 ed25519PubKey) external;
}
