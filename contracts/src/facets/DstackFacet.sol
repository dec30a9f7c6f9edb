// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ERC165BaseInternal } from "@solidstate/contracts/introspection/ERC165/base/ERC165BaseInternal.sol";
import { Selectors } from "../cluster/Selectors.sol";
import { IAppAuth } from "../interfaces/IAppAuth.sol";
import { IAppAuthBasicManagement } from "../interfaces/IAppAuthBasicManagement.sol";
import { IAttestFacet } from "../interfaces/IAttestFacet.sol";
import { IAttestorFacet } from "../interfaces/IAttestorFacet.sol";
import { IClusterMember } from "../interfaces/IClusterMember.sol";
import { IClusterMemberFactory } from "../interfaces/IClusterMemberFactory.sol";
import { IDstackAppPolicy } from "../interfaces/IDstackAppPolicy.sol";
import { DstackProof, IDstackFacet, SigChainLink } from "../interfaces/IDstackFacet.sol";
import { DstackChain } from "../lib/DstackChain.sol";
import { FacetBase } from "../lib/FacetBase.sol";

/// @title Attestation by dstack's KMS: boot gate, allowlists, registration.
contract DstackFacet is IDstackFacet, IAttestorFacet, FacetBase, ERC165BaseInternal {
    /// @custom:storage-location erc7201:attestmesh.storage.Dstack
    struct Layout {
        bool allowAnyDevice;
        bool requireTcbUpToDate;
        mapping(bytes32 composeHash => bool) composeHashes;
        mapping(bytes32 deviceId => bool) devices;
        mapping(address kmsRoot => bool) kmsRoots;
        mapping(address appId => bool) appIds;
        mapping(address app => bool) forwarders;
    }

    // keccak256(abi.encode(uint256(keccak256("attestmesh.storage.Dstack")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant SLOT = 0x3a6ca0bce3f2eabeff789f3e634310c8ac9ff254a0d573f6389711dd0d3b9600;

    bytes32 private constant UP_TO_DATE = keccak256("UpToDate");

    bytes32 private constant ATTESTOR_ID = keccak256("attestmesh.attestor.dstack");

    IClusterMemberFactory private immutable MEMBER_FACTORY;

    constructor(IClusterMemberFactory memberFactory) {
        MEMBER_FACTORY = memberFactory;
    }

    // ---- attestor

    /// @inheritdoc IAttestorFacet
    function attestorId() external pure returns (bytes32) {
        return ATTESTOR_ID;
    }

    /// @inheritdoc IAttestorFacet
    function selectors() external pure returns (bytes4[] memory) {
        return Selectors.dstack();
    }

    /// @inheritdoc IAttestorFacet
    /// @param initData abi.encode(DstackInit). Also announces dstack's interfaces to ERC-165.
    function initAttestor(bytes calldata initData) external {
        DstackInit memory init = abi.decode(initData, (DstackInit));
        for (uint256 i = 0; i < init.kmsRoots.length; ++i) {
            _setKmsRoot(init.kmsRoots[i], true);
        }
        for (uint256 i = 0; i < init.appIds.length; ++i) {
            _setAppId(init.appIds[i], true);
        }
        for (uint256 i = 0; i < init.composeHashes.length; ++i) {
            _allowComposeHash(init.composeHashes[i]);
        }
        for (uint256 i = 0; i < init.devices.length; ++i) {
            _allowDevice(init.devices[i]);
        }
        _setAllowAnyDevice(init.allowAnyDevice);
        _setRequireTcbUpToDate(init.requireTcbUpToDate);
        _setSupportsInterface(type(IAppAuth).interfaceId, true);
        _setSupportsInterface(type(IAppAuthBasicManagement).interfaceId, true);
    }

    // ---- registration

    /// @inheritdoc IDstackFacet
    function dstack_register(
        DstackProof calldata proof,
        address memberContract,
        bytes32 xPubKey,
        bytes32 wgPubKey,
        bytes32 ed25519PubKey
    ) external returns (bytes32 memberId) {
        _checkMemberContract(memberContract);
        if (proof.codeId != bytes32(bytes20(memberContract))) revert CodeIdMismatch();
        if (
            proof.messageHash
                != DstackChain.bindHash(address(this), memberContract, xPubKey, wgPubKey, ed25519PubKey)
        ) {
            revert BindingMismatch();
        }
        (address owner, address kmsRoot) = DstackChain.verify(proof, memberContract);
        if (!_layout().kmsRoots[kmsRoot]) revert InvalidSigChain(SigChainLink.KmsRoot);

        memberId = _registry()._addMember(memberContract, ATTESTOR_ID, xPubKey, wgPubKey, ed25519PubKey);
        IClusterMember(memberContract).__setOwnerFromCluster(owner);
        emit DstackMemberRegistered(memberId, proof.codeId, owner);
    }

    // ---- boot gate

    /// @inheritdoc IAppAuth
    function isAppAllowed(AppBootInfo calldata bootInfo)
        external
        view
        returns (bool isAllowed, string memory reason)
    {
        Layout storage $ = _layout();
        if ($.requireTcbUpToDate && keccak256(bytes(bootInfo.tcbStatus)) != UP_TO_DATE) {
            return (false, "TCB status is not up to date");
        }
        if (!$.composeHashes[bootInfo.composeHash]) return (false, "Compose hash not allowed");
        if (!$.allowAnyDevice && !$.devices[bootInfo.deviceId]) return (false, "Device not allowed");

        bool live = _registry().isClusterMember(bootInfo.appId);
        if (!live && _registry().memberIdOf(bootInfo.appId) != 0) return (false, "Member was removed");
        if (!live && !$.appIds[bootInfo.appId]) return (false, "App id not allowed");
        return (true, "");
    }

    // ---- allowlists

    /// @inheritdoc IAppAuthBasicManagement
    function addComposeHash(bytes32 composeHash) external onlyClusterOwner {
        _allowComposeHash(composeHash);
    }

    /// @inheritdoc IAppAuthBasicManagement
    function removeComposeHash(bytes32 composeHash) external onlyClusterOwner {
        _layout().composeHashes[composeHash] = false;
        emit ComposeHashRemoved(composeHash);
    }

    /// @inheritdoc IAppAuthBasicManagement
    function addDevice(bytes32 deviceId) external onlyClusterOwner {
        _allowDevice(deviceId);
    }

    /// @inheritdoc IAppAuthBasicManagement
    function removeDevice(bytes32 deviceId) external onlyClusterOwner {
        _layout().devices[deviceId] = false;
        emit DeviceRemoved(deviceId);
    }

    /// @inheritdoc IDstackAppPolicy
    function setAllowAnyDevice(bool allowAny) external onlyClusterOwner {
        _setAllowAnyDevice(allowAny);
    }

    /// @inheritdoc IDstackAppPolicy
    function setRequireTcbUpToDate(bool requireUpToDate) external onlyClusterOwner {
        _setRequireTcbUpToDate(requireUpToDate);
    }

    /// @inheritdoc IDstackFacet
    function addAllowedKmsRoot(address kmsRoot) external onlyClusterOwner {
        _setKmsRoot(kmsRoot, true);
    }

    /// @inheritdoc IDstackFacet
    function removeAllowedKmsRoot(address kmsRoot) external onlyClusterOwner {
        _setKmsRoot(kmsRoot, false);
    }

    /// @inheritdoc IDstackFacet
    function addAllowedAppId(address appId) external onlyClusterOwner {
        _setAppId(appId, true);
    }

    /// @inheritdoc IDstackFacet
    function removeAllowedAppId(address appId) external onlyClusterOwner {
        _setAppId(appId, false);
    }

    /// @inheritdoc IDstackAppPolicy
    function allowAnyDevice() external view returns (bool) {
        return _layout().allowAnyDevice;
    }

    /// @inheritdoc IDstackAppPolicy
    function requireTcbUpToDate() external view returns (bool) {
        return _layout().requireTcbUpToDate;
    }

    /// @inheritdoc IDstackAppPolicy
    function allowedComposeHashes(bytes32 composeHash) external view returns (bool) {
        return _layout().composeHashes[composeHash];
    }

    /// @inheritdoc IDstackAppPolicy
    function allowedDeviceIds(bytes32 deviceId) external view returns (bool) {
        return _layout().devices[deviceId];
    }

    /// @inheritdoc IDstackFacet
    function allowedKmsRoots(address kmsRoot) external view returns (bool) {
        return _layout().kmsRoots[kmsRoot];
    }

    /// @inheritdoc IDstackFacet
    function allowedAppIds(address appId) external view returns (bool) {
        return _layout().appIds[appId];
    }

    /// @inheritdoc IDstackAppPolicy
    function version() external pure returns (uint256) {
        return 2;
    }

    // ---- management through member contracts

    /// @inheritdoc IDstackFacet
    function setManagementForwarder(address app, bool trusted) external onlyClusterOwner {
        _layout().forwarders[app] = trusted;
        emit ManagementForwarderSet(app, trusted);
    }

    /// @inheritdoc IDstackFacet
    function isManagementForwarder(address app) public view returns (bool) {
        return MEMBER_FACTORY.clusterOf(app) == address(this) || _layout().forwarders[app];
    }

    /// @inheritdoc IDstackFacet
    function _forwardManagement(address caller, bytes calldata data) external {
        if (!isManagementForwarder(msg.sender)) revert NotForwarder();
        if (caller != _registry().clusterOwner()) revert IAttestFacet.NotClusterOwner();
        if (!_isForwardable(bytes4(data))) revert NotForwardable();
        (bool success, bytes memory answer) = address(this).call(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }

    // ---- internal

    /// @dev The diamond itself calls only what `_forwardManagement` lets through, for the cluster owner.
    function _checkClusterOwner() internal view override {
        if (msg.sender != address(this)) super._checkClusterOwner();
    }

    function _checkMemberContract(address memberContract) private view {
        if (MEMBER_FACTORY.clusterOf(memberContract) == address(this)) return;
        if (!_layout().appIds[memberContract]) revert NotOurMember();
    }

    function _isForwardable(bytes4 selector) private pure returns (bool) {
        return selector == IAppAuthBasicManagement.addComposeHash.selector
            || selector == IAppAuthBasicManagement.removeComposeHash.selector
            || selector == IAppAuthBasicManagement.addDevice.selector
            || selector == IAppAuthBasicManagement.removeDevice.selector
            || selector == IDstackAppPolicy.setAllowAnyDevice.selector
            || selector == IDstackAppPolicy.setRequireTcbUpToDate.selector;
    }

    function _allowComposeHash(bytes32 composeHash) private {
        if (composeHash == 0) revert ZeroValue();
        _layout().composeHashes[composeHash] = true;
        emit ComposeHashAdded(composeHash);
    }

    function _allowDevice(bytes32 deviceId) private {
        if (deviceId == 0) revert ZeroValue();
        _layout().devices[deviceId] = true;
        emit DeviceAdded(deviceId);
    }

    function _setAllowAnyDevice(bool allowAny) private {
        _layout().allowAnyDevice = allowAny;
        emit AllowAnyDeviceSet(allowAny);
    }

    function _setRequireTcbUpToDate(bool requireUpToDate) private {
        _layout().requireTcbUpToDate = requireUpToDate;
        emit RequireTcbUpToDateSet(requireUpToDate);
    }

    function _setKmsRoot(address kmsRoot, bool allowed) private {
        if (kmsRoot == address(0)) revert ZeroValue();
        _layout().kmsRoots[kmsRoot] = allowed;
        emit KmsRootAllowed(kmsRoot, allowed);
    }

    function _setAppId(address appId, bool allowed) private {
        if (appId == address(0)) revert ZeroValue();
        _layout().appIds[appId] = allowed;
        emit AppIdAllowed(appId, allowed);
    }

    function _layout() private pure returns (Layout storage $) {
        assembly ("memory-safe") {
            $.slot := SLOT
        }
    }
}
