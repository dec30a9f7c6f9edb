import type { Config } from "./env";
import { ChainUnavailable } from "./errors";
import { equalSecrets } from "./http";
import type { Ledger } from "./ledger";
import { judge, type ChainFacts, type SponsorshipRequest, type Verdict } from "./policy/policy";
import type { Reason } from "./policy/reasons";

/** What answering a request takes. */
export interface Services {
  config: Config;
  facts: ChainFacts;
  ledger: DurableObjectStub<Ledger>;
  /** Keeps the request alive until the work is done and reports its failure. */
  defer(work: Promise<unknown>): void;
  /** When the request arrived. */
  nowMs: number;
}

/** Null when the token is the operator's. */
export async function checkToken(token: string, { config }: Services): Promise<Reason | null> {
  if (token === "") return "token_missing";
  return (await equalSecrets(token, config.token)) ? null : "token_wrong";
}

async function judgeOnChain(request: SponsorshipRequest, services: Services): Promise<Verdict> {
  const { config, facts, nowMs } = services;
  try {
    return await judge(request, config.policy, facts, Math.floor(nowMs / 1000));
  } catch (error) {
    if (error instanceof ChainUnavailable) return { approved: false, reason: "chain_unavailable" };
    throw error;
  }
}

/**
 * Decides whether the operator pays: null, or the reason why not. With `counts` an approval is charged to the
 * daily caps; without, the caps are not asked, as for an operation whose gas is still to be estimated.
 */
export async function decide(
  request: SponsorshipRequest,
  counts: boolean,
  services: Services,
): Promise<Reason | null> {
  const { config, ledger, defer, nowMs } = services;
  const verdict = await judgeOnChain(request, services);
  if (!verdict.approved) {
    defer(ledger.deny(verdict.reason, nowMs));
    return verdict.reason;
  }
  if (!counts) return null;
  const { sender, nonce } = request.op;
  return ledger.charge({ sender, nonce, cluster: verdict.cluster, wei: verdict.wei }, config.caps, nowMs);
}
