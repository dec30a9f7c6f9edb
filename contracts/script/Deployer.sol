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

    /// @dev The address that `initCode` gets, the same on every chain. It commits to the code: whoever has the sources
    /// can tell from the address what is there.
    function _addressOf(bytes memory initCode) internal pure returns (address) {
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), CREATE2_DEPLOYER, SALT, keccak256(initCode)));
        return address(uint160(uint256(hash)));
    }

    /// @dev Deploys `name`, unless it is there.
    function _deploy(string memory name, bytes memory initCode) internal returns (address account) {
        account = _addressOf(initCode);
        if (account.code.length == 0) {
            (bool success,) = CREATE2_DEPLOYER.call(abi.encodePacked(SALT, initCode));
            if (!success || account.code.length == 0) revert DeploymentFailed(name);
        }
        _say(string.concat(name, " ", vm.toString(account)));
    }

    function _requireContract(string memory name, address account) internal view {
        if (account.code.length == 0) revert MissingContract(name, account);
    }

    function _sender() internal view returns (address sender) {
        (, sender,) = vm.readCallers();
    }

    // ---- receipts

    function _receiptsDir() private view returns (string memory) {
        return vm.envOr("RECEIPTS_DIR", string.concat("deployments/", vm.toString(block.chainid)));
    }

    function _receiptPath(string memory name) internal view returns (string memory) {
        return string.concat(_receiptsDir(), "/", name, ".json");
    }

    function _readReceipt(string memory name) internal view returns (string memory) {
        return vm.readFile(_receiptPath(name));
    }

    /// @dev Writes a receipt of what was broadcast; a dry run only says so.
    /// @param json What the serialize cheatcodes gave last.
    function _writeReceipt(string memory name, string memory json) internal {
        if (vm.isContext(Vm.ForgeContext.ScriptDryRun)) {
            _say(string.concat("dry run: no receipt ", _receiptPath(name)));
        } else {
            _writeFile(name, json);
        }
    }

    function _writeFile(string memory name, string memory json) internal {
        vm.createDir(_receiptsDir(), true);
        vm.writeJson(json, _receiptPath(name));
        _say(string.concat("receipt ", _receiptPath(name)));
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
