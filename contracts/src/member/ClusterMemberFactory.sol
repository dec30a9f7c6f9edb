// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ERC1967Proxy } from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import { Create2 } from "@openzeppelin/contracts/utils/Create2.sol";
import { IClusterMember } from "../interfaces/IClusterMember.sol";
import { IClusterMemberFactory } from "../interfaces/IClusterMemberFactory.sol";

/// @title Deploys member contracts at addresses that depend on no key.
contract ClusterMemberFactory is IClusterMemberFactory {
    /// @notice What the member proxies point at when they are born.
    address public immutable IMPLEMENTATION;

    mapping(address member => address) private _clusterOf;

    constructor(address implementation) {
        IMPLEMENTATION = implementation;
    }

    /// @inheritdoc IClusterMemberFactory
    function deployMember(address cluster, bytes32 salt) external returns (address member) {
        if (cluster.code.length == 0) revert InvalidCluster();
        member = address(new ERC1967Proxy{ salt: salt }(IMPLEMENTATION, _initCall(cluster)));
        _clusterOf[member] = cluster;
        emit MemberDeployed(member, cluster, salt);
    }

    /// @inheritdoc IClusterMemberFactory
    function predictMemberAddress(address cluster, bytes32 salt) external view returns (address) {
        bytes memory initCode =
            abi.encodePacked(type(ERC1967Proxy).creationCode, abi.encode(IMPLEMENTATION, _initCall(cluster)));
        return Create2.computeAddress(salt, keccak256(initCode));
    }

    /// @inheritdoc IClusterMemberFactory
    function isOurMember(address member) external view returns (bool) {
        return _clusterOf[member] != address(0);
    }

    /// @inheritdoc IClusterMemberFactory
    function clusterOf(address member) external view returns (address) {
        return _clusterOf[member];
    }

    function _initCall(address cluster) private pure returns (bytes memory) {
        return abi.encodeCall(IClusterMember.initialize, (cluster));
    }
}
