// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Ownable } from "@openzeppelin/contracts/access/Ownable.sol";
import { Ownable2Step } from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title Where members find the indexer of this chain, and by which key they know it.
/// @notice The indexer is trusted for liveness only: members verify every event it pushes.
contract IndexerRegistry is Ownable2Step {
    string private _endpoint;
    bytes32 private _codeId;
    bytes32 private _pubKey;
    uint64 private _updatedAt;

    event IndexerUpdated(string endpoint, bytes32 codeId, bytes32 pubKey);

    /// @notice An indexer has an endpoint of 1 to 255 bytes and a key.
    error InvalidIndexer();

    constructor(address initialOwner) Ownable(initialOwner) { }

    /// @notice Announces the indexer. Owner only.
    /// @param endpoint host:port.
    /// @param codeId Identity of the code that its quote must show.
    /// @param pubKey Ed25519 key of its TLS certificate and its signatures.
    function setIndexer(string calldata endpoint, bytes32 codeId, bytes32 pubKey) external onlyOwner {
        if (bytes(endpoint).length == 0 || bytes(endpoint).length > 255 || pubKey == 0) {
            revert InvalidIndexer();
        }
        (_endpoint, _codeId, _pubKey, _updatedAt) = (endpoint, codeId, pubKey, uint64(block.timestamp));
        emit IndexerUpdated(endpoint, codeId, pubKey);
    }

    /// @notice The indexer; all empty if none was ever announced.
    /// @return endpoint host:port.
    /// @return codeId Identity of its code.
    /// @return pubKey Its Ed25519 key.
    /// @return updatedAt Unix seconds of the announcement.
    function current()
        external
        view
        returns (string memory endpoint, bytes32 codeId, bytes32 pubKey, uint64 updatedAt)
    {
        return (_endpoint, _codeId, _pubKey, _updatedAt);
    }
}
