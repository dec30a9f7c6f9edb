// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { INetworkFacet } from "../interfaces/INetworkFacet.sol";
import { FacetBase } from "../lib/FacetBase.sol";

/// @title The keys that members publish for each other.
contract NetworkFacet is INetworkFacet, FacetBase {
    /// @custom:storage-location erc7201:attestmesh.storage.Network
    struct Layout {
        mapping(bytes32 memberId => bytes32) wgPubKeys;
        mapping(bytes32 memberId => bytes32) ed25519PubKeys;
        mapping(bytes32 wgPubKey => bytes32 memberId) wgKeyHolders; // of every key ever held
    }

    // keccak256(abi.encode(uint256(keccak256("attestmesh.storage.Network")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant SLOT = 0x474b09740077ffacfbf2d439dfedf08d163ee733bb577268273bf24437752a00;

    /// @inheritdoc INetworkFacet
    function publishWgKey(bytes32 wgPubKey) external {
        bytes32 memberId = _callerMemberId();
        if (_layout().wgPubKeys[memberId] == wgPubKey) return;
        _setWgKey(memberId, wgPubKey);
        emit WgKeyPublished(memberId, wgPubKey);
        _registry()._recordChange(keccak256(abi.encode(WgKeyPublished.selector, memberId, wgPubKey)));
    }

    /// @inheritdoc INetworkFacet
    function publishEd25519Key(bytes32 ed25519PubKey) external {
        bytes32 memberId = _callerMemberId();
        if (_layout().ed25519PubKeys[memberId] == ed25519PubKey) return;
        _setEd25519Key(memberId, ed25519PubKey);
        emit Ed25519KeyPublished(memberId, ed25519PubKey);
        _registry()
            ._recordChange(keccak256(abi.encode(Ed25519KeyPublished.selector, memberId, ed25519PubKey)));
    }

    /// @inheritdoc INetworkFacet
    function _setInitialKeys(bytes32 memberId, bytes32 wgPubKey, bytes32 ed25519PubKey) external onlySelf {
        _setWgKey(memberId, wgPubKey);
        _setEd25519Key(memberId, ed25519PubKey);
    }

    /// @inheritdoc INetworkFacet
    function wgPubKeyOf(bytes32 memberId) external view returns (bytes32) {
        return _layout().wgPubKeys[memberId];
    }

    /// @inheritdoc INetworkFacet
    function ed25519PubKeyOf(bytes32 memberId) external view returns (bytes32) {
        return _layout().ed25519PubKeys[memberId];
    }

    /// @inheritdoc INetworkFacet
    function wgKeyHolder(bytes32 wgPubKey) external view returns (bytes32) {
        return _layout().wgKeyHolders[wgPubKey];
    }

    function _setWgKey(bytes32 memberId, bytes32 wgPubKey) private {
        if (wgPubKey == 0) revert ZeroKey();
        Layout storage $ = _layout();
        bytes32 holder = $.wgKeyHolders[wgPubKey];
        if (holder == 0) $.wgKeyHolders[wgPubKey] = memberId;
        else if (holder != memberId) revert WgKeyTaken();
        $.wgPubKeys[memberId] = wgPubKey;
    }

    function _setEd25519Key(bytes32 memberId, bytes32 ed25519PubKey) private {
        if (ed25519PubKey == 0) revert ZeroKey();
        _layout().ed25519PubKeys[memberId] = ed25519PubKey;
    }

    function _layout() private pure returns (Layout storage $) {
        assembly ("memory-safe") {
            $.slot := SLOT
        }
    }
}
