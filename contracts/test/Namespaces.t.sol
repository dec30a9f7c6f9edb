// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Vm, vm } from "../script/Vm.sol";
import { MemberStorage } from "../src/lib/MemberStorage.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { NodeKeys, Proofs } from "./support/Proofs.sol";
import { World } from "./support/World.sol";

/// @dev Every storage access of every operation is recorded: a facet touches its own ERC-7201 namespace only.
contract NamespacesTest is World {
    bytes32 private constant MESSAGE = 0x01ed23594c696028727ead8f00e63e0673d543f2d3613a2c2fc01abf2ca2d100;
    bytes32 private constant NETWORK = 0x474b09740077ffacfbf2d439dfedf08d163ee733bb577268273bf24437752a00;
    bytes32 private constant DSTACK = 0x3a6ca0bce3f2eabeff789f3e634310c8ac9ff254a0d573f6389711dd0d3b9600;
    bytes32 private constant OPERATOR = 0x205db981323e45ca31d5a3fd0354827409c9c954e0978888dcfe2a883515bc00;
    bytes32 private constant DIAMOND = keccak256("solidstate.contracts.storage.DiamondBase");
    bytes32 private constant OWNABLE = keccak256("solidstate.contracts.storage.Ownable");
    bytes32 private constant SAFE_OWNABLE = keccak256("solidstate.contracts.storage.SafeOwnable");
    bytes32 private constant ERC165 = keccak256("solidstate.contracts.storage.ERC165Base");

    uint256 private checkedWrites;

    function test_Facets_TouchTheirOwnNamespaceOnly() public {
        vm.startMappingRecording();
        vm.startStateDiffRecording();
        _doEverything();
        Vm.AccountAccess[] memory accesses = vm.stopAndReturnStateDiff();
        for (uint256 i = 0; i < accesses.length; ++i) {
            _checkAccess(accesses[i]);
        }
        assertTrue(checkedWrites > 40, "writes were seen");
    }

    function _doEverything() private {
        (ClusterMember a, bytes32 idA) = _join(1);
        ClusterMember b = _deployMember(2);
        NodeKeys memory keys = Proofs.keysOf(2);
        operator.operator_register(
            Proofs.operatorVoucher(
                cluster, address(b), keys, stranger, uint64(block.timestamp), OPERATOR_KEY
            ),
            address(b),
            keys.x,
            keys.wg,
            keys.ed
        );
        vm.startPrank(address(a));
        message.send(idA, "e", "x");
        network.publishWgKey("w");
        network.publishEd25519Key("e");
        attest.setCskCommitment(0, "c");
        vm.stopPrank();
        _doWhatOwnersDo(a, idA);
        attest.membersPage(0, 10);
        attest.nodeState(idA);
    }

    function _doWhatOwnersDo(ClusterMember a, bytes32 idA) private {
        vm.startPrank(clusterOwner);
        dstack.addComposeHash("c");
        dstack.removeComposeHash("c");
        a.addDevice("d");
        a.removeDevice("d");
        dstack.setAllowAnyDevice(true);
        dstack.setRequireTcbUpToDate(true);
        dstack.addAllowedKmsRoot(stranger);
        dstack.removeAllowedKmsRoot(stranger);
        dstack.addAllowedAppId(stranger);
        dstack.removeAllowedAppId(stranger);
        dstack.setManagementForwarder(stranger, true);
        operator.addOperator(stranger);
        operator.removeOperator(stranger);
        attest.removeMember(idA);
        attest.rotateCsk();
        attest.transferClusterOwnership(stranger);
        attest.transferBothOwners(stranger);
        vm.stopPrank();
        vm.prank(stranger);
        attest.acceptBothOwners();
    }

    function _checkAccess(Vm.AccountAccess memory access) private {
        for (uint256 i = 0; i < access.storageAccesses.length; ++i) {
            Vm.StorageAccess memory storageAccess = access.storageAccesses[i];
            if (storageAccess.account != cluster) continue;
            bytes32 namespace = _namespaceOf(storageAccess.slot);
            assertTrue(_mayTouch(access.account, namespace), vm.toString(namespace));
            if (storageAccess.isWrite && access.account != cluster) ++checkedWrites;
        }
    }

    /// @param code Whose code ran: a facet's, or the diamond's own.
    function _mayTouch(address code, bytes32 namespace) private view returns (bool) {
        if (code == core.attest) return namespace == MemberStorage.SLOT;
        if (code == core.message) return namespace == MESSAGE;
        if (code == core.network) return namespace == NETWORK;
        if (code == address(dstackFacet)) return namespace == DSTACK;
        if (code == address(operatorFacet)) return namespace == OPERATOR;
        return code == cluster
            && (namespace == DIAMOND
                || namespace == OWNABLE
                || namespace == SAFE_OWNABLE
                || namespace == ERC165);
    }

    /// @dev Follows mappings up to the slot that is in no mapping, and gives the namespace that this slot is in.
    function _namespaceOf(bytes32 slot) private view returns (bytes32) {
        for (uint256 depth = 0; depth < 4; ++depth) {
            (bool found, bytes32 parent) = _parentOf(slot);
            if (!found) break;
            slot = parent;
        }
        bytes32 memberIds = keccak256(abi.encode(uint256(MemberStorage.SLOT) + 3)); // elements of the array
        if (_isWithin(slot, memberIds, 100)) return MemberStorage.SLOT;
        if (_isWithin(slot, DIAMOND, 4)) return DIAMOND;
        if (slot == OWNABLE || slot == SAFE_OWNABLE || slot == ERC165) return slot;
        return slot & ~bytes32(uint256(0xff));
    }

    /// @dev The mapping that a slot is an entry of; entries have up to three slots.
    function _parentOf(bytes32 slot) private view returns (bool found, bytes32 parent) {
        for (uint256 offset = 0; offset < 3 && !found && uint256(slot) >= offset; ++offset) {
            (found,, parent) = vm.getMappingKeyAndParentOf(cluster, bytes32(uint256(slot) - offset));
        }
    }

    function _isWithin(bytes32 slot, bytes32 first, uint256 length) private pure returns (bool) {
        return slot >= first && uint256(slot) - uint256(first) < length;
    }
}
