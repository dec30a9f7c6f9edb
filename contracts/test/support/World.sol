// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { PackedUserOperation } from "@account-abstraction/contracts/interfaces/PackedUserOperation.sol";
import { IEntryPoint } from "@account-abstraction/contracts/interfaces/IEntryPoint.sol";
import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import { vm } from "../../script/Vm.sol";
import { AttestorConfig, ClusterArgs, CoreFacets } from "../../src/cluster/ClusterConfig.sol";
import { ClusterDiamond } from "../../src/cluster/ClusterDiamond.sol";
import { ClusterDiamondFactory } from "../../src/cluster/ClusterDiamondFactory.sol";
import { DiamondInit } from "../../src/cluster/DiamondInit.sol";
import { AttestFacet } from "../../src/facets/AttestFacet.sol";
import { DstackFacet } from "../../src/facets/DstackFacet.sol";
import { MessageFacet } from "../../src/facets/MessageFacet.sol";
import { NetworkFacet } from "../../src/facets/NetworkFacet.sol";
import { OperatorFacet } from "../../src/facets/OperatorFacet.sol";
import { IAttestFacet } from "../../src/interfaces/IAttestFacet.sol";
import { DstackProof, IDstackFacet } from "../../src/interfaces/IDstackFacet.sol";
import { IMessageFacet } from "../../src/interfaces/IMessageFacet.sol";
import { INetworkFacet } from "../../src/interfaces/INetworkFacet.sol";
import { IOperatorFacet } from "../../src/interfaces/IOperatorFacet.sol";
import { ClusterMember } from "../../src/member/ClusterMember.sol";
import { ClusterMemberFactory } from "../../src/member/ClusterMemberFactory.sol";
import { NodeKeys, Proofs } from "./Proofs.sol";
import { Test } from "./Test.sol";

/// @dev A chain with EntryPoint v0.7 at its canonical address, our infrastructure, and one cluster with both attestors.
abstract contract World is Test {
    address internal constant CREATE2_DEPLOYER = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    IEntryPoint internal constant ENTRY_POINT = IEntryPoint(0x0000000071727De22E5E9d8BAf0edAc6f37da032);
    bytes32 private constant ENTRY_POINT_SALT =
        0x90d8084deab30c2a37c45e8d47f49f2f7965183cb6990a98943ef94940681de3;

    uint256 internal constant OPERATOR_KEY = uint256(keccak256("test operator")) >> 1;
    bytes32 internal constant COMPOSE_HASH = keccak256("compose");
    bytes32 internal constant DEVICE = keccak256("device");

    address internal immutable infraOwner = address(uint160(uint256(keccak256("infra owner"))));
    address internal immutable clusterOwner = address(uint160(uint256(keccak256("cluster owner"))));
    address internal immutable stranger = address(uint160(uint256(keccak256("stranger"))));

    ClusterMember internal implementation;
    ClusterMemberFactory internal memberFactory;
    ClusterDiamondFactory internal clusterFactory;
    DstackFacet internal dstackFacet;
    OperatorFacet internal operatorFacet;
    CoreFacets internal core;

    address internal cluster;
    IAttestFacet internal attest;
    IMessageFacet internal message;
    INetworkFacet internal network;
    IDstackFacet internal dstack;
    IOperatorFacet internal operator;

    function setUp() public virtual {
        vm.warp(1_760_000_000);
        _deployEntryPoint();
        _deployInfra();
        _use(clusterFactory.deployCluster(_clusterArgs(), bytes32(uint256(1))));
    }

    /// @dev Makes `cluster` the one that the facet handles talk to.
    function _use(address cluster_) internal {
        cluster = cluster_;
        attest = IAttestFacet(cluster_);
        message = IMessageFacet(cluster_);
        network = INetworkFacet(cluster_);
        dstack = IDstackFacet(cluster_);
        operator = IOperatorFacet(cluster_);
    }

    function _clusterArgs() internal view virtual returns (ClusterArgs memory args) {
        args.clusterOwner = clusterOwner;
        args.attestors = new AttestorConfig[](2);
        IDstackFacet.DstackInit memory init;
        init.kmsRoots = new address[](1);
        init.kmsRoots[0] = vm.addr(Proofs.KMS_KEY);
        init.composeHashes = new bytes32[](1);
        init.composeHashes[0] = COMPOSE_HASH;
        init.devices = new bytes32[](1);
        init.devices[0] = DEVICE;
        args.attestors[0] = AttestorConfig(dstackFacet, abi.encode(init));
        address[] memory operators = new address[](1);
        operators[0] = vm.addr(OPERATOR_KEY);
        args.attestors[1] = AttestorConfig(operatorFacet, abi.encode(operators));
    }

    function _diamond() internal view returns (ClusterDiamond) {
        return ClusterDiamond(payable(cluster));
    }

    // ---- members

    function _deployMember(uint256 salt) internal returns (ClusterMember) {
        return ClusterMember(payable(memberFactory.deployMember(cluster, bytes32(salt))));
    }

    /// @dev A member admitted by the dstack attestor, with the keys of its salt.
    function _join(uint256 salt) internal returns (ClusterMember member, bytes32 memberId) {
        member = _deployMember(salt);
        memberId = _register(member, Proofs.keysOf(salt));
    }

    function _register(ClusterMember member, NodeKeys memory keys) internal returns (bytes32) {
        DstackProof memory proof = Proofs.dstack(cluster, address(member), keys);
        return dstack.dstack_register(proof, address(member), keys.x, keys.wg, keys.ed);
    }

    function _version() internal view returns (uint64 version) {
        (version,,,,,,,,,) = attest.nodeState(0);
    }

    function _head() internal view returns (bytes32 head) {
        (, head,,,,,,,,) = attest.nodeState(0);
    }

    // ---- user operations

    function _userOp(address sender, bytes memory callData, uint256 signingKey)
        internal
        view
        returns (PackedUserOperation memory op)
    {
        op.sender = sender;
        op.nonce = ENTRY_POINT.getNonce(sender, 0);
        op.callData = callData;
        op.accountGasLimits = bytes32((uint256(500_000) << 128) | 1_000_000);
        op.preVerificationGas = 60_000;
        op.gasFees = bytes32((uint256(1 gwei) << 128) | 1 gwei);
        op.signature =
            Proofs.sign(signingKey, MessageHashUtils.toEthSignedMessageHash(ENTRY_POINT.getUserOpHash(op)));
    }

    function _registerCall(address member, NodeKeys memory keys) internal returns (bytes memory) {
        DstackProof memory proof = Proofs.dstack(cluster, member, keys);
        bytes memory inner =
            abi.encodeCall(IDstackFacet.dstack_register, (proof, member, keys.x, keys.wg, keys.ed));
        return abi.encodeCall(ClusterMember.execute, (cluster, 0, inner));
    }

    function _handle(PackedUserOperation memory op) internal {
        PackedUserOperation[] memory ops = new PackedUserOperation[](1);
        ops[0] = op;
        vm.prank(stranger, stranger);
        ENTRY_POINT.handleOps(ops, payable(stranger));
    }

    // ---- infrastructure

    function _deployEntryPoint() private {
        string memory artifact =
            vm.readFile("node_modules/@account-abstraction/contracts/artifacts/EntryPoint.json");
        bytes memory initCode = vm.parseJsonBytes(artifact, ".bytecode");
        (bool success,) = CREATE2_DEPLOYER.call(abi.encodePacked(ENTRY_POINT_SALT, initCode));
        assertTrue(success && address(ENTRY_POINT).code.length != 0, "EntryPoint at its canonical address");
    }

    function _deployInfra() private {
        implementation = new ClusterMember(address(ENTRY_POINT));
        memberFactory = new ClusterMemberFactory(address(implementation));
        core = CoreFacets({
            attest: address(new AttestFacet()),
            message: address(new MessageFacet()),
            network: address(new NetworkFacet()),
            init: address(new DiamondInit())
        });
        clusterFactory = new ClusterDiamondFactory(core, infraOwner);
        dstackFacet = new DstackFacet(memberFactory);
        operatorFacet = new OperatorFacet(memberFactory);
        vm.startPrank(infraOwner);
        clusterFactory.setAttestorApproved(dstackFacet, true);
        clusterFactory.setAttestorApproved(operatorFacet, true);
        vm.stopPrank();
    }
}
