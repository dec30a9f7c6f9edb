interface ReasonInfo {
  /** One sentence for people. */
  text: string;
  /**
   * Whether asking again with the same operation is pointless until the operator or the node changes
   * something.
   */
  final: boolean;
}

const final = (text: string): ReasonInfo => ({ text, final: true });
const passing = (text: string): ReasonInfo => ({ text, final: false });

/** Why an operation is not paid for: stable codes for machines, in the order in which the rules are asked. */
export const REASONS = {
  token_missing: final("the request carries no token"),
  token_wrong: final("the request carries a token that is not the operator's"),
  signature_wrong: final("the request is not signed with the webhook secret, or not within five minutes"),
  chain_mismatch: final("the operation is for another chain"),
  entry_point_mismatch: final("the operation is for another EntryPoint"),
  sender_unknown: passing(
    "the sender is neither a recognised factory's member contract nor an allowed app id",
  ),
  not_execute: final("the operation is not exactly one ClusterMember.execute of a deployed account"),
  value_not_zero: final("the call sends value"),
  target_unknown: passing("the target is not a cluster that this operator pays for"),
  selector_not_allowed: final("the cluster function that is called is not one that this operator pays for"),
  proof_malformed: final("the registration's arguments are not canonically encoded"),
  proof_member_mismatch: final("the registration names another member contract than the sender"),
  proof_code_id: final("the proof's code id is not the member contract's address"),
  proof_binding: final("the proof does not bind this cluster, member contract and keys"),
  proof_purpose: final("the proof's purpose is not attestmesh.binding.v1"),
  proof_derived_key: final("the message signature is not the derived key's"),
  proof_app_key: final("the derived key is not signed by the app key"),
  proof_kms_signature: final("the app key carries no valid KMS signature"),
  kms_root_unknown: passing("the KMS root that signed the app key is not allowed in this cluster"),
  voucher_expired: final("the operator's voucher has expired"),
  voucher_signature: final("the voucher is not signed by the operator it names"),
  operator_unknown: passing("the operator that signed the voucher is not allowed in this cluster"),
  calldata_too_large: final("the call is larger than its function needs"),
  gas_too_high: final("a gas limit is higher than the called function needs"),
  fee_too_high: passing("the maximum fee per gas is higher than this operator pays"),
  sender_cap: passing("the sender has used up what the operator pays for it per day"),
  cluster_cap: passing("the cluster has used up what the operator pays for it per day"),
  global_cap: passing("all senders together have used up what the operator pays per day"),
  chain_unavailable: passing("the chain could not be asked"),
} as const satisfies Record<string, ReasonInfo>;

export type Reason = keyof typeof REASONS;

/** A cap that the operator raises meanwhile should be noticed. */
const CAP_RETRY_SECONDS = 600;
const CHAIN_RETRY_SECONDS = 5;

/** Seconds after which asking again makes sense, or null when nobody knows. */
export function retryAfterSeconds(reason: Reason, nowMs: number): number | null {
  switch (reason) {
    case "sender_cap":
    case "cluster_cap":
    case "global_cap": {
      const daySeconds = 24 * 60 * 60;
      return Math.min(CAP_RETRY_SECONDS, daySeconds - (Math.floor(nowMs / 1000) % daySeconds));
    }
    case "chain_unavailable":
      return CHAIN_RETRY_SECONDS;
    default:
      return null;
  }
}

/** The HTTP status of a denial where the caller is one of ours. Only who is not heard at all gets an error. */
export function statusOf(reason: Reason): number {
  if (reason === "token_missing") return 401;
  return reason === "token_wrong" ? 403 : 200;
}
