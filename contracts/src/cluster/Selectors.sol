// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAppAuth } from "../interfaces/IAppAuth.sol";
import { IAppAuthBasicManagement } from "../interfaces/IAppAuthBasicManagement.sol";
import { IAttestFacet } from "../interfaces/IAttestFacet.sol";
import { IDstackAppPolicy } from "../interfaces/IDstackAppPolicy.sol";
import { IDstackFacet } from "../interfaces/IDstackFacet.sol";
import { IMessageFacet } from "../interfaces/IMessageFacet.sol";
import { INetworkFacet } from "../interfaces/INetworkFacet.sol";
import { IOperatorFacet } from "../interfaces/IOperatorFacet.sol";

/// @title Which function of a cluster lives in which facet.
/// @dev Besides these the diamond itself answers ERC-2535's, ERC-173's and ERC-165's functions.
library Selectors {
    function attest() internal pure returns (bytes4[] memory s) {
        s = new bytes4[](32);
        uint256 n = 0;
        s[n++] = IAttestFacet.isClusterMember.selector;
        s[n++] = IAttestFacet.memberIdOf.selector;
        s[n++] = IAttestFacet.liveMemberIdOf.selector;
        s[n++] = IAttestFacet.isLiveMember.selector;
        s[n++] = IAttestFacet.memberOf.selector;
        s[n++] = IAttestFacet.memberById.selector;
        s[n++] = IAttestFacet.listMembers.selector;
        s[n++] = IAttestFacet.memberCount.selector;
        s[n++] = IAttestFacet.membersPage.selector;
        s[n++] = IAttestFacet.nodeState.selector;
        s[n++] = IAttestFacet.meshCidr.selector;
        s[n++] = IAttestFacet.meshIpOf.selector;
        s[n++] = IAttestFacet.xPubKeyOf.selector;
        s[n++] = IAttestFacet.keyholder.selector;
        s[n++] = IAttestFacet.setCskCommitment.selector;
        s[n++] = IAttestFacet.cskCommitment.selector;
        s[n++] = IAttestFacet.cskCommitmentOf.selector;
        s[n++] = IAttestFacet.cskGeneration.selector;
        s[n++] = IAttestFacet.rotateCsk.selector;
        s[n++] = IAttestFacet.removeMember.selector;
        s[n++] = IAttestFacet.clusterOwner.selector;
        s[n++] = IAttestFacet.pendingClusterOwner.selector;
        s[n++] = IAttestFacet.transferClusterOwnership.selector;
        s[n++] = IAttestFacet.acceptClusterOwnership.selector;
        s[n++] = IAttestFacet.pendingBothOwner.selector;
        s[n++] = IAttestFacet.transferBothOwners.selector;
        s[n++] = IAttestFacet.acceptBothOwners.selector;
        s[n++] = IAttestFacet._addMember.selector;
        s[n++] = IAttestFacet._recordChange.selector;
        _trim(s, n);
    }

    function message() internal pure returns (bytes4[] memory s) {
        s = new bytes4[](3);
        s[0] = IMessageFacet.send.selector;
        s[1] = IMessageFacet.inboxOf.selector;
        s[2] = IMessageFacet.isEnvelopeSent.selector;
    }

    function network() internal pure returns (bytes4[] memory s) {
        s = new bytes4[](6);
        s[0] = INetworkFacet.publishWgKey.selector;
        s[1] = INetworkFacet.publishEd25519Key.selector;
        s[2] = INetworkFacet.wgPubKeyOf.selector;
        s[3] = INetworkFacet.ed25519PubKeyOf.selector;
        s[4] = INetworkFacet.wgKeyHolder.selector;
        s[5] = INetworkFacet._setInitialKeys.selector;
    }

    function dstack() internal pure returns (bytes4[] memory s) {
        s = new bytes4[](32);
        uint256 n = 0;
        s[n++] = IDstackFacet.dstack_register.selector;
        s[n++] = IAppAuth.isAppAllowed.selector;
        s[n++] = IAppAuthBasicManagement.addComposeHash.selector;
        s[n++] = IAppAuthBasicManagement.removeComposeHash.selector;
        s[n++] = IAppAuthBasicManagement.addDevice.selector;
        s[n++] = IAppAuthBasicManagement.removeDevice.selector;
        s[n++] = IDstackAppPolicy.setAllowAnyDevice.selector;
        s[n++] = IDstackAppPolicy.setRequireTcbUpToDate.selector;
        s[n++] = IDstackAppPolicy.allowAnyDevice.selector;
        s[n++] = IDstackAppPolicy.requireTcbUpToDate.selector;
        s[n++] = IDstackAppPolicy.allowedComposeHashes.selector;
        s[n++] = IDstackAppPolicy.allowedDeviceIds.selector;
        s[n++] = IDstackAppPolicy.version.selector;
        s[n++] = IDstackFacet.addAllowedKmsRoot.selector;
        s[n++] = IDstackFacet.removeAllowedKmsRoot.selector;
        s[n++] = IDstackFacet.allowedKmsRoots.selector;
        s[n++] = IDstackFacet.addAllowedAppId.selector;
        s[n++] = IDstackFacet.removeAllowedAppId.selector;
        s[n++] = IDstackFacet.allowedAppIds.selector;
        s[n++] = IDstackFacet.setManagementForwarder.selector;
        s[n++] = IDstackFacet.isManagementForwarder.selector;
        s[n++] = IDstackFacet._forwardManagement.selector;
        _trim(s, n);
    }

    function operator() internal pure returns (bytes4[] memory s) {
        s = new bytes4[](4);
        s[0] = IOperatorFacet.operator_register.selector;
        s[1] = IOperatorFacet.addOperator.selector;
        s[2] = IOperatorFacet.removeOperator.selector;
        s[3] = IOperatorFacet.isOperator.selector;
    }

    function _trim(bytes4[] memory s, uint256 length) private pure {
        assembly ("memory-safe") {
            mstore(s, length)
        }
    }
}
