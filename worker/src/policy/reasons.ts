/** Why an operation is not paid for: stable codes for machines, sentences for people. */
export const REASONS = {
  token_wrong: "the request does not carry the operator's token",
  chain_mismatch: "the operation is for another chain",
  entry_point_mismatch: "the operation is for another EntryPoint",
  not_execute: "the call is not ClusterMember.execute",
  value_not_zero: "the call sends value",
  target_unknown: "the target is not a cluster that this operator pays for",
} as const;

export type Reason = keyof typeof REASONS;
