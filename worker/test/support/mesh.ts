/** A cluster, its member and their keys from the shared vectors, and the operations that the member sends. */
import { secp256k1 } from "@noble/curves/secp256k1";
import {
  concatHex,
  encodeAbiParameters,
  encodeFunctionData,
  getAddress,
  hashMessage,
  keccak256,
  parseAbiParameters,
  stringToHex,
  toHex,
  type Address,
  type Hex,
} from "viem";
import core from "../../../test/vectors/core.json";
import { clusterAbi, memberAbi } from "../../src/abi";

const registration = core.registration as Record<keyof typeof core.registration, Hex>;

export const ENTRY_POINT: Address = "0x0000000071727De22E5E9d8BAf0edAc6f37da032";
export const CHAIN_ID = 8453n;
export const CLUSTER = registration.cluster;
export const MEMBER = registration.memberContract;
export const KMS_ROOT = registration.kmsRoot;
export const CLUSTER_FACTORY: Address = getAddress(`0x${"cf".repeat(20)}`);
export const MEMBER_FACTORY: Address = getAddress(`0x${"fa".repeat(20)}`);
export const STRANGER: Address = "0x5555555555555555555555555555555555555555";

export const KEYS = [registration.xPubKey, registration.wgPubKey, registration.ed25519PubKey] as const;

export const DSTACK_PROOF = {
  codeId: registration.codeId,
  messageHash: registration.bindHash,
  messageSignature: registration.messageSignature,
  appSignature: registration.appSignature,
  kmsSignature: registration.kmsSignature,
  derivedCompressedPubkey: registration.derivedCompressedPubkey,
  appCompressedPubkey: registration.appCompressedPubkey,
  purpose: core.registration.purpose,
};

export type DstackProof = typeof DSTACK_PROOF;

/** A signature as dstack's KMS makes it: raw hash, recovery id 0 or 1. */
export function signHash(hash: Hex, key: Hex): Hex {
  const signature = secp256k1.sign(hash.slice(2), key.slice(2));
  return concatHex([`0x${signature.toCompactHex()}`, toHex(signature.recovery, { size: 1 })]);
}

function addressOfKey(key: Hex): Address {
  const publicKey = secp256k1.getPublicKey(key.slice(2), false);
  return getAddress(`0x${keccak256(publicKey.subarray(1)).slice(26)}`);
}

const OPERATOR_KEY: Hex = `0x${"0e".repeat(32)}`;
export const OPERATOR = addressOfKey(OPERATOR_KEY);

export interface Voucher {
  signer: Address;
  ownerKey: Address;
  expiry: bigint;
  signature: Hex;
}

export function voucher(expiry: bigint, member: Address = MEMBER): Voucher {
  const ownerKey = registration.owner;
  const raw = keccak256(
    encodeAbiParameters(
      parseAbiParameters("string, address, address, bytes32, bytes32, bytes32, address, uint64"),
      [
        ...(["attestmesh.operator.bind.v1", CLUSTER, member] as const),
        ...KEYS,
        ...([ownerKey, expiry] as const),
      ],
    ),
  );
  return { signer: OPERATOR, ownerKey, expiry, signature: signHash(hashMessage({ raw }), OPERATOR_KEY) };
}

export function dstackRegister(proof: Partial<DstackProof> = {}, member: Address = MEMBER): Hex {
  return encodeFunctionData({
    abi: clusterAbi,
    functionName: "dstack_register",
    args: [{ ...DSTACK_PROOF, ...proof }, member, ...KEYS],
  });
}

export function operatorRegister(proof: Voucher, member: Address = MEMBER): Hex {
  return encodeFunctionData({
    abi: clusterAbi,
    functionName: "operator_register",
    args: [proof, member, ...KEYS],
  });
}

export function send(bytes: number): Hex {
  return encodeFunctionData({
    abi: clusterAbi,
    functionName: "send",
    args: [KEYS[0], KEYS[1], toHex(new Uint8Array(bytes).fill(0xa5))],
  });
}

export const publishWgKey = encodeFunctionData({
  abi: clusterAbi,
  functionName: "publishWgKey",
  args: [KEYS[1]],
});

export function execute(data: Hex, target: Address = CLUSTER, value = 0n): Hex {
  return encodeFunctionData({ abi: memberAbi, functionName: "execute", args: [target, value, data] });
}

/** A whole proof by fresh keys, of which nothing is wrong but that nobody allows its KMS root. */
export function selfMadeProof(member: Address): DstackProof {
  const [derivedKey, appKey, kmsKey] = (["d1", "a1", "c1"] as const).map(
    (byte) => `0x${byte.repeat(32)}` as Hex,
  );
  const publicKey = (key: Hex): Hex => toHex(secp256k1.getPublicKey(key.slice(2), true));
  const appId = member.toLowerCase() as Hex;
  const bindHash = keccak256(
    encodeAbiParameters(parseAbiParameters("string, address, address, bytes32, bytes32, bytes32"), [
      ...(["attestmesh.bind.v2", CLUSTER, member] as const),
      ...KEYS,
    ]),
  );
  const appMessage = stringToHex(`${DSTACK_PROOF.purpose}:${publicKey(derivedKey!).slice(2)}`);
  const kmsMessage = concatHex([stringToHex("dstack-kms-issued:"), appId, publicKey(appKey!)]);
  return {
    codeId: concatHex([appId, `0x${"00".repeat(12)}`]),
    messageHash: bindHash,
    messageSignature: signHash(hashMessage({ raw: bindHash }), derivedKey!),
    appSignature: signHash(keccak256(appMessage), appKey!),
    kmsSignature: signHash(keccak256(kmsMessage), kmsKey!),
    derivedCompressedPubkey: publicKey(derivedKey!),
    appCompressedPubkey: publicKey(appKey!),
    purpose: DSTACK_PROOF.purpose,
  };
}

/** An operation as it comes in JSON, with gas as an estimate would set it. */
export function operation(callData: Hex, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    sender: MEMBER,
    nonce: "0x0",
    factory: null,
    factoryData: null,
    callData,
    callGasLimit: "0x186a0",
    verificationGasLimit: "0x9c40",
    preVerificationGas: "0xc350",
    maxFeePerGas: "0x77359400",
    maxPriorityFeePerGas: "0x3b9aca00",
    paymasterVerificationGasLimit: "0x9c40",
    paymasterPostOpGasLimit: "0x0",
    signature: "0x",
    ...changes,
  };
}
