/**
 * Registration proofs, verified as the attestor facets do (PROTOCOL sections 2.5 and 2.6), so that a proof
 * which the chain would refuse costs nobody anything. Whether the root of a proof is allowed is the chain's
 * to say.
 */
import {
  concatHex,
  decodeFunctionData,
  encodeAbiParameters,
  encodeFunctionData,
  getAbiItem,
  hashMessage,
  isAddressEqual,
  keccak256,
  parseAbiParameters,
  slice,
  stringToHex,
  type Address,
  type ContractFunctionArgs,
  type Hex,
} from "viem";
import { clusterAbi } from "../abi";
import { compressedKeyToAddress, recoverSigner } from "../signature";
import type { Reason } from "./reasons";

const BINDING_PURPOSE = "attestmesh.binding.v1";

const dstackAbi = [getAbiItem({ abi: clusterAbi, name: "dstack_register" })] as const;
const operatorAbi = [getAbiItem({ abi: clusterAbi, name: "operator_register" })] as const;

type DstackRegistration = ContractFunctionArgs<typeof dstackAbi>;
type OperatorRegistration = ContractFunctionArgs<typeof operatorAbi>;

/** Either why the proof fails, or the key that everything rests on and the chain must allow. */
export type ProofResult = { reason: Reason } | { root: Address };

const bindParameters = parseAbiParameters("string, address, address, bytes32, bytes32, bytes32");
const voucherParameters = parseAbiParameters(
  "string, address, address, bytes32, bytes32, bytes32, address, uint64",
);

/** The arguments of a dstack_register call, or null unless the data is its canonical encoding. */
export function decodeDstackRegistration(data: Hex): DstackRegistration | null {
  try {
    const { args } = decodeFunctionData({ abi: dstackAbi, data });
    return encodeFunctionData({ abi: dstackAbi, args }) === data ? args : null;
  } catch {
    return null;
  }
}

/** The same for an operator_register call. */
export function decodeOperatorRegistration(data: Hex): OperatorRegistration | null {
  try {
    const { args } = decodeFunctionData({ abi: operatorAbi, data });
    return encodeFunctionData({ abi: operatorAbi, args }) === data ? args : null;
  } catch {
    return null;
  }
}

function isSignedBy(signer: Address | null, hash: Hex, signature: Hex): boolean {
  const recovered = recoverSigner(hash, signature);
  return signer !== null && recovered !== null && isAddressEqual(signer, recovered);
}

/** Checks a dstack proof; the root is the KMS key that signed the app key. */
export function checkDstackProof(
  [proof, member, ...keys]: DstackRegistration,
  sender: Address,
  cluster: Address,
): ProofResult {
  if (!isAddressEqual(member, sender)) return { reason: "proof_member_mismatch" };
  if (proof.codeId !== concatHex([member.toLowerCase() as Hex, `0x${"00".repeat(12)}`])) {
    return { reason: "proof_code_id" };
  }
  const bindHash = keccak256(
    encodeAbiParameters(bindParameters, ["attestmesh.bind.v2", cluster, member, ...keys]),
  );
  if (proof.messageHash !== bindHash) return { reason: "proof_binding" };
  if (proof.purpose !== BINDING_PURPOSE) return { reason: "proof_purpose" };
  const derived = compressedKeyToAddress(proof.derivedCompressedPubkey);
  if (!isSignedBy(derived, hashMessage({ raw: bindHash }), proof.messageSignature)) {
    return { reason: "proof_derived_key" };
  }
  const app = compressedKeyToAddress(proof.appCompressedPubkey);
  const appMessage = `${proof.purpose}:${proof.derivedCompressedPubkey.slice(2)}`;
  if (!isSignedBy(app, keccak256(stringToHex(appMessage)), proof.appSignature)) {
    return { reason: "proof_app_key" };
  }
  const kmsMessage = concatHex([
    stringToHex("dstack-kms-issued:"),
    slice(proof.codeId, 0, 20),
    proof.appCompressedPubkey,
  ]);
  const root = recoverSigner(keccak256(kmsMessage), proof.kmsSignature);
  return root === null ? { reason: "proof_kms_signature" } : { root };
}

/** Checks an operator's voucher; the root is the operator. */
export function checkVoucher(
  [proof, member, ...keys]: OperatorRegistration,
  sender: Address,
  cluster: Address,
  nowSeconds: number,
): ProofResult {
  if (!isAddressEqual(member, sender)) return { reason: "proof_member_mismatch" };
  if (proof.expiry < BigInt(nowSeconds)) return { reason: "voucher_expired" };
  const hash = keccak256(
    encodeAbiParameters(voucherParameters, [
      "attestmesh.operator.bind.v1",
      cluster,
      member,
      ...keys,
      proof.ownerKey,
      proof.expiry,
    ]),
  );
  if (!isSignedBy(proof.signer, hashMessage({ raw: hash }), proof.signature)) {
    return { reason: "voucher_signature" };
  }
  return { root: proof.signer };
}
