// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { vm } from "../script/Vm.sol";
import { IAttestFacet } from "../src/interfaces/IAttestFacet.sol";
import { IClusterMember } from "../src/interfaces/IClusterMember.sol";
import { DstackProof, IDstackFacet, SigChainLink } from "../src/interfaces/IDstackFacet.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { NodeKeys, Proofs } from "./support/Proofs.sol";
import { World } from "./support/World.sol";

/// @dev Registration. The boot gate and the allowlists are in BootGate.t.sol.
contract DstackFacetTest is World {
    ClusterMember private member;
    NodeKeys private keys;

    function setUp() public override {
        super.setUp();
        member = _deployMember(1);
        keys = Proofs.keysOf(1);
    }

    function _proof() private returns (DstackProof memory) {
        return Proofs.dstack(cluster, address(member), keys);
    }

    function _submit(DstackProof memory proof) private returns (bytes32) {
        return dstack.dstack_register(proof, address(member), keys.x, keys.wg, keys.ed);
    }

    function _expectInvalid(SigChainLink link) private {
        vm.expectRevert(abi.encodeWithSelector(IDstackFacet.InvalidSigChain.selector, link));
    }

    function testFuzz_Register_ByAnybody(address caller) public {
        DstackProof memory proof = _proof();
        address owner = vm.addr(Proofs.derivedKey(address(member)));
        bytes32 expected = keccak256(abi.encode(cluster, address(member), dstackFacet.attestorId()));
        vm.expectEmit(true, true, true, true, cluster);
        emit IDstackFacet.DstackMemberRegistered(expected, proof.codeId, owner);
        vm.prank(caller);
        assertEq(_submit(proof), expected, "id");
        assertEq(member.owner(), owner, "owner");
        assertEq(network.wgPubKeyOf(expected), keys.wg, "wg key");
        assertEq(attest.memberById(expected).attestorId, dstackFacet.attestorId(), "attestor");
    }

    function test_Register_Again_Reverts() public {
        _submit(_proof());
        DstackProof memory proof = _proof();
        vm.expectRevert(IAttestFacet.AlreadyMember.selector);
        _submit(proof);
    }

    function test_Register_ARemovedMember_Reverts() public {
        bytes32 id = _submit(_proof());
        vm.prank(clusterOwner);
        attest.removeMember(id);
        DstackProof memory proof = _proof();
        vm.expectRevert(IAttestFacet.AlreadyMember.selector);
        _submit(proof);
    }

    // ---- whose contract

    function test_Register_AContractOfNobody_Reverts() public {
        DstackProof memory proof = Proofs.dstack(cluster, stranger, keys);
        vm.expectRevert(IDstackFacet.NotOurMember.selector);
        dstack.dstack_register(proof, stranger, keys.x, keys.wg, keys.ed);
    }

    function test_Register_AMemberOfAnotherCluster_Reverts() public {
        address other = clusterFactory.deployCluster(_clusterArgs(), "other");
        address theirs = memberFactory.deployMember(other, "1");
        DstackProof memory proof = Proofs.dstack(cluster, theirs, keys);
        vm.expectRevert(IDstackFacet.NotOurMember.selector);
        dstack.dstack_register(proof, theirs, keys.x, keys.wg, keys.ed);

        vm.prank(clusterOwner);
        dstack.addAllowedAppId(theirs);
        vm.expectRevert(IClusterMember.NotCluster.selector);
        dstack.dstack_register(proof, theirs, keys.x, keys.wg, keys.ed);
    }

    // ---- what the proof is for

    function testFuzz_Register_OtherCodeId_Reverts(bytes32 codeId) public {
        vm.assume(codeId != bytes32(bytes20(address(member))));
        DstackProof memory proof = _proof();
        proof.codeId = codeId;
        vm.expectRevert(IDstackFacet.CodeIdMismatch.selector);
        _submit(proof);
    }

    function testFuzz_Register_OtherKeys_Revert(bytes32 x, bytes32 wg, bytes32 ed) public {
        vm.assume(x != keys.x || wg != keys.wg || ed != keys.ed);
        DstackProof memory proof = _proof();
        vm.expectRevert(IDstackFacet.BindingMismatch.selector);
        dstack.dstack_register(proof, address(member), x, wg, ed);
    }

    function test_Register_ProofOfAnotherCluster_Reverts() public {
        DstackProof memory proof = Proofs.dstack(stranger, address(member), keys);
        vm.expectRevert(IDstackFacet.BindingMismatch.selector);
        _submit(proof);
    }

    // ---- the chain, link by link

    function testFuzz_Register_OtherPurpose_Reverts(string memory purpose) public {
        vm.assume(keccak256(bytes(purpose)) != keccak256("attestmesh.binding.v1"));
        DstackProof memory proof = _proof();
        proof.purpose = purpose;
        _expectInvalid(SigChainLink.Purpose);
        _submit(proof);
    }

    function test_Register_SignedByAnotherKey_Reverts() public {
        DstackProof memory proof = _proof();
        proof.messageSignature = Proofs.sign(7, proof.messageHash);
        _expectInvalid(SigChainLink.DerivedKey);
        _submit(proof);
    }

    function test_Register_DerivedKeyOfAnother_Reverts() public {
        DstackProof memory proof = _proof();
        proof.derivedCompressedPubkey = Proofs.compressed(7);
        _expectInvalid(SigChainLink.DerivedKey);
        _submit(proof);
    }

    function test_Register_BadDerivedKey_Reverts() public {
        DstackProof memory proof = _proof();
        proof.derivedCompressedPubkey = hex"02";
        _expectInvalid(SigChainLink.DerivedKey);
        _submit(proof);
    }

    function test_Register_AppKeyOfAnother_Reverts() public {
        DstackProof memory proof = _proof();
        proof.appCompressedPubkey = Proofs.compressed(7);
        _expectInvalid(SigChainLink.AppKey);
        _submit(proof);
    }

    function test_Register_BadAppKey_Reverts() public {
        DstackProof memory proof = _proof();
        proof.appCompressedPubkey[0] = 0x04;
        _expectInvalid(SigChainLink.AppKey);
        _submit(proof);
    }

    function test_Register_AppKeyThatOnlyTheNodeVouchesFor_Reverts() public {
        // A node with its own app key, but with no KMS signature over it.
        DstackProof memory proof = _proof();
        proof.appCompressedPubkey = Proofs.compressed(7);
        bytes memory derivedHex = Proofs.hexLower(proof.derivedCompressedPubkey);
        proof.appSignature = Proofs.sign(7, keccak256(abi.encodePacked(proof.purpose, ":", derivedHex)));
        _expectInvalid(SigChainLink.KmsRoot); // recovers to some address that nobody allowed
        _submit(proof);
    }

    function test_Register_MalformedKmsSignature_Reverts() public {
        DstackProof memory proof = _proof();
        proof.kmsSignature = new bytes(65);
        _expectInvalid(SigChainLink.KmsSignature);
        _submit(proof);
    }

    function testFuzz_Register_UnknownKmsRoot_Reverts(uint256 kmsKey) public {
        kmsKey = bound(kmsKey, 1, type(uint128).max);
        DstackProof memory proof = Proofs.dstack(cluster, address(member), keys, kmsKey);
        _expectInvalid(SigChainLink.KmsRoot);
        _submit(proof);
    }

    function test_Register_KmsRootNoLongerAllowed_Reverts() public {
        DstackProof memory proof = _proof();
        vm.prank(clusterOwner);
        dstack.removeAllowedKmsRoot(vm.addr(Proofs.KMS_KEY));
        _expectInvalid(SigChainLink.KmsRoot);
        _submit(proof);
    }

    function test_Register_KmsSignatureForAnotherApp_Reverts() public {
        ClusterMember other = _deployMember(2);
        DstackProof memory proof = _proof();
        proof.kmsSignature = Proofs.dstack(cluster, address(other), keys).kmsSignature;
        _expectInvalid(SigChainLink.KmsRoot);
        _submit(proof);
    }

    function testFuzz_Register_OneBitFlipped_Reverts(uint8 field, uint256 position) public {
        DstackProof memory proof = _proof();
        bytes[5] memory fields = [
            proof.messageSignature,
            proof.appSignature,
            proof.kmsSignature,
            proof.derivedCompressedPubkey,
            proof.appCompressedPubkey
        ];
        bytes memory target = fields[field % 5];
        uint256 bit = position % (target.length * 8);
        target[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        vm.expectPartialRevert(IDstackFacet.InvalidSigChain.selector);
        _submit(proof);
    }
}
