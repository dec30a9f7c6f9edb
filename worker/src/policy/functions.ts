/** Which cluster functions are paid for, in which group, and how much of everything each may use. */
import { toFunctionSelector, type AbiStateMutability, type ContractFunctionName, type Hex } from "viem";
import { clusterAbi } from "../abi";
import type { UserOperation } from "../userop";
import type { Reason } from "./reasons";

/** The operator's switches. */
export const GROUPS = ["register-dstack", "register-operator", "keys", "messages", "csk", "admin"] as const;

export type Group = (typeof GROUPS)[number];

/**
 * The ceilings of one function. The EntryPoint charges a tenth of unused call gas, so a generous limit is
 * money. dstack_register, the keys and send have half as much again as Alto estimated, or more; the others
 * are set by likeness to these and not measured.
 */
export interface PaidFunction {
  group: Group;
  /** Bytes of the inner call data. */
  bytes: number;
  callGas: bigint;
  verificationGas: bigint;
}

type FunctionName = ContractFunctionName<typeof clusterAbi, AbiStateMutability>;

function paid(group: Group, bytes: number, callGas: bigint, verificationGas = 80_000n): PaidFunction {
  return { group, bytes, callGas, verificationGas };
}

const admin = paid("admin", 4 + 2 * 32, 200_000n);

/** What the paymaster's own validation may use at most, whichever paymaster it is. */
const PAYMASTER_GAS = 150_000n;

const PAID_FUNCTIONS = {
  dstack_register: paid("register-dstack", 1_200, 550_000n, 160_000n),
  operator_register: paid("register-operator", 500, 500_000n, 160_000n),
  publishWgKey: paid("keys", 4 + 32, 120_000n),
  publishEd25519Key: paid("keys", 4 + 32, 120_000n),
  send: paid("messages", 4 + 4 * 32 + 8_192, 250_000n),
  setCskCommitment: paid("csk", 4 + 2 * 32, 120_000n),
  rotateCsk: admin,
  removeMember: admin,
  transferClusterOwnership: admin,
  acceptClusterOwnership: admin,
  transferBothOwners: admin,
  acceptBothOwners: admin,
  addComposeHash: admin,
  removeComposeHash: admin,
  addDevice: admin,
  removeDevice: admin,
  setAllowAnyDevice: admin,
  setRequireTcbUpToDate: admin,
  addAllowedKmsRoot: admin,
  removeAllowedKmsRoot: admin,
  addAllowedAppId: admin,
  removeAllowedAppId: admin,
  setManagementForwarder: admin,
  addOperator: admin,
  removeOperator: admin,
} as const satisfies Partial<Record<FunctionName, PaidFunction>>;

export type PaidFunctionName = keyof typeof PAID_FUNCTIONS;

/** The functions above by the selector that the contracts' ABI gives them. */
export const PAID_BY_SELECTOR: ReadonlyMap<Hex, { name: PaidFunctionName } & PaidFunction> = new Map(
  clusterAbi.flatMap((item) => {
    if (item.type !== "function" || !(item.name in PAID_FUNCTIONS)) return [];
    const name = item.name as PaidFunctionName;
    return [[toFunctionSelector(item), { name, ...PAID_FUNCTIONS[name] }]];
  }),
);

/** The prices above which nothing is paid, for every function. */
export interface PriceCeilings {
  feePerGas: bigint;
  preVerificationGas: bigint;
}

/** Null when an operation that calls this function with so many bytes stays below every ceiling. */
export function checkCeilings(
  op: UserOperation,
  bytes: number,
  paid: PaidFunction,
  prices: PriceCeilings,
): Reason | null {
  if (bytes > paid.bytes) return "calldata_too_large";
  const limits: [bigint, bigint][] = [
    [op.callGasLimit, paid.callGas],
    [op.verificationGasLimit, paid.verificationGas],
    [op.preVerificationGas, prices.preVerificationGas],
    [op.paymasterVerificationGasLimit, PAYMASTER_GAS],
    [op.paymasterPostOpGasLimit, PAYMASTER_GAS],
  ];
  if (limits.some(([limit, ceiling]) => limit > ceiling)) return "gas_too_high";
  if (op.maxFeePerGas > prices.feePerGas) return "fee_too_high";
  return null;
}

/** The most wei that the operation can cost; what it leaves open counts at its ceiling. */
export function costAtMost(op: UserOperation, paid: PaidFunction, prices: PriceCeilings): bigint {
  const gas =
    (op.callGasLimit || paid.callGas) +
    (op.verificationGasLimit || paid.verificationGas) +
    (op.preVerificationGas || prices.preVerificationGas) +
    op.paymasterVerificationGasLimit +
    op.paymasterPostOpGasLimit;
  return gas * (op.maxFeePerGas || prices.feePerGas);
}
