// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { vm } from "../../script/Vm.sol";
import { DstackProof, IDstackFacet, SigChainLink } from "../../src/interfaces/IDstackFacet.sol";
import { DstackChain } from "../../src/lib/DstackChain.sol";
import { Test } from "../support/Test.sol";

/// @dev The signature chain against a second implementation on noble-curves: cases.mjs makes proofs, valid ones and
/// such with recovery ids of all kinds, high s, wrong lengths, results at infinity, keys off the curve, and says what
/// must become of each. DIFFERENTIAL_CASES sets how many.
contract DifferentialTest is Test {
    uint256 private constant BATCH = 250;
    uint8 private constant VALID = 255;

    struct Case {
        DstackProof proof;
        address appId;
        uint8 outcome; // a SigChainLink, or VALID
        address derivedKey;
        address kmsRoot;
    }

    /// @notice External, so that a refusal can be caught.
    function verify(DstackProof memory proof, address appId) external view returns (address, address) {
        return DstackChain.verify(proof, appId);
    }

    function test_SigChain_AgreesWithNobleCurves() public {
        uint256 total = vm.envOr("DIFFERENTIAL_CASES", uint256(2000));
        uint256 valid = 0;
        for (uint256 done = 0; done < total; done += BATCH) {
            valid += _runBatch(done / BATCH);
        }
        assertTrue(valid > total / 10 && valid < total / 2, "valid and refused proofs are both many");
    }

    function _runBatch(uint256 batch) private returns (uint256 valid) {
        string[] memory command = new string[](4);
        command[0] = "node";
        command[1] = "test/differential/cases.mjs";
        command[2] = string.concat("attestmesh-", vm.toString(batch));
        command[3] = vm.toString(BATCH);
        Case[] memory cases = abi.decode(vm.ffi(command), (Case[]));
        assertEq(cases.length, BATCH, "cases");
        for (uint256 i = 0; i < cases.length; ++i) {
            _check(cases[i], string.concat(command[2], ", case ", vm.toString(i)));
            if (cases[i].outcome == VALID) ++valid;
        }
    }

    function _check(Case memory c, string memory name) private view {
        try this.verify(c.proof, c.appId) returns (address derivedKey, address kmsRoot) {
            assertEq(VALID, c.outcome, name);
            assertEq(derivedKey, c.derivedKey, name);
            assertEq(kmsRoot, c.kmsRoot, name);
        } catch (bytes memory answer) {
            assertTrue(c.outcome != VALID, name);
            bytes memory refusal =
                abi.encodeWithSelector(IDstackFacet.InvalidSigChain.selector, SigChainLink(c.outcome));
            assertEq(answer, refusal, name);
        }
    }
}
