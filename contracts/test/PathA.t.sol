// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ERC1967Proxy } from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import { OwnableUpgradeable } from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import { Initializable } from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import { vm } from "../script/Vm.sol";
import { IAppAuth } from "../src/interfaces/IAppAuth.sol";
import { IClusterMember } from "../src/interfaces/IClusterMember.sol";
import { IDstackFacet } from "../src/interfaces/IDstackFacet.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { Proofs } from "./support/Proofs.sol";
import { World } from "./support/World.sol";
import { StockDstackApp } from "./stock/StockDstackApp.sol";
import { StockDstackKms } from "./stock/StockDstackKms.sol";

/// @dev A stock dstack app becomes a member in place.
contract PathATest is World {
    address private immutable appOwner = address(uint160(uint256(keccak256("app owner"))));

    StockDstackApp private app;

    function setUp() public override {
        super.setUp();
        app = StockDstackApp(_newStockApp());
        vm.prank(clusterOwner);
        dstack.addAllowedAppId(address(app));
    }

    function _newStockApp() private returns (address) {
        StockDstackApp stock = new StockDstackApp();
        bytes memory init = abi.encodeCall(StockDstackApp.initialize, (appOwner, false, DEVICE, COMPOSE_HASH));
        return address(new ERC1967Proxy(address(stock), init));
    }

    function _initCall() private view returns (bytes memory) {
        return abi.encodeCall(IClusterMember.initializeFromApp, (cluster));
    }

    function _upgrade() private returns (ClusterMember) {
        vm.prank(appOwner);
        app.upgradeToAndCall(address(implementation), _initCall());
        return ClusterMember(payable(address(app)));
    }

    function test_UpgradeInPlace_AndRegister() public {
        ClusterMember member = _upgrade();
        assertEq(address(member), address(app), "same address");
        assertEq(member.cluster(), cluster, "cluster");
        assertEq(member.owner(), address(0), "no owner yet");
        vm.deal(address(member), 1 ether);
        uint256 key = Proofs.derivedKey(address(member));
        _handle(_userOp(address(member), _registerCall(address(member), Proofs.keysOf(9)), key));
        assertTrue(attest.isClusterMember(address(member)), "member");
        assertEq(member.owner(), vm.addr(key), "owner");
    }

    function test_OldStorage_DoesNotCollide() public {
        bytes32[6] memory before = _oldStorage();
        ClusterMember member = _upgrade();
        _register(member, Proofs.keysOf(9));
        bytes32[6] memory afterwards = _oldStorage();
        for (uint256 i = 0; i < 6; ++i) {
            assertEq(afterwards[i], before[i], "untouched");
        }
        vm.prank(clusterOwner);
        dstack.removeComposeHash(COMPOSE_HASH);
        assertTrue(!member.allowedComposeHashes(COMPOSE_HASH), "the cluster's list counts, not the old one");
    }

    /// @dev Slots 0 to 3, the compose hash's entry, and the stock owner.
    function _oldStorage() private view returns (bytes32[6] memory values) {
        for (uint256 i = 0; i < 4; ++i) {
            values[i] = vm.load(address(app), bytes32(i));
        }
        values[4] = vm.load(address(app), keccak256(abi.encode(COMPOSE_HASH, 0)));
        values[5] = vm.load(address(app), 0x9016d09d72d40fdae2fd8ceac6b6234c7706214fd39c1cd1e609a0528c199300);
    }

    function testFuzz_Upgrade_ByOthers_Reverts(address caller) public {
        vm.assume(caller != appOwner);
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(OwnableUpgradeable.OwnableUnauthorizedAccount.selector, caller)
        );
        app.upgradeToAndCall(address(implementation), _initCall());
    }

    function test_AfterTheUpgrade_OnlyTheClusterOwnerUpgrades() public {
        ClusterMember member = _upgrade();
        ClusterMember next = new ClusterMember(address(ENTRY_POINT));
        vm.prank(appOwner);
        vm.expectRevert(IClusterMember.NotClusterOwner.selector);
        member.upgradeToAndCall(address(next), "");
        vm.prank(clusterOwner);
        member.upgradeToAndCall(address(next), "");
    }

    function test_AfterTheUpgrade_NoSecondInitialization() public {
        ClusterMember member = _upgrade();
        vm.startPrank(appOwner);
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        member.initializeFromApp(stranger);
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        member.initialize(stranger);
    }

    function testFuzz_UpgradedWithoutInitialization_OnlyTheAppOwnerCompletes(address caller) public {
        vm.assume(caller != appOwner && caller != address(0));
        vm.prank(appOwner);
        app.upgradeToAndCall(address(implementation), "");
        ClusterMember member = ClusterMember(payable(address(app)));

        vm.startPrank(caller);
        vm.expectRevert(IClusterMember.NotAppOwner.selector);
        member.initializeFromApp(cluster);
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        member.initialize(cluster);
        vm.expectRevert(IClusterMember.NotClusterOwner.selector);
        member.upgradeToAndCall(address(implementation), "");
        vm.expectRevert(IClusterMember.NotCluster.selector);
        member.__setOwnerFromCluster(caller);
        vm.stopPrank();

        vm.prank(appOwner);
        member.initializeFromApp(cluster);
        assertEq(member.cluster(), cluster, "completed");
    }

    function test_InitializeFromApp_WithoutACluster_Reverts() public {
        vm.prank(appOwner);
        vm.expectRevert(IClusterMember.InvalidCluster.selector);
        app.upgradeToAndCall(
            address(implementation), abi.encodeCall(IClusterMember.initializeFromApp, (stranger))
        );
    }

    function test_Kms_FirstBootBeforeAndAfterTheUpgrade() public {
        StockDstackKms kms = new StockDstackKms();
        kms.registerApp(address(app));
        kms.addOsImageHash("os");
        IAppAuth.AppBootInfo memory info;
        (info.appId, info.composeHash, info.deviceId, info.osImageHash) =
        (address(app), COMPOSE_HASH, DEVICE, "os");
        (bool allowed,) = kms.isAppAllowed(info);
        assertTrue(allowed, "as a stock app");
        _upgrade();
        (allowed,) = kms.isAppAllowed(info);
        assertTrue(allowed, "as an allowlisted app id");
        vm.prank(clusterOwner);
        dstack.removeAllowedAppId(address(app));
        (allowed,) = kms.isAppAllowed(info);
        assertTrue(!allowed, "the cluster decides");
    }

    function test_Management_ThroughAPathAMember_NeedsTheOwnersTrust() public {
        ClusterMember member = _upgrade();
        _register(member, Proofs.keysOf(9));
        vm.startPrank(clusterOwner);
        vm.expectRevert(IDstackFacet.NotForwarder.selector);
        member.addDevice("d");
        dstack.setManagementForwarder(address(member), true);
        member.addDevice("d");
        assertTrue(member.allowedDeviceIds("d"), "forwarded");
    }

    /// @dev Without the owner's word an app contract whose code nobody checked could otherwise speak for the owner.
    function test_AnAllowlistedApp_CanNotForgeTheOwnersCalls() public {
        vm.prank(address(app));
        vm.expectRevert(IDstackFacet.NotForwarder.selector);
        dstack._forwardManagement(
            clusterOwner, abi.encodeWithSignature("addComposeHash(bytes32)", bytes32("evil"))
        );
    }
}
