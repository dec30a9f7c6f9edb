// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IAccount } from "@account-abstraction/contracts/interfaces/IAccount.sol";
import { PackedUserOperation } from "@account-abstraction/contracts/interfaces/PackedUserOperation.sol";
import { Initializable } from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import { UUPSUpgradeable } from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import { IERC165 } from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import { IAppAuth } from "../interfaces/IAppAuth.sol";
import { IAppAuthBasicManagement } from "../interfaces/IAppAuthBasicManagement.sol";
import { IAttestFacet } from "../interfaces/IAttestFacet.sol";
import { IClusterMember } from "../interfaces/IClusterMember.sol";
import { IDstackAppPolicy } from "../interfaces/IDstackAppPolicy.sol";
import { IDstackFacet } from "../interfaces/IDstackFacet.sol";
import { Secp256k1 } from "../lib/Secp256k1.sol";
import { BootstrapProof } from "./BootstrapProof.sol";

/// @title A node's identity on chain: dstack app proxy and ERC-4337 v0.7 account on one address.
contract ClusterMember is
    IClusterMember,
    IAccount,
    IAppAuth,
    IAppAuthBasicManagement,
    IDstackAppPolicy,
    IERC165,
    Initializable,
    UUPSUpgradeable
{
    /// @custom:storage-location erc7201:attestmesh.storage.ClusterMember
    struct Layout {
        address cluster;
        address owner;
    }

    // keccak256(abi.encode(uint256(keccak256("attestmesh.storage.ClusterMember")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant SLOT = 0xeaff3df3ee5169d005a03d5a55e3db27753713bb429f09c0a0f5b446a482f300;

    // Where OpenZeppelin's OwnableUpgradeable, hence a stock dstack app, keeps its owner:
    // keccak256(abi.encode(uint256(keccak256("openzeppelin.storage.Ownable")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STOCK_OWNER_SLOT =
        0x9016d09d72d40fdae2fd8ceac6b6234c7706214fd39c1cd1e609a0528c199300;

    uint256 private constant SIG_VALIDATION_SUCCESS = 0;
    uint256 private constant SIG_VALIDATION_FAILED = 1;

    address private immutable ENTRY_POINT;

    constructor(address entryPoint_) {
        ENTRY_POINT = entryPoint_;
        _disableInitializers();
    }

    /// @notice Takes what the EntryPoint refunds and what operators send.
    receive() external payable { }

    // ---- set-up

    /// @inheritdoc IClusterMember
    function initialize(address cluster_) external initializer {
        _setCluster(cluster_);
    }

    /// @inheritdoc IClusterMember
    function initializeFromApp(address cluster_) external reinitializer(2) {
        address appOwner;
        assembly ("memory-safe") {
            appOwner := sload(STOCK_OWNER_SLOT)
        }
        if (msg.sender != appOwner) revert NotAppOwner();
        _setCluster(cluster_);
    }

    /// @inheritdoc IClusterMember
    function __setOwnerFromCluster(address newOwner) external {
        Layout storage $ = _layout();
        if (msg.sender != $.cluster) revert NotCluster();
        if (newOwner == address(0)) revert ZeroOwner();
        if ($.owner != address(0)) revert OwnerAlreadySet();
        $.owner = newOwner;
        emit OwnerSet(newOwner);
    }

    /// @inheritdoc IClusterMember
    function cluster() public view returns (address) {
        return _layout().cluster;
    }

    /// @inheritdoc IClusterMember
    function owner() external view returns (address) {
        return _layout().owner;
    }

    /// @notice The EntryPoint whose UserOperations this account executes.
    function entryPoint() external view returns (address) {
        return ENTRY_POINT;
    }

    // ---- account

    /// @inheritdoc IAccount
    /// @dev EntryPoint only. A wrong signature or shape gives SIG_VALIDATION_FAILED, never a revert.
    function validateUserOp(
        PackedUserOperation calldata userOp,
        bytes32 userOpHash,
        uint256 missingAccountFunds
    ) external returns (uint256 validationData) {
        if (msg.sender != ENTRY_POINT) revert NotEntryPoint();
        address signer = _requiredSigner(userOp.callData);
        address recovered =
            Secp256k1.recover(MessageHashUtils.toEthSignedMessageHash(userOpHash), userOp.signature);
        validationData =
            signer != address(0) && recovered == signer ? SIG_VALIDATION_SUCCESS : SIG_VALIDATION_FAILED;
        if (missingAccountFunds != 0) {
            // The EntryPoint checks what it received.
            (bool ignored,) = payable(msg.sender).call{ value: missingAccountFunds }("");
            (ignored);
        }
    }

    /// @inheritdoc IClusterMember
    function execute(address target, uint256 value, bytes calldata data) external {
        if (msg.sender != ENTRY_POINT) revert NotEntryPoint();
        if (target == cluster() && bytes4(data) == IDstackFacet._forwardManagement.selector) {
            revert ForwardingForbidden();
        }
        (bool success, bytes memory answer) = target.call{ value: value }(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }

    /// @inheritdoc IClusterMember
    function bootstrapSigner(bytes calldata callData) external view returns (address signer) {
        return BootstrapProof.signer(cluster(), address(this), callData);
    }

    // ---- dstack app, answered by the cluster

    /// @inheritdoc IAppAuth
    function isAppAllowed(AppBootInfo calldata bootInfo) external view returns (bool, string memory) {
        return _dstack().isAppAllowed(bootInfo);
    }

    /// @inheritdoc IAppAuthBasicManagement
    function addComposeHash(bytes32) external {
        _forward();
    }

    /// @inheritdoc IAppAuthBasicManagement
    function removeComposeHash(bytes32) external {
        _forward();
    }

    /// @inheritdoc IAppAuthBasicManagement
    function addDevice(bytes32) external {
        _forward();
    }

    /// @inheritdoc IAppAuthBasicManagement
    function removeDevice(bytes32) external {
        _forward();
    }

    /// @inheritdoc IDstackAppPolicy
    function setAllowAnyDevice(bool) external {
        _forward();
    }

    /// @inheritdoc IDstackAppPolicy
    function setRequireTcbUpToDate(bool) external {
        _forward();
    }

    /// @inheritdoc IDstackAppPolicy
    function allowAnyDevice() external view returns (bool) {
        return _dstack().allowAnyDevice();
    }

    /// @inheritdoc IDstackAppPolicy
    function requireTcbUpToDate() external view returns (bool) {
        return _dstack().requireTcbUpToDate();
    }

    /// @inheritdoc IDstackAppPolicy
    function allowedComposeHashes(bytes32 composeHash) external view returns (bool) {
        return _dstack().allowedComposeHashes(composeHash);
    }

    /// @inheritdoc IDstackAppPolicy
    function allowedDeviceIds(bytes32 deviceId) external view returns (bool) {
        return _dstack().allowedDeviceIds(deviceId);
    }

    /// @inheritdoc IDstackAppPolicy
    function version() external pure returns (uint256) {
        return 2;
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERC165).interfaceId || interfaceId == type(IAppAuth).interfaceId
            || interfaceId == type(IAppAuthBasicManagement).interfaceId
            || interfaceId == type(IAccount).interfaceId;
    }

    // ---- internal

    /// @dev Only the cluster owner, as the cluster says now, upgrades; nobody before the cluster is known.
    function _authorizeUpgrade(address) internal view override {
        address cluster_ = cluster();
        if (cluster_ == address(0) || msg.sender != IAttestFacet(cluster_).clusterOwner()) {
            revert NotClusterOwner();
        }
    }

    function _setCluster(address cluster_) private {
        if (cluster_.code.length == 0) revert InvalidCluster();
        _layout().cluster = cluster_;
    }

    /// @dev Who must sign a UserOperation: the owner, or before there is one the signer of the registration in it.
    function _requiredSigner(bytes calldata callData) private view returns (address signer) {
        signer = _layout().owner;
        if (signer != address(0)) return signer;
        // Through an external call, so that call data which does not decode is a wrong signer and not a revert.
        try this.bootstrapSigner(callData) returns (address proofSigner) {
            return proofSigner;
        } catch {
            return address(0);
        }
    }

    /// @dev Hands the call over with its caller; the cluster checks that this is the cluster owner.
    function _forward() private {
        _dstack()._forwardManagement(msg.sender, msg.data);
    }

    function _dstack() private view returns (IDstackFacet) {
        return IDstackFacet(cluster());
    }

    function _layout() private pure returns (Layout storage $) {
        assembly ("memory-safe") {
            $.slot := SLOT
        }
    }
}
