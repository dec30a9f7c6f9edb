// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC165 } from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import { vm } from "../script/Vm.sol";
import { IAppAuth } from "../src/interfaces/IAppAuth.sol";
import { IAppAuthBasicManagement } from "../src/interfaces/IAppAuthBasicManagement.sol";
import { IAttestFacet } from "../src/interfaces/IAttestFacet.sol";
import { IClusterMember } from "../src/interfaces/IClusterMember.sol";
import { IDstackAppPolicy } from "../src/interfaces/IDstackAppPolicy.sol";
import { IDstackFacet } from "../src/interfaces/IDstackFacet.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { StockDstackKms } from "./stock/StockDstackKms.sol";
import { World } from "./support/World.sol";

/// @dev The boot gate and dstack's management surface, at the cluster and through a member contract.
contract BootGateTest is World {
    ClusterMember private member;
    bytes32 private memberId;

    function setUp() public override {
        super.setUp();
        (member, memberId) = _join(1);
    }

    function _boot(address appId) private pure returns (IAppAuth.AppBootInfo memory info) {
        info.appId = appId;
        info.composeHash = COMPOSE_HASH;
        info.deviceId = DEVICE;
        info.osImageHash = "os";
        info.tcbStatus = "UpToDate";
    }

    function _expectGate(IAppAuth.AppBootInfo memory info, string memory refusal) private view {
        _expectGate(IAppAuth(cluster), info, refusal);
        _expectGate(member, info, refusal);
    }

    function _expectGate(IAppAuth gate, IAppAuth.AppBootInfo memory info, string memory refusal)
        private
        view
    {
        (bool allowed, string memory reason) = gate.isAppAllowed(info);
        assertEq(reason, refusal, "reason");
        assertEq(allowed, bytes(refusal).length == 0, "allowed");
    }

    // ---- the gate

    function test_Interfaces_AreDstacks() public view {
        assertEq(bytes32(type(IAppAuth).interfaceId), bytes32(bytes4(0x1e079198)), "IAppAuth");
        assertEq(
            bytes32(type(IAppAuthBasicManagement).interfaceId), bytes32(bytes4(0x8fd37527)), "management"
        );
        address[2] memory apps = [cluster, address(member)];
        for (uint256 i = 0; i < 2; ++i) {
            assertTrue(IERC165(apps[i]).supportsInterface(0x1e079198), "IAppAuth");
            assertTrue(IERC165(apps[i]).supportsInterface(0x8fd37527), "management");
            assertTrue(IERC165(apps[i]).supportsInterface(0x01ffc9a7), "ERC-165");
            assertTrue(!IERC165(apps[i]).supportsInterface(0xffffffff), "nothing");
            assertEq(IDstackAppPolicy(apps[i]).version(), 2, "version");
        }
    }

    function test_Gate_AMember_MayBoot() public view {
        _expectGate(_boot(address(member)), "");
    }

    function test_Gate_AnAllowlistedAppId_MayBootForTheFirstTime() public {
        address fresh = address(_deployMember(2));
        _expectGate(_boot(fresh), "App id not allowed");
        vm.prank(clusterOwner);
        dstack.addAllowedAppId(fresh);
        _expectGate(_boot(fresh), "");
        vm.prank(clusterOwner);
        dstack.removeAllowedAppId(fresh);
        _expectGate(_boot(fresh), "App id not allowed");
    }

    function test_Gate_ARemovedMember_IsRefused_EvenIfAllowlisted() public {
        vm.startPrank(clusterOwner);
        dstack.addAllowedAppId(address(member));
        attest.removeMember(memberId);
        vm.stopPrank();
        _expectGate(_boot(address(member)), "Member was removed");
    }

    function testFuzz_Gate_OtherComposeHash_IsRefused(bytes32 composeHash) public view {
        vm.assume(composeHash != COMPOSE_HASH);
        IAppAuth.AppBootInfo memory info = _boot(address(member));
        info.composeHash = composeHash;
        _expectGate(info, "Compose hash not allowed");
    }

    function testFuzz_Gate_OtherDevice_NeedsAnyDevice(bytes32 device) public {
        vm.assume(device != DEVICE);
        IAppAuth.AppBootInfo memory info = _boot(address(member));
        info.deviceId = device;
        _expectGate(info, "Device not allowed");
        vm.prank(clusterOwner);
        dstack.setAllowAnyDevice(true);
        _expectGate(info, "");
    }

    function testFuzz_Gate_OtherTcbStatus_IsRefusedWhenRequired(string memory status) public {
        vm.assume(keccak256(bytes(status)) != keccak256("UpToDate"));
        IAppAuth.AppBootInfo memory info = _boot(address(member));
        info.tcbStatus = status;
        _expectGate(info, "");
        vm.prank(clusterOwner);
        dstack.setRequireTcbUpToDate(true);
        _expectGate(info, "TCB status is not up to date");
        info.tcbStatus = "UpToDate";
        _expectGate(info, "");
    }

    function testFuzz_Gate_NeverReverts(IAppAuth.AppBootInfo memory info) public view {
        (bool allowed,) = dstack.isAppAllowed(info);
        assertEq(allowed, false, "random boots are refused");
    }

    function test_Kms_AsksThroughTheMemberContract() public {
        StockDstackKms kms = new StockDstackKms();
        address fresh = address(_deployMember(2));
        kms.addOsImageHash("os");
        kms.registerApp(fresh);
        kms.registerApp(address(member));

        _expectGate(kms, _boot(fresh), "App id not allowed");
        vm.prank(clusterOwner);
        dstack.addAllowedAppId(fresh);
        _expectGate(kms, _boot(fresh), ""); // first boot
        _expectGate(kms, _boot(address(member)), ""); // restart of a member
        vm.prank(clusterOwner);
        attest.removeMember(memberId);
        _expectGate(kms, _boot(address(member)), "Member was removed");
    }

    // ---- management

    function test_Management_AtTheCluster() public {
        _checkManagement(cluster);
    }

    function test_Management_ThroughAMember() public {
        _checkManagement(address(member));
    }

    /// @dev The surface a stock tool uses, with events as dstack has them: parameters not indexed, from the cluster.
    function _checkManagement(address app) private {
        IDstackFacet surface = IDstackFacet(app);
        bytes32 value = keccak256("new");
        vm.startPrank(clusterOwner);
        _expectEvent("ComposeHashAdded(bytes32)", abi.encode(value));
        surface.addComposeHash(value);
        assertTrue(surface.allowedComposeHashes(value), "compose hash");
        _expectEvent("ComposeHashRemoved(bytes32)", abi.encode(value));
        surface.removeComposeHash(value);
        assertTrue(!surface.allowedComposeHashes(value), "compose hash");
        _expectEvent("DeviceAdded(bytes32)", abi.encode(value));
        surface.addDevice(value);
        assertTrue(surface.allowedDeviceIds(value), "device");
        _expectEvent("DeviceRemoved(bytes32)", abi.encode(value));
        surface.removeDevice(value);
        assertTrue(!surface.allowedDeviceIds(value), "device");
        _expectEvent("AllowAnyDeviceSet(bool)", abi.encode(true));
        surface.setAllowAnyDevice(true);
        assertTrue(surface.allowAnyDevice(), "any device");
        _expectEvent("RequireTcbUpToDateSet(bool)", abi.encode(true));
        surface.setRequireTcbUpToDate(true);
        assertTrue(surface.requireTcbUpToDate(), "tcb");
        vm.expectRevert(IDstackFacet.ZeroValue.selector);
        surface.addComposeHash(0);
        vm.expectRevert(IDstackFacet.ZeroValue.selector);
        surface.addDevice(0);
    }

    function _expectEvent(string memory signature, bytes memory data) private {
        vm.expectEmitAnonymous(true, false, false, false, true, cluster);
        bytes32 topic = keccak256(bytes(signature));
        assembly ("memory-safe") {
            log1(add(data, 0x20), mload(data), topic)
        }
    }

    function test_KmsRootsAndAppIds() public {
        vm.startPrank(clusterOwner);
        dstack.addAllowedKmsRoot(stranger);
        assertTrue(dstack.allowedKmsRoots(stranger), "root");
        dstack.removeAllowedKmsRoot(stranger);
        assertTrue(!dstack.allowedKmsRoots(stranger), "root");
        dstack.addAllowedAppId(stranger);
        assertTrue(dstack.allowedAppIds(stranger), "app id");
        dstack.removeAllowedAppId(stranger);
        assertTrue(!dstack.allowedAppIds(stranger), "app id");
        vm.expectRevert(IDstackFacet.ZeroValue.selector);
        dstack.addAllowedKmsRoot(address(0));
        vm.expectRevert(IDstackFacet.ZeroValue.selector);
        dstack.addAllowedAppId(address(0));
    }

    function testFuzz_Lists_HoldWhatWasAdded(bytes32 value, address account, bool flag) public {
        vm.assume(value != 0 && value != COMPOSE_HASH && value != DEVICE && account != address(0));
        vm.startPrank(clusterOwner);
        dstack.addComposeHash(value);
        dstack.addDevice(value);
        dstack.addAllowedKmsRoot(account);
        dstack.addAllowedAppId(account);
        dstack.setManagementForwarder(account, flag);
        dstack.setAllowAnyDevice(flag);
        dstack.setRequireTcbUpToDate(flag);
        assertTrue(dstack.allowedComposeHashes(value) && dstack.allowedDeviceIds(value), "values");
        assertTrue(dstack.allowedKmsRoots(account) && dstack.allowedAppIds(account), "accounts");
        assertTrue(dstack.allowAnyDevice() == flag && dstack.requireTcbUpToDate() == flag, "switches");
        bool ours = memberFactory.clusterOf(account) == cluster;
        assertEq(dstack.isManagementForwarder(account), flag || ours, "forwarder");

        dstack.removeComposeHash(value);
        dstack.removeDevice(value);
        dstack.removeAllowedKmsRoot(account);
        dstack.removeAllowedAppId(account);
        assertTrue(!dstack.allowedComposeHashes(value) && !dstack.allowedDeviceIds(value), "removed");
        assertTrue(!dstack.allowedKmsRoots(account) && !dstack.allowedAppIds(account), "removed");
        assertTrue(
            dstack.allowedComposeHashes(COMPOSE_HASH) && dstack.allowedDeviceIds(DEVICE), "others stay"
        );
    }

    function testFuzz_Forwarding_ForOthersThanTheOwner_Reverts(address caller, bytes memory call) public {
        vm.assume(caller != clusterOwner);
        vm.prank(address(member));
        vm.expectRevert(IAttestFacet.NotClusterOwner.selector);
        dstack._forwardManagement(caller, call);
    }

    function testFuzz_Management_ByOthers_Reverts(address caller, uint8 which) public {
        vm.assume(caller != clusterOwner && caller != cluster);
        bytes32 value = keccak256("new");
        bytes[11] memory calls = [
            abi.encodeCall(IAppAuthBasicManagement.addComposeHash, (value)),
            abi.encodeCall(IAppAuthBasicManagement.removeComposeHash, (value)),
            abi.encodeCall(IAppAuthBasicManagement.addDevice, (value)),
            abi.encodeCall(IAppAuthBasicManagement.removeDevice, (value)),
            abi.encodeCall(IDstackAppPolicy.setAllowAnyDevice, (true)),
            abi.encodeCall(IDstackAppPolicy.setRequireTcbUpToDate, (true)),
            abi.encodeCall(IDstackFacet.addAllowedKmsRoot, (caller)),
            abi.encodeCall(IDstackFacet.removeAllowedKmsRoot, (caller)),
            abi.encodeCall(IDstackFacet.addAllowedAppId, (caller)),
            abi.encodeCall(IDstackFacet.removeAllowedAppId, (caller)),
            abi.encodeCall(IDstackFacet.setManagementForwarder, (caller, true))
        ];
        uint256 index = which % calls.length;
        _expectRefusal(cluster, caller, calls[index], IAttestFacet.NotClusterOwner.selector);
        if (index < 6) {
            _expectRefusal(address(member), caller, calls[index], IAttestFacet.NotClusterOwner.selector);
        }
    }

    // ---- forwarding

    function test_Forwarding_ByAContractThatIsNotTrusted_Reverts() public {
        bytes memory call = abi.encodeCall(IAppAuthBasicManagement.addDevice, (DEVICE));
        vm.prank(stranger);
        vm.expectRevert(IDstackFacet.NotForwarder.selector);
        dstack._forwardManagement(clusterOwner, call);
        assertTrue(!dstack.isManagementForwarder(stranger), "not trusted");

        vm.prank(clusterOwner);
        dstack.setManagementForwarder(stranger, true);
        assertTrue(dstack.isManagementForwarder(stranger), "trusted");
        vm.prank(stranger);
        dstack._forwardManagement(clusterOwner, call);
        vm.prank(clusterOwner);
        dstack.setManagementForwarder(stranger, false);
        vm.prank(stranger);
        vm.expectRevert(IDstackFacet.NotForwarder.selector);
        dstack._forwardManagement(clusterOwner, call);
    }

    function test_Forwarding_AMemberOfAnotherCluster_Reverts() public {
        address other = clusterFactory.deployCluster(_clusterArgs(), "other");
        address theirs = memberFactory.deployMember(other, "1");
        vm.prank(theirs);
        vm.expectRevert(IDstackFacet.NotForwarder.selector);
        dstack._forwardManagement(clusterOwner, abi.encodeCall(IAppAuthBasicManagement.addDevice, (DEVICE)));
    }

    function test_Forwarding_OtherFunctions_Revert() public {
        bytes[4] memory calls = [
            abi.encodeCall(IDstackFacet.addAllowedKmsRoot, (stranger)),
            abi.encodeCall(IAttestFacet.removeMember, (memberId)),
            abi.encodeCall(IAttestFacet._recordChange, ("x")),
            bytes("")
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(address(member));
            vm.expectRevert(IDstackFacet.NotForwardable.selector);
            dstack._forwardManagement(clusterOwner, calls[i]);
        }
    }

    /// @dev The member's own key must not be able to speak for the cluster owner.
    function test_Execute_CanNotForward() public {
        bytes memory call = abi.encodeCall(IAppAuthBasicManagement.addDevice, ("mine"));
        bytes memory forward = abi.encodeCall(IDstackFacet._forwardManagement, (clusterOwner, call));
        vm.startPrank(address(ENTRY_POINT));
        vm.expectRevert(IClusterMember.ForwardingForbidden.selector);
        member.execute(cluster, 0, forward);
        vm.expectRevert(IAttestFacet.NotClusterOwner.selector);
        member.execute(address(member), 0, call);
        vm.expectRevert(IAttestFacet.NotClusterOwner.selector);
        member.execute(cluster, 0, call);
    }

    function _expectRefusal(address target, address caller, bytes memory call, bytes4 refusal) private {
        vm.prank(caller);
        (bool success, bytes memory answer) = target.call(call);
        assertTrue(!success, "refused");
        assertEq(bytes32(bytes4(answer)), bytes32(refusal), "why");
    }
}
