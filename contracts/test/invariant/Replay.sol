// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Vm } from "../../script/Vm.sol";
import { IAttestFacet } from "../../src/interfaces/IAttestFacet.sol";
import { IMessageFacet } from "../../src/interfaces/IMessageFacet.sol";
import { INetworkFacet } from "../../src/interfaces/INetworkFacet.sol";

/// @dev A node's view of a cluster: what can be known from its events alone.
contract Replay {
    address private immutable CLUSTER;

    uint64 public version;
    bytes32 public head;
    mapping(bytes32 memberId => uint64) public inboxCount;
    mapping(bytes32 memberId => bytes32) public inboxHead;

    constructor(address cluster) {
        CLUSTER = cluster;
    }

    /// @return changes How many of the events were changes of the registry.
    function apply_(Vm.Log[] calldata logs) external returns (uint256 changes) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != CLUSTER) continue;
            bytes32 topic = logs[i].topics[0];
            if (topic == IMessageFacet.MessageSent.selector) {
                _message(logs[i]);
            } else if (_isChange(topic)) {
                _change(logs[i]);
                ++changes;
            }
        }
    }

    function _isChange(bytes32 topic) private pure returns (bool) {
        return topic == IAttestFacet.MemberRegistered.selector || topic == IAttestFacet.MemberRemoved.selector
            || topic == IAttestFacet.CskCommitmentSet.selector
            || topic == IAttestFacet.CskRotationStarted.selector
            || topic == INetworkFacet.WgKeyPublished.selector
            || topic == INetworkFacet.Ed25519KeyPublished.selector;
    }

    /// @dev topic0, the indexed arguments and the data one after the other are the abi.encode of all arguments in
    /// order, as the indexed ones come first and all are static.
    function _change(Vm.Log calldata log) private {
        bytes memory encoded = abi.encodePacked(log.topics, log.data);
        head = keccak256(abi.encodePacked(head, ++version, keccak256(encoded)));
    }

    function _message(Vm.Log calldata log) private {
        (bytes32 sender, bytes32 recipient, bytes32 envelopeId) =
            (log.topics[1], log.topics[2], log.topics[3]);
        bytes memory ciphertext = abi.decode(log.data, (bytes));
        bytes32 link = keccak256(abi.encode(sender, envelopeId, keccak256(ciphertext)));
        uint64 count = ++inboxCount[recipient];
        inboxHead[recipient] = keccak256(abi.encodePacked(inboxHead[recipient], count, link));
    }
}
