import { size, type Address } from "viem";
import type { UserOperation } from "../userop";
import { decodeExecute, type Call } from "./call";
import {
  checkCeilings,
  costAtMost,
  PAID_BY_SELECTOR,
  type Group,
  type PaidFunctionName,
  type PriceCeilings,
} from "./functions";
import type { Reason } from "./reasons";
import {
  checkDstackProof,
  checkVoucher,
  decodeDstackRegistration,
  decodeOperatorRegistration,
} from "./registration";

/** One request for sponsorship, whoever asks. */
export interface SponsorshipRequest {
  op: UserOperation;
  chainId: bigint;
  /** Null when the vendor does not say. */
  entryPoint: Address | null;
}

/** What the operator decided once, for all requests. */
export interface Policy {
  chainId: bigint;
  entryPoint: Address;
  clusters: ReadonlySet<Address>;
  senders: ReadonlySet<Address>;
  groups: ReadonlySet<Group>;
  prices: PriceCeilings;
}

/** What only the chain knows. Each may throw when the chain can not be asked. */
export interface ChainFacts {
  /** Deployed by a recognised cluster factory. */
  isCluster(address: Address): Promise<boolean>;
  /** Deployed by a recognised member factory. */
  isMemberContract(address: Address): Promise<boolean>;
  isAllowedApp(cluster: Address, app: Address): Promise<boolean>;
  isKmsRoot(cluster: Address, root: Address): Promise<boolean>;
  isOperator(cluster: Address, operator: Address): Promise<boolean>;
}

export type Verdict = { approved: true; cluster: Address; wei: bigint } | { approved: false; reason: Reason };

function deny(reason: Reason): Verdict {
  return { approved: false, reason };
}

async function isPaidCluster(cluster: Address, policy: Policy, facts: ChainFacts): Promise<boolean> {
  return policy.clusters.has(cluster) || (await facts.isCluster(cluster));
}

/** An app that a cluster allows is known as well: that is how a stock dstack app becomes a member. */
async function isKnownSender(
  sender: Address,
  call: Call | null,
  policy: Policy,
  facts: ChainFacts,
): Promise<boolean> {
  if (policy.senders.has(sender) || (await facts.isMemberContract(sender))) return true;
  if (call === null || !(await isPaidCluster(call.target, policy, facts))) return false;
  return facts.isAllowedApp(call.target, sender);
}

async function checkDstackRegistration(
  call: Call,
  sender: Address,
  facts: ChainFacts,
): Promise<Reason | null> {
  const args = decodeDstackRegistration(call.data);
  if (args === null) return "proof_malformed";
  const result = checkDstackProof(args, sender, call.target);
  if ("reason" in result) return result.reason;
  return (await facts.isKmsRoot(call.target, result.root)) ? null : "kms_root_unknown";
}

async function checkOperatorRegistration(
  call: Call,
  sender: Address,
  facts: ChainFacts,
  nowSeconds: number,
): Promise<Reason | null> {
  const args = decodeOperatorRegistration(call.data);
  if (args === null) return "proof_malformed";
  const result = checkVoucher(args, sender, call.target, nowSeconds);
  if ("reason" in result) return result.reason;
  return (await facts.isOperator(call.target, result.root)) ? null : "operator_unknown";
}

async function checkRegistration(
  name: PaidFunctionName,
  call: Call,
  sender: Address,
  facts: ChainFacts,
  nowSeconds: number,
): Promise<Reason | null> {
  if (name === "dstack_register") return checkDstackRegistration(call, sender, facts);
  if (name === "operator_register") return checkOperatorRegistration(call, sender, facts, nowSeconds);
  return null;
}

/**
 * Every rule but the token and the daily caps, in the order of PROTOCOL section 13; the first that fails
 * answers.
 */
export async function judge(
  { op, chainId, entryPoint }: SponsorshipRequest,
  policy: Policy,
  facts: ChainFacts,
  nowSeconds: number,
): Promise<Verdict> {
  if (chainId !== policy.chainId) return deny("chain_mismatch");
  if (entryPoint !== null && entryPoint !== policy.entryPoint) return deny("entry_point_mismatch");

  const call = decodeExecute(op.callData);
  if (!(await isKnownSender(op.sender, call, policy, facts))) return deny("sender_unknown");
  if (call === null || op.initCode !== "0x") return deny("not_execute");
  if (call.value !== 0n) return deny("value_not_zero");
  if (!(await isPaidCluster(call.target, policy, facts))) return deny("target_unknown");

  const paid = PAID_BY_SELECTOR.get(call.selector);
  if (paid === undefined || !policy.groups.has(paid.group)) return deny("selector_not_allowed");
  const reason =
    (await checkRegistration(paid.name, call, op.sender, facts, nowSeconds)) ??
    checkCeilings(op, size(call.data), paid, policy.prices);
  if (reason !== null) return deny(reason);

  return { approved: true, cluster: call.target, wei: costAtMost(op, paid, policy.prices) };
}
