// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Ownable } from "@openzeppelin/contracts/access/Ownable.sol";
import { vm } from "../script/Vm.sol";
import { AttestorConfig, ClusterArgs } from "../src/cluster/ClusterConfig.sol";
import { ClusterDiamondFactory } from "../src/cluster/ClusterDiamondFactory.sol";
import { DiamondInit } from "../src/cluster/DiamondInit.sol";
import { IClusterMemberFactory } from "../src/interfaces/IClusterMemberFactory.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { World } from "./support/World.sol";

contract FactoriesTest is World {
    // ---- clusters

    function testFuzz_DeployCluster_AtThePredictedAddress(
        address owner,
        bytes32 salt,
        uint32 ip,
        uint8 prefix
    ) public {
        vm.assume(owner != address(0));
        ClusterArgs memory args = _clusterArgs();
        args.clusterOwner = owner;
        args.cidrPrefix = uint8(bound(prefix, 8, 29));
        args.cidrIp = ip & uint32(type(uint32).max << (32 - args.cidrPrefix));
        address predicted = clusterFactory.predictClusterAddress(args, salt);
        assertTrue(!clusterFactory.isDeployedCluster(predicted), "not yet");

        vm.expectEmit(true, true, true, true, address(clusterFactory));
        emit ClusterDiamondFactory.ClusterDeployed(predicted, owner, salt);
        vm.prank(stranger);
        _use(clusterFactory.deployCluster(args, salt));
        assertEq(cluster, predicted, "address");
        assertTrue(clusterFactory.isDeployedCluster(cluster), "deployed");
        assertEq(attest.clusterOwner(), owner, "cluster owner");
        assertEq(_diamond().owner(), owner, "diamond owner");
        (uint32 cidrIp, uint8 cidrPrefix) = attest.meshCidr();
        assertEq(cidrIp, args.cidrIp, "network");
        assertEq(cidrPrefix, args.cidrPrefix, "prefix");
    }

    function test_DeployCluster_Twice_Reverts() public {
        ClusterArgs memory args = _clusterArgs();
        clusterFactory.deployCluster(args, "s");
        vm.expectRevert();
        clusterFactory.deployCluster(args, "s");
    }

    function test_DeployCluster_WithoutOwner_Reverts() public {
        ClusterArgs memory args = _clusterArgs();
        args.clusterOwner = address(0);
        vm.expectRevert(DiamondInit.ZeroClusterOwner.selector);
        clusterFactory.deployCluster(args, "s");
    }

    function test_DeployCluster_BadNetworks_Revert() public {
        ClusterArgs memory args = _clusterArgs();
        uint32[4] memory ips = [uint32(0x0a000000), 0x0a000000, 0x0a0d0001, 0];
        uint8[4] memory prefixes = [uint8(7), 30, 16, 32];
        for (uint256 i = 0; i < 4; ++i) {
            (args.cidrIp, args.cidrPrefix) = (ips[i], prefixes[i]);
            vm.expectRevert(DiamondInit.InvalidMeshNetwork.selector);
            clusterFactory.deployCluster(args, "s");
        }
    }

    function test_DeployCluster_WithoutAttestor_Reverts() public {
        ClusterArgs memory args = _clusterArgs();
        args.attestors = new AttestorConfig[](0);
        vm.expectRevert(ClusterDiamondFactory.NoAttestor.selector);
        clusterFactory.deployCluster(args, "s");
    }

    function test_DeployCluster_WithAnAttestorNotApproved_Reverts() public {
        ClusterArgs memory args = _clusterArgs();
        vm.expectEmit(true, true, true, true, address(clusterFactory));
        emit ClusterDiamondFactory.AttestorApproved(address(operatorFacet), operatorFacet.attestorId(), false);
        vm.prank(infraOwner);
        clusterFactory.setAttestorApproved(operatorFacet, false);
        assertTrue(!clusterFactory.isApprovedAttestor(operatorFacet), "no longer");
        vm.expectRevert(
            abi.encodeWithSelector(ClusterDiamondFactory.AttestorNotApproved.selector, address(operatorFacet))
        );
        clusterFactory.deployCluster(args, "s");
    }

    function testFuzz_SetAttestorApproved_ByOthers_Reverts(address caller) public {
        vm.assume(caller != infraOwner);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller));
        clusterFactory.setAttestorApproved(operatorFacet, false);
    }

    function test_CoreFacets() public view {
        assertEq(abi.encode(clusterFactory.coreFacets()), abi.encode(core), "core");
    }

    // ---- members

    function testFuzz_DeployMember_AtThePredictedAddress(bytes32 salt, address caller) public {
        address predicted = memberFactory.predictMemberAddress(cluster, salt);
        assertTrue(!memberFactory.isOurMember(predicted), "not yet");
        vm.expectEmit(true, true, true, true, address(memberFactory));
        emit IClusterMemberFactory.MemberDeployed(predicted, cluster, salt);
        vm.prank(caller);
        assertEq(memberFactory.deployMember(cluster, salt), predicted, "address");
        assertTrue(memberFactory.isOurMember(predicted), "ours");
        assertEq(memberFactory.clusterOf(predicted), cluster, "cluster");
        assertEq(ClusterMember(payable(predicted)).cluster(), cluster, "bound");
    }

    function test_DeployMember_Twice_Reverts() public {
        memberFactory.deployMember(cluster, "s");
        vm.expectRevert();
        memberFactory.deployMember(cluster, "s");
    }

    function testFuzz_DeployMember_OfNoCluster_Reverts(address nothing) public {
        vm.assume(nothing.code.length == 0);
        vm.expectRevert(IClusterMemberFactory.InvalidCluster.selector);
        memberFactory.deployMember(nothing, "s");
    }
}
