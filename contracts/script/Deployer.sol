// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { vm, Vm } from "./Vm.sol";

/// @title What the deploy scripts share: idempotent deployment, receipts, console output.
/// @dev A script that is run again finds what is there and does the rest. Without --broadcast it is a dry run: it
/// says what it would do and writes no receipt.
abstract contract Deployer {
    address internal constant ENTRY_POINT_V07 = 0x0000000071727De22E5E9d8BAf0edAc6f37da032;
    address private constant CREATE2_DEPLOYER = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    address private constant CONSOLE = 0x000000000000000000636F6e736F6c652e6c6f67;
    bytes32 private constant SALT = keccak256("attestmesh.v1");

    error DeploymentFailed(string name);
    error MissingContract(string name, address account);

    // forge's script runner looks for this flag.
    bool public constant IS_SCRIPT = true;

    /// @dev The address to which `name` is deployed, at the same place on every chain, once.
    function _deploy(string memory name, bytes memory initCode) internal returns (address account) {
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), CREATE2_DEPLOYER, SALT, keccak256(initCode)));
        account = address(uint160(uint256(hash)));
        if (account.code.length != 0) {
            _say(string.concat(name, " is at ", vm.toString(account)));
            return account;
        }
        (bool success,) = CREATE2_DEPLOYER.call(abi.encodePacked(SALT, initCode));
        if (!success || account.code.length == 0) revert DeploymentFailed(name);
        _say(string.concat(name, " deployed to ", vm.toString(account)));
    }

    function _requireContract(string memory name, address account) internal view {
        if (account.code.length == 0) revert MissingContract(name, account);
    }

    function _sender() internal view returns (address sender) {
        (, sender,) = vm.readCallers();
    }

    // ---- receipts

    function _receiptPath(string memory name) internal view returns (string memory) {
        string memory fallbackDir = string.concat("deployments/", vm.toString(block.chainid));
        return string.concat(vm.envOr("RECEIPTS_DIR", fallbackDir), "/", name, ".json");
    }

    function _readReceipt(string memory name) internal view returns (string memory) {
        return vm.readFile(_receiptPath(name));
    }

    /// @param json What the serialize cheatcodes gave last.
    function _writeReceipt(string memory name, string memory json) internal {
        string memory path = _receiptPath(name);
        if (!vm.isContext(Vm.ForgeContext.ScriptBroadcast)) {
            _say(string.concat("dry run: no receipt ", path));
            return;
        }
        string memory fallbackDir = string.concat("deployments/", vm.toString(block.chainid));
        vm.createDir(vm.envOr("RECEIPTS_DIR", fallbackDir), true);
        vm.writeJson(json, path);
        _say(string.concat("receipt ", path));
    }

    function _infra(string memory key) internal view returns (address) {
        return vm.parseJsonAddress(_readReceipt("infra"), string.concat(".", key));
    }

    /// @dev The cluster a script works on: CLUSTER, or the receipt of CLUSTER_NAME.
    function _cluster() internal view returns (address cluster) {
        cluster = vm.envOr("CLUSTER", address(0));
        if (cluster == address(0)) {
            cluster = vm.parseJsonAddress(_readReceipt(string.concat("cluster-", _clusterName())), ".cluster");
        }
        _requireContract("cluster", cluster);
    }

    function _clusterName() internal view returns (string memory) {
        return vm.envOr("CLUSTER_NAME", string("default"));
    }

    function _say(string memory text) internal view {
        (bool ignored,) = CONSOLE.staticcall(abi.encodeWithSignature("log(string)", text));
        (ignored);
    }
}
