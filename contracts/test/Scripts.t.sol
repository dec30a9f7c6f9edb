// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { VerifyingPaymaster } from "@account-abstraction/contracts/samples/VerifyingPaymaster.sol";
import { ERC1967Proxy } from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import { ClusterFile } from "../script/ClusterFile.sol";
import { DeployCluster } from "../script/DeployCluster.s.sol";
import { DeployInfra } from "../script/DeployInfra.s.sol";
import { DeployMember } from "../script/DeployMember.s.sol";
import { DeployPaymaster } from "../script/DeployPaymaster.s.sol";
import { UpgradeApp } from "../script/UpgradeApp.s.sol";
import { Verify } from "../script/Verify.s.sol";
import { vm } from "../script/Vm.sol";
import { ClusterMember } from "../src/member/ClusterMember.sol";
import { World } from "./support/World.sol";
import { StockDstackApp } from "./stock/StockDstackApp.sol";

/// @dev The scripts one after the other, twice: the second time they find everything there. One test, since the
/// environment they read is the process's.
contract ScriptsTest is World {
    string private constant DIR = "cache/test-receipts";
    address private constant SENDER = 0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38; // forge's default

    function test_Scripts_DeployTwiceAndVerify() public {
        vm.setEnv("RECEIPTS_DIR", DIR);
        vm.setEnv("CLUSTER_CONFIG", string.concat(DIR, "/input.json"));
        vm.deal(SENDER, 10 ether);
        vm.createDir(DIR, true);
        vm.writeFile(string.concat(DIR, "/input.json"), _clusterFile());

        _runAll();
        string memory first = _receipts();
        _runAll();
        assertEq(_receipts(), first, "the second run changes nothing");
        _use(vm.parseJsonAddress(_receipt("cluster-scripts"), ".cluster"));
        assertEq(attest.clusterOwner(), SENDER, "cluster owner");
        assertTrue(operator.isOperator(address(0xa11ce)), "operator");
        (uint32 ip, uint8 prefix) = attest.meshCidr();
        assertTrue(ip == 0x0a120000 && prefix == 24, "network");

        new Verify().run();
        _checkPathA();
        _checkPaymaster();

        vm.prank(SENDER);
        attest.transferClusterOwnership(stranger);
        Verify verify = new Verify();
        vm.expectRevert(abi.encodeWithSelector(Verify.VerificationFailed.selector, 1));
        verify.run();
    }

    function _runAll() private {
        new DeployInfra().run();
        new DeployCluster().run();
        vm.setEnv("CLUSTER_NAME", "scripts");
        vm.setEnv("COUNT", "2");
        vm.setEnv("ALLOW_BOOT", "true");
        new DeployMember().run();
        vm.setEnv("PAYMASTER_SIGNER", vm.toString(stranger));
        vm.setEnv("DEPOSIT", "1000");
        new DeployPaymaster().run();
    }

    function _checkPathA() private {
        StockDstackApp stock = new StockDstackApp();
        bytes memory init = abi.encodeCall(StockDstackApp.initialize, (SENDER, true, DEVICE, COMPOSE_HASH));
        address app = address(new ERC1967Proxy(address(stock), init));
        vm.setEnv("APP", vm.toString(app));
        new UpgradeApp().run();
        new UpgradeApp().run();
        assertEq(ClusterMember(payable(app)).cluster(), cluster, "bound");
        assertTrue(dstack.allowedAppIds(app) && dstack.isManagementForwarder(app), "admitted and trusted");
    }

    function _checkPaymaster() private view {
        address paymaster = vm.parseJsonAddress(_receipt("paymaster"), ".paymaster");
        assertEq(VerifyingPaymaster(paymaster).verifyingSigner(), stranger, "signer");
        assertEq(ENTRY_POINT.balanceOf(paymaster), 1000, "deposit");
    }

    function _receipts() private view returns (string memory) {
        return string.concat(
            _receipt("infra"),
            _receipt("cluster-scripts"),
            _receipt("member-scripts-0"),
            _receipt("member-scripts-1"),
            _receipt("paymaster")
        );
    }

    function _receipt(string memory name) private view returns (string memory) {
        return vm.readFile(string.concat(DIR, "/", name, ".json"));
    }

    function _clusterFile() private pure returns (string memory) {
        return string.concat(
            '{ "name": "scripts", "owner": "',
            vm.toString(SENDER),
            '", "network": "10.18.0.0/24", "dstack": { "kmsRoots": ["',
            vm.toString(address(0x1234)),
            '"], "composeHashes": ["',
            vm.toString(COMPOSE_HASH),
            '"], "allowAnyDevice": true }, "operators": ["',
            vm.toString(address(0xa11ce)),
            '"] }'
        );
    }

    function test_ClusterFile_BadNetworks_Revert() public {
        string[6] memory networks =
            ["10.13.0.0", "10.13.0/16", "10.13.0.256/16", "10.13.0.0/33", "10.13.0.0.0/16", "/16"];
        for (uint256 i = 0; i < networks.length; ++i) {
            string memory file =
                string.concat('{ "owner": "', vm.toString(stranger), '", "network": "', networks[i], '" }');
            vm.expectRevert();
            this.parse(file);
        }
    }

    function parse(string calldata file) external view {
        ClusterFile.parse(file, address(dstackFacet), address(operatorFacet));
    }
}
