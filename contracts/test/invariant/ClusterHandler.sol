// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Vm, vm } from "../../script/Vm.sol";
import { IAttestFacet } from "../../src/interfaces/IAttestFacet.sol";
import { DstackProof, IDstackFacet } from "../../src/interfaces/IDstackFacet.sol";
import { IMessageFacet } from "../../src/interfaces/IMessageFacet.sol";
import { INetworkFacet } from "../../src/interfaces/INetworkFacet.sol";
import { IOperatorFacet, OperatorProof } from "../../src/interfaces/IOperatorFacet.sol";
import { ClusterMember } from "../../src/member/ClusterMember.sol";
import { ClusterMemberFactory } from "../../src/member/ClusterMemberFactory.sol";
import { NodeKeys, Proofs } from "../support/Proofs.sol";
import { Replay } from "./Replay.sol";

/// @dev Does to a cluster what members, owners and strangers may try, in any order. Calls may revert: what matters
/// is what they leave behind. Every event goes into a Replay, which rebuilds the heads from the events alone.
contract ClusterHandler {
    uint256 private constant OPERATOR_KEY = uint256(keccak256("test operator")) >> 1;
    uint256 private constant CONTRACTS = 8; // few, so that calls meet again and again

    address private immutable CLUSTER;
    ClusterMemberFactory private immutable FACTORY;

    Replay public immutable replay;
    address public clusterOwner;
    ClusterMember[] public members; // deployed, registered or not
    mapping(address member => address) public ownerSeen;
    mapping(bytes32 memberId => bool) public removedSeen;
    uint64 public versionSeen;
    bytes32 public headSeen;

    /// @notice What must never happen has happened; the invariants look at this.
    string public violation;

    constructor(address cluster, ClusterMemberFactory factory, address clusterOwner_) {
        (CLUSTER, FACTORY, clusterOwner) = (cluster, factory, clusterOwner_);
        replay = new Replay(cluster);
        for (uint256 salt = 0; salt < CONTRACTS; ++salt) {
            members.push(ClusterMember(payable(factory.deployMember(cluster, bytes32(salt)))));
        }
    }

    /// @dev Around every action: events go to the replay, and what may only grow is seen to grow.
    modifier observed() {
        vm.recordLogs();
        _;
        uint256 changes = replay.apply_(vm.getRecordedLogs());
        (uint64 version, bytes32 head,,,,,,,,) = IAttestFacet(CLUSTER).nodeState(0);
        if (version != versionSeen + changes) violation = "version does not count the changes";
        if (changes != 0 && head == headSeen) violation = "head stood still";
        (versionSeen, headSeen) = (version, head);
        _lookAtOwners();
    }

    function _lookAtOwners() private {
        for (uint256 i = 0; i < members.length; ++i) {
            address owner = members[i].owner();
            address seen = ownerSeen[address(members[i])];
            if (seen != address(0) && owner != seen) violation = "an owner changed";
            ownerSeen[address(members[i])] = owner;
        }
    }

    function registerByDstack(uint256 which, uint256 keySeed, address caller) external observed {
        address member = _member(which);
        NodeKeys memory keys = _keys(keySeed);
        DstackProof memory proof = Proofs.dstack(CLUSTER, member, keys);
        bytes memory call =
            abi.encodeCall(IDstackFacet.dstack_register, (proof, member, keys.x, keys.wg, keys.ed));
        _try(caller, call);
    }

    function registerByOperator(uint256 which, uint256 keySeed, address caller) external observed {
        address member = _member(which);
        NodeKeys memory keys = _keys(keySeed);
        OperatorProof memory proof = Proofs.operatorVoucher(
            CLUSTER, member, keys, address(uint160(keySeed | 1)), uint64(block.timestamp), OPERATOR_KEY
        );
        bytes memory call =
            abi.encodeCall(IOperatorFacet.operator_register, (proof, member, keys.x, keys.wg, keys.ed));
        _try(caller, call);
    }

    function publishWgKey(uint256 which, uint256 keySeed) external observed {
        bytes32 key = _keys(keySeed).wg;
        address member = _member(which);
        bool live = IAttestFacet(CLUSTER).isClusterMember(member);
        if (_try(member, abi.encodeCall(INetworkFacet.publishWgKey, (key))) && !live) {
            violation = "a non-member published";
        }
    }

    function publishEd25519Key(uint256 which, uint256 keySeed) external observed {
        _try(_member(which), abi.encodeCall(INetworkFacet.publishEd25519Key, (_keys(keySeed).ed)));
    }

    function send(uint256 from, uint256 to, uint8 envelope, uint16 length) external observed {
        address sender = _member(from);
        bytes32 recipient = IAttestFacet(CLUSTER).memberIdOf(_member(to));
        bool allowed =
            IAttestFacet(CLUSTER).isClusterMember(sender) && IAttestFacet(CLUSTER).isLiveMember(recipient);
        bytes memory call = abi.encodeCall(
            IMessageFacet.send, (recipient, bytes32(uint256(envelope)), new bytes(length % 8200))
        );
        if (_try(sender, call) && !allowed) violation = "a non-member sent, or received";
    }

    function sendFromAnybody(address caller, uint256 to) external observed {
        bytes32 recipient = IAttestFacet(CLUSTER).memberIdOf(_member(to));
        bool live = IAttestFacet(CLUSTER).isClusterMember(caller);
        if (_try(caller, abi.encodeCall(IMessageFacet.send, (recipient, "e", "x"))) && !live) {
            violation = "a non-member sent";
        }
    }

    function setCskCommitment(uint256 which, bytes32 commitment, uint8 lag) external observed {
        uint64 generation = IAttestFacet(CLUSTER).cskGeneration();
        bytes32 before = IAttestFacet(CLUSTER).cskCommitment();
        uint64 asked = lag % 4 == 0 && generation > 0 ? generation - 1 : generation;
        _try(_member(which), abi.encodeCall(IAttestFacet.setCskCommitment, (asked, commitment)));
        if (before != 0 && IAttestFacet(CLUSTER).cskCommitmentOf(generation) != before) {
            violation = "a commitment changed";
        }
    }

    function rotateCsk() external observed {
        _try(clusterOwner, abi.encodeCall(IAttestFacet.rotateCsk, ()));
    }

    function removeMember(uint256 which, bool byOwner, address caller) external observed {
        bytes32 id = IAttestFacet(CLUSTER).memberIdOf(_member(which));
        address sender = byOwner ? clusterOwner : caller;
        bool success = _try(sender, abi.encodeCall(IAttestFacet.removeMember, (id)));
        if (success && sender != clusterOwner) violation = "somebody else removed a member";
        if (success) removedSeen[id] = true;
    }

    function transferClusterOwnership(address newOwner) external observed {
        if (newOwner == address(0) || newOwner == CLUSTER) return;
        if (!_try(clusterOwner, abi.encodeCall(IAttestFacet.transferClusterOwnership, (newOwner)))) return;
        if (_try(newOwner, abi.encodeCall(IAttestFacet.acceptClusterOwnership, ()))) clusterOwner = newOwner;
    }

    function seizeOwner(uint256 which, address caller) external observed {
        if (caller == CLUSTER) return;
        address member = _member(which);
        vm.prank(caller);
        (bool success,) = member.call(abi.encodeWithSignature("__setOwnerFromCluster(address)", caller));
        if (success) violation = "an owner was seized";
    }

    function manageAsAnybody(address caller, bytes32 value) external observed {
        if (caller == clusterOwner || caller == CLUSTER) return;
        bool success = _try(caller, abi.encodeWithSignature("addComposeHash(bytes32)", value));
        if (success) violation = "somebody else changed the lists";
    }

    function memberTotal() external view returns (uint256) {
        return members.length;
    }

    /// @dev One of few key sets, so that members fight over keys.
    function _keys(uint256 seed) private pure returns (NodeKeys memory) {
        return Proofs.keysOf(seed % 12);
    }

    function _member(uint256 which) private view returns (address) {
        return address(members[which % members.length]);
    }

    function _try(address caller, bytes memory call) private returns (bool success) {
        if (caller == CLUSTER) return false; // the diamond's own calls are not an outsider's to make
        vm.prank(caller);
        (success,) = CLUSTER.call(call);
    }
}
