// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Encrypted messages from member to member, carried in events.
interface IMessageFacet {
    event MessageSent(
        bytes32 indexed senderMemberId,
        bytes32 indexed recipientMemberId,
        bytes32 indexed envelopeId,
        bytes ciphertext
    );

    /// @notice The recipient is no live member.
    error UnknownRecipient();
    /// @notice A ciphertext has 1 to 8192 bytes.
    error InvalidCiphertextLength();
    /// @notice This sender has sent this envelope to this recipient.
    error DuplicateEnvelope();

    /// @notice Sends a sealed box. Live members to live members, one's own inbox included.
    /// @dev Reverts InvalidCiphertextLength, NotAMember, UnknownRecipient, DuplicateEnvelope.
    function send(bytes32 recipientMemberId, bytes32 envelopeId, bytes calldata ciphertext) external;

    /// @notice How many messages were ever sent to a member, and the keccak chain over them.
    function inboxOf(bytes32 memberId) external view returns (uint64 count, bytes32 head);

    /// @notice True iff the sender has sent this envelope to this recipient.
    function isEnvelopeSent(bytes32 senderMemberId, bytes32 recipientMemberId, bytes32 envelopeId)
        external
        view
        returns (bool);
}
