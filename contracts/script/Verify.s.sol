// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ClusterDiamond } from "../src/cluster/ClusterDiamond.sol";
import { ClusterDiamondFactory } from "../src/cluster/ClusterDiamondFactory.sol";
import { Selectors } from "../src/cluster/Selectors.sol";
import { IAttestFacet } from "../src/interfaces/IAttestFacet.sol";
import { IAttestorFacet } from "../src/interfaces/IAttestorFacet.sol";
import { IDstackFacet } from "../src/interfaces/IDstackFacet.sol";
import { IOperatorFacet } from "../src/interfaces/IOperatorFacet.sol";
import { IndexerRegistry } from "../src/IndexerRegistry.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { ClusterMemberFactory } from "../src/member/ClusterMemberFactory.sol";
import { ClusterFile } from "./ClusterFile.sol";
import { InfraPlan } from "./InfraPlan.sol";
import { vm } from "./Vm.sol";

/// @title Reads a deployment back and checks it against the receipts and the sources.
/// @notice Environment: CLUSTER_NAME ("default"), CLUSTER_CONFIG (optional: also checks that what the file lists is
/// allowed). Sends nothing; prints one line per check and fails if any fails.
/// @dev An address that the sources give again proves the code there, constructor arguments included.
contract Verify is InfraPlan {
    bytes32 private constant IMPLEMENTATION_SLOT =
        bytes32(uint256(keccak256("eip1967.proxy.implementation")) - 1);

    error VerificationFailed(uint256 failures);

    uint256 private failures;

    function run() external {
        _verifyInfra();
        if (vm.exists(_receiptPath(string.concat("cluster-", _clusterName())))) {
            _verifyCluster();
            _verifyMembers();
        }
        if (failures != 0) revert VerificationFailed(failures);
        _say("all checks passed");
    }

    function _verifyInfra() private {
        string memory receipt = _readReceipt("infra");
        address owner = vm.parseJsonAddress(receipt, ".owner");
        _check("chain id", vm.parseJsonUint(receipt, ".chainId") == block.chainid);
        Item[] memory items = _infraPlan(_infra("entryPoint"), owner);
        for (uint256 i = 0; i < items.length; ++i) {
            address expected = _addressOf(items[i].initCode);
            _check(items[i].name, _infra(items[i].name) == expected && expected.code.length != 0);
        }
        ClusterDiamondFactory factory = ClusterDiamondFactory(_infra("clusterFactory"));
        _check("clusterFactory: owner", factory.owner() == owner);
        _check("clusterFactory: no owner pending", factory.pendingOwner() == address(0));
        _check("dstackFacet: approved", factory.isApprovedAttestor(IAttestorFacet(_infra("dstackFacet"))));
        _check("operatorFacet: approved", factory.isApprovedAttestor(IAttestorFacet(_infra("operatorFacet"))));
        IndexerRegistry registry = IndexerRegistry(_infra("indexerRegistry"));
        _check("indexerRegistry: owner", registry.owner() == owner);
        _check("indexerRegistry: no owner pending", registry.pendingOwner() == address(0));
    }

    function _verifyCluster() private {
        string memory receipt = _readReceipt(string.concat("cluster-", _clusterName()));
        address cluster = _cluster();
        address owner = vm.parseJsonAddress(receipt, ".clusterOwner");
        ClusterDiamond diamond = ClusterDiamond(payable(cluster));
        IAttestFacet attest = IAttestFacet(cluster);
        _check(
            "cluster: deployed by the factory",
            ClusterDiamondFactory(_infra("clusterFactory")).isDeployedCluster(cluster)
        );
        _check("cluster: owner", attest.clusterOwner() == owner);
        _check("cluster: diamond owner", diamond.owner() == owner);
        _check("cluster: no owner pending", attest.pendingClusterOwner() == address(0));
        _check("cluster: no owner of both pending", attest.pendingBothOwner() == address(0));
        _check("cluster: no diamond owner pending", diamond.nomineeOwner() == address(0));
        _check("cluster: no fallback facet", diamond.getFallbackAddress() == address(0));
        (uint32 ip, uint8 prefix) = attest.meshCidr();
        _check("cluster: network", ip == vm.parseJsonUint(receipt, ".cidrIp"));
        _check("cluster: prefix", prefix == vm.parseJsonUint(receipt, ".cidrPrefix"));

        _verifyFacet(diamond, "attestFacet", Selectors.attest());
        _verifyFacet(diamond, "messageFacet", Selectors.message());
        _verifyFacet(diamond, "networkFacet", Selectors.network());
        uint256 facets = 4; // the diamond itself is one
        facets += _verifyAttestor(diamond, "dstackFacet", Selectors.dstack());
        facets += _verifyAttestor(diamond, "operatorFacet", Selectors.operator());
        _check("cluster: no other facet", diamond.facetAddresses().length == facets);
        if (bytes(vm.envOr("CLUSTER_CONFIG", string(""))).length != 0) _verifyLists(cluster);
    }

    function _verifyAttestor(ClusterDiamond diamond, string memory name, bytes4[] memory selectors)
        private
        returns (uint256)
    {
        if (diamond.facetAddress(selectors[0]) == address(0)) return 0;
        _verifyFacet(diamond, name, selectors);
        return 1;
    }

    function _verifyFacet(ClusterDiamond diamond, string memory name, bytes4[] memory selectors) private {
        bytes4[] memory actual = diamond.facetFunctionSelectors(_infra(name));
        bool same = actual.length == selectors.length;
        for (uint256 i = 0; i < selectors.length; ++i) {
            same = same && diamond.facetAddress(selectors[i]) == _infra(name);
        }
        _check(string.concat("cluster: selectors of ", name), same);
    }

    function _verifyLists(address cluster) private {
        string memory file = vm.readFile(vm.envString("CLUSTER_CONFIG"));
        if (vm.keyExistsJson(file, ".operators")) {
            address[] memory operators = vm.parseJsonAddressArray(file, ".operators");
            for (uint256 i = 0; i < operators.length; ++i) {
                _check("list: operator", IOperatorFacet(cluster).isOperator(operators[i]));
            }
        }
        if (!vm.keyExistsJson(file, ".dstack")) return;
        IDstackFacet dstack = IDstackFacet(cluster);
        IDstackFacet.DstackInit memory init = ClusterFile.dstack(file);
        for (uint256 i = 0; i < init.kmsRoots.length; ++i) {
            _check("list: kms root", dstack.allowedKmsRoots(init.kmsRoots[i]));
        }
        for (uint256 i = 0; i < init.appIds.length; ++i) {
            _check("list: app id", dstack.allowedAppIds(init.appIds[i]));
        }
        for (uint256 i = 0; i < init.composeHashes.length; ++i) {
            _check("list: compose hash", dstack.allowedComposeHashes(init.composeHashes[i]));
        }
        for (uint256 i = 0; i < init.devices.length; ++i) {
            _check("list: device", dstack.allowedDeviceIds(init.devices[i]));
        }
        _check("policy: any device", dstack.allowAnyDevice() == init.allowAnyDevice);
        _check("policy: tcb", dstack.requireTcbUpToDate() == init.requireTcbUpToDate);
    }

    /// @dev The members whose receipts follow one another from salt 0 on.
    function _verifyMembers() private {
        for (uint256 salt = 0;; ++salt) {
            string memory name = string.concat("member-", _clusterName(), "-", vm.toString(salt));
            if (!vm.exists(_receiptPath(name))) return;
            ClusterMember member = ClusterMember(payable(vm.parseJsonAddress(_readReceipt(name), ".member")));
            bytes32 implementation = vm.load(address(member), IMPLEMENTATION_SLOT);
            _check(
                string.concat(name, ": deployed by the factory"),
                ClusterMemberFactory(_infra("memberFactory")).clusterOf(address(member)) == _cluster()
            );
            _check(string.concat(name, ": bound to the cluster"), member.cluster() == _cluster());
            _check(
                string.concat(name, ": implementation"),
                implementation == bytes32(uint256(uint160(_infra("memberImplementation"))))
            );
        }
    }

    function _check(string memory what, bool holds) private {
        _say(string.concat(holds ? "ok    " : "FAIL  ", what));
        if (!holds) ++failures;
    }
}
