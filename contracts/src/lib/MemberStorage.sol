// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { BitMaps } from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

/// @title State of AttestFacet.
library MemberStorage {
    /// @dev Three slots. Keys other than xPubKey are NetworkFacet's.
    struct Member {
        bytes32 attestorId;
        address memberContract;
        uint32 meshIp;
        uint56 registeredAt;
        bool removed;
        bytes32 xPubKey;
    }

    /// @custom:storage-location erc7201:attestmesh.storage.Member
    struct Layout {
        address clusterOwner;
        uint32 cidrIp;
        uint8 cidrPrefix;
        uint64 version;
        uint64 cskGeneration;
        uint32 keyholderIndex; // the lowest live index; the number of members if nobody is live
        uint32 removedCount;
        bytes32 head;
        bytes32[] ids;
        mapping(bytes32 memberId => Member) members;
        mapping(address memberContract => bytes32) idOf;
        mapping(uint64 generation => bytes32) cskCommitments;
        BitMaps.BitMap takenIps;
        address pendingClusterOwner;
        address pendingBothOwner;
    }

    // keccak256(abi.encode(uint256(keccak256("attestmesh.storage.Member")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 internal constant SLOT = 0xb467e8594a304c917a13600fb1a45cab0b4afdd28a6631433cce9a01f8451200;

    function layout() internal pure returns (Layout storage $) {
        assembly ("memory-safe") {
            $.slot := SLOT
        }
    }
}
