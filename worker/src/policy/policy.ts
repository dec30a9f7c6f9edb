import type { Config } from "../env";
import { Denied } from "../errors";
import type { UserOperation } from "../userop";
import { decodeExecute, type Call } from "./call";

/** One request for sponsorship, whoever asks. */
export interface Request {
  op: UserOperation;
  chainId: bigint;
  entryPoint: string;
}

/** Returns the call that the operator agrees to pay for; throws Denied with the first rule that refuses. */
export function judge(request: Request, config: Config): Call {
  if (request.chainId !== config.chainId) throw new Denied("chain_mismatch");
  if (request.entryPoint !== config.entryPoint) throw new Denied("entry_point_mismatch");
  const call = decodeExecute(request.op.callData);
  if (call === null || request.op.initCode !== "0x") throw new Denied("not_execute");
  if (call.value !== 0n) throw new Denied("value_not_zero");
  if (!config.clusters.has(call.target)) throw new Denied("target_unknown");
  return call;
}
