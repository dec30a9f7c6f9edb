// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC2535DiamondCutInternal } from "@solidstate/contracts/interfaces/IERC2535DiamondCutInternal.sol";
import {
    IERC2535DiamondLoupeInternal
} from "@solidstate/contracts/interfaces/IERC2535DiamondLoupeInternal.sol";
import { IOwnableInternal } from "@solidstate/contracts/access/ownable/IOwnableInternal.sol";
import { vm } from "../script/Vm.sol";
import { ClusterDiamond } from "../src/cluster/ClusterDiamond.sol";
import { Selectors } from "../src/cluster/Selectors.sol";
import { IAttestFacet } from "../src/interfaces/IAttestFacet.sol";
import { IAttestorFacet } from "../src/interfaces/IAttestorFacet.sol";
import { IClusterDiamond } from "../src/interfaces/IClusterDiamond.sol";
import { World } from "./support/World.sol";

/// @dev A third attestation method, to prove that one is one new facet and no change to the core.
contract AnybodyFacet is IAttestorFacet {
    function attestorId() external pure returns (bytes32) {
        return keccak256("test.attestor.anybody");
    }

    function selectors() external pure returns (bytes4[] memory s) {
        s = new bytes4[](1);
        s[0] = this.anybody_register.selector;
    }

    function initAttestor(bytes calldata) external { }

    function anybody_register(bytes32 key) external returns (bytes32) {
        return
            IAttestFacet(address(this))
                ._addMember(msg.sender, keccak256("test.attestor.anybody"), key, key, key);
    }
}

contract ClusterDiamondTest is World, IERC2535DiamondCutInternal, IERC2535DiamondLoupeInternal {
    function test_Loupe_ShowsWhatSelectorsSays() public view {
        _checkFacet(core.attest, Selectors.attest());
        _checkFacet(core.message, Selectors.message());
        _checkFacet(core.network, Selectors.network());
        _checkFacet(address(dstackFacet), Selectors.dstack());
        _checkFacet(address(operatorFacet), Selectors.operator());
        assertEq(_diamond().facetAddresses().length, 6, "these five and the diamond itself");
        assertEq(
            _diamond().facetAddress(IClusterDiamond._setDiamondOwner.selector), cluster, "the diamond's own"
        );
    }

    function _checkFacet(address facet, bytes4[] memory expected) private view {
        bytes4[] memory actual = _diamond().facetFunctionSelectors(facet);
        assertEq(abi.encode(actual), abi.encode(expected), "selectors");
    }

    /// @dev What a facet's ABI has but Selectors lacks would be unreachable, and nobody would notice.
    function test_Selectors_AreTheWholeAbiOfTheFacets() public view {
        _checkAbi("AttestFacet", Selectors.attest(), 0);
        _checkAbi("MessageFacet", Selectors.message(), 0);
        _checkAbi("NetworkFacet", Selectors.network(), 0);
        _checkAbi("DstackFacet", Selectors.dstack(), 3); // attestorId, selectors, initAttestor stay outside
        _checkAbi("OperatorFacet", Selectors.operator(), 3);
    }

    function _checkAbi(string memory name, bytes4[] memory cut, uint256 outside) private view {
        string memory artifact = vm.readFile(string.concat("out/", name, ".sol/", name, ".json"));
        string[] memory methods = vm.parseJsonKeys(artifact, ".methodIdentifiers");
        assertEq(methods.length, cut.length + outside, name);
    }

    function test_ConfiguredFromTheStart() public view {
        assertEq(attest.clusterOwner(), clusterOwner, "cluster owner");
        assertEq(_diamond().owner(), clusterOwner, "diamond owner");
        assertEq(_diamond().nomineeOwner(), address(0), "nobody nominated");
        assertTrue(dstack.allowedComposeHashes(COMPOSE_HASH) && dstack.allowedDeviceIds(DEVICE), "lists");
        assertTrue(operator.isOperator(vm.addr(OPERATOR_KEY)), "operators");
    }

    function test_UnknownSelector_Reverts() public {
        vm.expectRevert();
        ClusterMemberless(cluster).nothing();
    }

    function testFuzz_DiamondCut_ByOthers_Reverts(address caller) public {
        vm.assume(caller != clusterOwner);
        vm.prank(caller);
        vm.expectRevert(IOwnableInternal.Ownable__NotOwner.selector);
        _diamond().diamondCut(new FacetCut[](0), address(0), "");
    }

    function testFuzz_SetDiamondOwner_FromOutside_Reverts(address caller) public {
        vm.assume(caller != cluster);
        vm.prank(caller);
        vm.expectRevert(ClusterDiamond.OnlySelf.selector);
        _diamond()._setDiamondOwner(caller);
    }

    function test_ANewMethod_IsOneFacet() public {
        AnybodyFacet facet = new AnybodyFacet();
        FacetCut[] memory cuts = new FacetCut[](1);
        cuts[0] = FacetCut(address(facet), FacetCutAction.ADD, facet.selectors());
        vm.prank(clusterOwner);
        _diamond().diamondCut(cuts, address(facet), abi.encodeCall(IAttestorFacet.initAttestor, ("")));
        vm.prank(stranger);
        bytes32 id = AnybodyFacet(cluster).anybody_register("k");
        assertTrue(attest.isLiveMember(id), "member");
        assertEq(attest.memberById(id).attestorId, facet.attestorId(), "attestor");
    }

    /// @dev Every facet: replaced by a copy, removed, added again; the state stays.
    function test_EveryFacet_CanBeReplacedRemovedAndAdded() public {
        (, bytes32 id) = _join(1);
        address[5] memory facets =
            [core.attest, core.message, core.network, address(dstackFacet), address(operatorFacet)];
        vm.startPrank(clusterOwner);
        for (uint256 i = 0; i < facets.length; ++i) {
            bytes4[] memory selectors = _diamond().facetFunctionSelectors(facets[i]);
            address copy = address(uint160(0xc0de00 + i));
            vm.etch(copy, facets[i].code);
            _cut(copy, FacetCutAction.REPLACE, selectors);
            assertEq(_diamond().facetAddress(selectors[0]), copy, "replaced");
            _cut(address(0), FacetCutAction.REMOVE, selectors);
            assertEq(_diamond().facetAddress(selectors[0]), address(0), "removed");
            _cut(facets[i], FacetCutAction.ADD, selectors);
        }
        assertEq(attest.listMembers()[0], id, "state");
    }

    function _cut(address facet, FacetCutAction action, bytes4[] memory selectors) private {
        FacetCut[] memory cuts = new FacetCut[](1);
        cuts[0] = FacetCut(facet, action, selectors);
        _diamond().diamondCut(cuts, address(0), "");
    }
}

interface ClusterMemberless {
    function nothing() external;
}
