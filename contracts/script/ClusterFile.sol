// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { AttestorConfig, ClusterArgs } from "../src/cluster/ClusterConfig.sol";
import { IAttestorFacet } from "../src/interfaces/IAttestorFacet.sol";
import { IDstackFacet } from "../src/interfaces/IDstackFacet.sol";
import { vm } from "./Vm.sol";

/// @title The JSON file that describes a cluster; see contracts/README.md for its fields.
library ClusterFile {
    error InvalidNetwork(string network);

    function name(string memory file) internal view returns (string memory) {
        return vm.keyExistsJson(file, ".name") ? vm.parseJsonString(file, ".name") : "default";
    }

    function parse(string memory file, address dstackFacet, address operatorFacet)
        internal
        view
        returns (ClusterArgs memory args, bytes32 salt)
    {
        args.clusterOwner = vm.parseJsonAddress(file, ".owner");
        if (vm.keyExistsJson(file, ".network")) {
            (args.cidrIp, args.cidrPrefix) = _parseNetwork(vm.parseJsonString(file, ".network"));
        }
        if (vm.keyExistsJson(file, ".salt")) salt = vm.parseJsonBytes32(file, ".salt");

        bool hasDstack = vm.keyExistsJson(file, ".dstack");
        bool hasOperators = vm.keyExistsJson(file, ".operators");
        args.attestors = new AttestorConfig[]((hasDstack ? 1 : 0) + (hasOperators ? 1 : 0));
        if (hasDstack) {
            args.attestors[0] = AttestorConfig(IAttestorFacet(dstackFacet), abi.encode(dstack(file)));
        }
        if (hasOperators) {
            bytes memory initData = abi.encode(vm.parseJsonAddressArray(file, ".operators"));
            args.attestors[hasDstack ? 1 : 0] = AttestorConfig(IAttestorFacet(operatorFacet), initData);
        }
    }

    function dstack(string memory file) internal view returns (IDstackFacet.DstackInit memory init) {
        init.kmsRoots = _addresses(file, ".dstack.kmsRoots");
        init.appIds = _addresses(file, ".dstack.appIds");
        init.composeHashes = _hashes(file, ".dstack.composeHashes");
        init.devices = _hashes(file, ".dstack.devices");
        init.allowAnyDevice = _flag(file, ".dstack.allowAnyDevice");
        init.requireTcbUpToDate = _flag(file, ".dstack.requireTcbUpToDate");
    }

    function _addresses(string memory file, string memory key) private view returns (address[] memory) {
        return vm.keyExistsJson(file, key) ? vm.parseJsonAddressArray(file, key) : new address[](0);
    }

    function _hashes(string memory file, string memory key) private view returns (bytes32[] memory) {
        return vm.keyExistsJson(file, key) ? vm.parseJsonBytes32Array(file, key) : new bytes32[](0);
    }

    function _flag(string memory file, string memory key) private view returns (bool) {
        return vm.keyExistsJson(file, key) && vm.parseJsonBool(file, key);
    }

    /// @dev "10.13.0.0/16"
    function _parseNetwork(string memory network) private pure returns (uint32 ip, uint8 prefix) {
        string[] memory parts = vm.split(network, "/");
        if (parts.length != 2) revert InvalidNetwork(network);
        string[] memory octets = vm.split(parts[0], ".");
        if (octets.length != 4) revert InvalidNetwork(network);
        for (uint256 i = 0; i < 4; ++i) {
            uint256 octet = vm.parseUint(octets[i]);
            if (octet > 255) revert InvalidNetwork(network);
            ip = (ip << 8) | uint32(octet);
        }
        uint256 bits = vm.parseUint(parts[1]);
        if (bits > 32) revert InvalidNetwork(network);
        prefix = uint8(bits);
    }
}
