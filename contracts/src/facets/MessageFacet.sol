// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMessageFacet } from "../interfaces/IMessageFacet.sol";
import { FacetBase } from "../lib/FacetBase.sol";

/// @title Encrypted messages from member to member, carried in events.
contract MessageFacet is IMessageFacet, FacetBase {
    struct Inbox {
        uint64 count;
        bytes32 head;
    }

    /// @custom:storage-location erc7201:attestmesh.storage.Message
    struct Layout {
        mapping(bytes32 memberId => Inbox) inboxes;
        mapping(bytes32 senderRecipientEnvelope => bool) sent; // by keccak(sender, recipient, envelopeId)
    }

    // keccak256(abi.encode(uint256(keccak256("attestmesh.storage.Message")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant SLOT = 0x01ed23594c696028727ead8f00e63e0673d543f2d3613a2c2fc01abf2ca2d100;

    uint256 private constant MAX_CIPHERTEXT_LENGTH = 8192;

    /// @inheritdoc IMessageFacet
    function send(bytes32 recipientMemberId, bytes32 envelopeId, bytes calldata ciphertext) external {
        if (ciphertext.length == 0 || ciphertext.length > MAX_CIPHERTEXT_LENGTH) {
            revert InvalidCiphertextLength();
        }
        bytes32 sender = _callerMemberId();
        if (!_registry().isLiveMember(recipientMemberId)) revert UnknownRecipient();

        Layout storage $ = _layout();
        bytes32 key = keccak256(abi.encode(sender, recipientMemberId, envelopeId));
        if ($.sent[key]) revert DuplicateEnvelope();
        $.sent[key] = true;

        Inbox storage inbox = $.inboxes[recipientMemberId];
        uint64 count = ++inbox.count;
        bytes32 message = keccak256(abi.encode(sender, envelopeId, keccak256(ciphertext)));
        inbox.head = keccak256(abi.encodePacked(inbox.head, count, message));
        emit MessageSent(sender, recipientMemberId, envelopeId, ciphertext);
    }

    /// @inheritdoc IMessageFacet
    function inboxOf(bytes32 memberId) external view returns (uint64 count, bytes32 head) {
        Inbox storage inbox = _layout().inboxes[memberId];
        return (inbox.count, inbox.head);
    }

    /// @inheritdoc IMessageFacet
    function isEnvelopeSent(bytes32 senderMemberId, bytes32 recipientMemberId, bytes32 envelopeId)
        external
        view
        returns (bool)
    {
        return _layout().sent[keccak256(abi.encode(senderMemberId, recipientMemberId, envelopeId))];
    }

    function _layout() private pure returns (Layout storage $) {
        assembly ("memory-safe") {
            $.slot := SLOT
        }
    }
}
