import { describe, expect, it } from "vitest";
import { GROUPS } from "../src/policy/functions";
import {
  judge,
  type ChainFacts,
  type Policy,
  type SponsorshipRequest,
  type Verdict,
} from "../src/policy/policy";
import { readUserOperation } from "../src/userop";
import {
  CHAIN_ID,
  CLUSTER,
  dstackRegister,
  ENTRY_POINT,
  execute,
  MEMBER,
  operation,
  operatorRegister,
  publishWgKey,
  send,
  STRANGER,
  voucher,
} from "./support/mesh";

const POLICY: Policy = {
  chainId: CHAIN_ID,
  entryPoint: ENTRY_POINT,
  clusters: new Set([CLUSTER]),
  senders: new Set([MEMBER]),
  groups: new Set(GROUPS),
  prices: { feePerGas: 2_000_000_000n, preVerificationGas: 100_000n },
};

/** A chain that knows nobody, unless told otherwise. */
function facts(known: Partial<ChainFacts> = {}): ChainFacts {
  const no = (): Promise<boolean> => Promise.resolve(false);
  return { isCluster: no, isMemberContract: no, isAllowedApp: no, isKmsRoot: no, isOperator: no, ...known };
}

const yes = (): Promise<boolean> => Promise.resolve(true);

function request(
  callData = execute(publishWgKey),
  changes: Record<string, unknown> = {},
): SponsorshipRequest {
  return {
    op: readUserOperation(operation(callData, changes), "op"),
    chainId: CHAIN_ID,
    entryPoint: ENTRY_POINT,
  };
}

function judgeAt(asked: SponsorshipRequest, known: ChainFacts, policy = POLICY): Promise<Verdict> {
  return judge(asked, policy, known, 1_000);
}

const denied = (reason: string): Verdict => ({ approved: false, reason }) as Verdict;

describe("judge", () => {
  it("approves a listed sender's call into a listed cluster without asking the chain", async () => {
    const never = (): never => {
      throw new Error("asked the chain");
    };
    const silent: ChainFacts = {
      isCluster: never,
      isMemberContract: never,
      isAllowedApp: never,
      isKmsRoot: never,
      isOperator: never,
    };
    expect(await judgeAt(request(), silent)).toMatchObject({ approved: true, cluster: CLUSTER });
  });

  it("approves when the vendor does not name the EntryPoint", async () => {
    expect(await judgeAt({ ...request(), entryPoint: null }, facts())).toMatchObject({ approved: true });
  });

  it("knows senders and clusters by their factories", async () => {
    const open = { ...POLICY, clusters: new Set<never>(), senders: new Set<never>() };
    const factories = facts({ isCluster: yes, isMemberContract: yes });
    expect(await judgeAt(request(), factories, open)).toMatchObject({ approved: true });
  });

  it("knows an app that the cluster allows, if the cluster is paid for", async () => {
    const noSenders = { ...POLICY, senders: new Set<never>() };
    const allowed = facts({ isAllowedApp: yes });
    expect(await judgeAt(request(), allowed, noSenders)).toMatchObject({ approved: true });
    expect(await judgeAt(request(execute(publishWgKey, STRANGER)), allowed, noSenders)).toEqual(
      denied("sender_unknown"),
    );
    expect(await judgeAt(request("0x"), allowed, noSenders)).toEqual(denied("sender_unknown"));
  });

  it("switches groups off one by one", async () => {
    const withoutKeys = { ...POLICY, groups: new Set(GROUPS.filter((group) => group !== "keys")) };
    expect(await judgeAt(request(), facts(), withoutKeys)).toEqual(denied("selector_not_allowed"));
    expect(await judgeAt(request(execute(send(1))), facts(), withoutKeys)).toMatchObject({ approved: true });
  });

  it("approves registrations whose root the cluster allows", async () => {
    const dstack = request(execute(dstackRegister()));
    expect(await judgeAt(dstack, facts({ isKmsRoot: yes }))).toMatchObject({ approved: true });
    expect(await judgeAt(dstack, facts({ isOperator: yes }))).toEqual(denied("kms_root_unknown"));
    const vouched = request(execute(operatorRegister(voucher(1_000n))));
    expect(await judgeAt(vouched, facts({ isOperator: yes }))).toMatchObject({ approved: true });
    expect(await judgeAt(vouched, facts({ isKmsRoot: yes }))).toEqual(denied("operator_unknown"));
  });

  it("answers with the first rule that fails", async () => {
    const empty = {
      ...POLICY,
      clusters: new Set<never>(),
      senders: new Set<never>(),
      groups: new Set<never>(),
    };
    const badProof = execute(dstackRegister({ purpose: "other" }), CLUSTER, 1n);
    const worst: SponsorshipRequest = {
      ...request(badProof, { factory: STRANGER, callGasLimit: "0xffffffff" }),
      chainId: 1n,
      entryPoint: STRANGER,
    };
    const order: [string, () => void][] = [
      ["chain_mismatch", () => (worst.chainId = CHAIN_ID)],
      ["entry_point_mismatch", () => (worst.entryPoint = ENTRY_POINT)],
      ["sender_unknown", () => (empty.senders = POLICY.senders as Set<never>)],
      ["not_execute", () => (worst.op.initCode = "0x")],
      ["value_not_zero", () => (worst.op.callData = execute(dstackRegister({ purpose: "other" })))],
      ["target_unknown", () => (empty.clusters = POLICY.clusters as Set<never>)],
      ["selector_not_allowed", () => (empty.groups = POLICY.groups as Set<never>)],
      ["proof_purpose", () => (worst.op.callData = execute(dstackRegister()))],
      ["gas_too_high", () => (worst.op.callGasLimit = 100_000n)],
    ];
    for (const [reason, mend] of order) {
      expect(await judgeAt(worst, facts({ isKmsRoot: yes }), empty)).toEqual(denied(reason));
      mend();
    }
    expect(await judgeAt(worst, facts({ isKmsRoot: yes }), empty)).toMatchObject({ approved: true });
  });
});
