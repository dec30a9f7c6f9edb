/** Signing for `VerifyingPaymaster` of @account-abstraction/contracts 0.7. */
import {
  concatHex,
  encodeAbiParameters,
  hashMessage,
  keccak256,
  pad,
  parseAbiParameters,
  toHex,
  type Address,
  type Hex,
} from "viem";
import { signHash } from "./signature";
import type { UserOperation } from "./userop";

/**
 * What the paymaster's validation may use: about twice its need. Signed, so it can not be raised afterwards.
 */
export const VERIFICATION_GAS = 40_000n;

/** The paymaster returns no context, so the EntryPoint never calls its postOp. */
export const POST_OP_GAS = 0n;

/** Seconds since 1970 between which a sponsorship counts. */
export interface Validity {
  validUntil: number;
  validAfter: number;
}

/**
 * A signature that recovers to some address whatever the hash, without a zero byte: estimation then runs the
 * paymaster's whole path and prices the most calldata that a real signature can cost.
 */
const STUB_SIGNATURE = concatHex([
  "0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
  "0x5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e",
  "0x1b",
]);

const validityParameters = parseAbiParameters("uint48, uint48");
const hashParameters = parseAbiParameters(
  "address, uint256, bytes32, bytes32, bytes32, uint256, uint256, bytes32, uint256, address, uint48, uint48",
);

function encodePaymasterData(validity: Validity, signature: Hex): Hex {
  return concatHex([
    encodeAbiParameters(validityParameters, [validity.validUntil, validity.validAfter]),
    signature,
  ]);
}

function packWords(high: bigint, low: bigint): Hex {
  return concatHex([pad(toHex(high), { size: 16 }), pad(toHex(low), { size: 16 })]);
}

/** What `VerifyingPaymaster.getHash` returns for this operation. */
export function hashForPaymaster(
  op: UserOperation,
  paymaster: Address,
  chainId: bigint,
  validity: Validity,
): Hex {
  return keccak256(
    encodeAbiParameters(hashParameters, [
      op.sender,
      op.nonce,
      keccak256(op.initCode),
      keccak256(op.callData),
      packWords(op.verificationGasLimit, op.callGasLimit),
      BigInt(packWords(op.paymasterVerificationGasLimit, op.paymasterPostOpGasLimit)),
      op.preVerificationGas,
      packWords(op.maxPriorityFeePerGas, op.maxFeePerGas),
      chainId,
      paymaster,
      validity.validUntil,
      validity.validAfter,
    ]),
  );
}

export function stubPaymasterData(validity: Validity): Hex {
  return encodePaymasterData(validity, STUB_SIGNATURE);
}

/** The `paymasterData` that makes the paymaster pay for exactly this operation within the validity. */
export function signPaymasterData(
  op: UserOperation,
  paymaster: Address,
  chainId: bigint,
  validity: Validity,
  signerKey: Hex,
): Hex {
  const raw = hashForPaymaster(op, paymaster, chainId, validity);
  return encodePaymasterData(validity, signHash(hashMessage({ raw }), signerKey));
}
