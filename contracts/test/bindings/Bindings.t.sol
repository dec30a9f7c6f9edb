// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { vm } from "../../script/Vm.sol";
import { Test } from "../support/Test.sol";

/// @dev C and TypeScript take selectors from the compiled contracts, but encode arguments by hand: interface.txt makes
/// a change of the contracts' surface a change that somebody has to look at.
contract BindingsTest is Test {
    function test_Bindings_AgreeWithEachOtherAndWithTheTree() public {
        string[] memory command = new string[](2);
        command[0] = "node";
        command[1] = "test/bindings/agree.mjs";
        assertEq(vm.ffi(command), hex"01", "agreement");
    }
}
