/** Every reason for a denial, provoked by a request to the Worker as the vendors and nodes make it. */
import { concatHex } from "viem";
import { expect, it } from "vitest";
import { REASONS, type Reason } from "../src/policy/reasons";
import {
  CLUSTER,
  DSTACK_PROOF,
  dstackRegister,
  execute,
  MEMBER,
  operation,
  operatorRegister,
  publishWgKey,
  selfMadeProof,
  send,
  STRANGER,
  voucher,
  type DstackProof,
} from "./support/mesh";
import { Scene, TOKEN, type Answer } from "./support/worker";
import type { Env } from "../src/env";

interface Provocation {
  env?: Partial<Env>;
  ask(scene: Scene): Promise<Answer>;
}

const FAR_FUTURE = 2n ** 40n;

const sign = (callData = execute(publishWgKey), op = {}, changes = {}): Provocation => ({
  ask: (scene) => scene.sign(operation(callData, op), changes),
});

const proof = (changes: Partial<DstackProof>): Provocation => sign(execute(dstackRegister(changes)));

const capped = (env: Partial<Env>): Provocation => ({ ...sign(), env });

const PROVOCATIONS: Record<Reason, Provocation> = {
  token_missing: sign(undefined, {}, { context: {} }),
  token_wrong: sign(undefined, {}, { context: { token: `${TOKEN}x` } }),
  signature_wrong: {
    env: { PIMLICO_WEBHOOK_SECRET: "pim_whsec_7YWHMfk9JZe0LM0g1ZauHuiSxhI" },
    ask: (scene) => scene.post("/pimlico", { type: "user_operation.sponsorship.requested" }),
  },
  chain_mismatch: sign(undefined, {}, { chainId: "0x1" }),
  entry_point_mismatch: sign(undefined, {}, { entryPoint: STRANGER }),
  sender_unknown: sign(undefined, { sender: STRANGER }),
  not_execute: sign(publishWgKey),
  value_not_zero: sign(execute(publishWgKey, CLUSTER, 1n)),
  target_unknown: sign(execute(publishWgKey, STRANGER)),
  selector_not_allowed: sign(execute("0x1f931c1c")),
  proof_malformed: sign(execute(concatHex([dstackRegister(), "0x00"]))),
  proof_member_mismatch: sign(execute(dstackRegister({}, STRANGER))),
  proof_code_id: proof({ codeId: DSTACK_PROOF.messageHash }),
  proof_binding: proof({ messageHash: DSTACK_PROOF.codeId }),
  proof_purpose: proof({ purpose: "another" }),
  proof_derived_key: proof({ messageSignature: DSTACK_PROOF.appSignature }),
  proof_app_key: proof({ appSignature: DSTACK_PROOF.messageSignature }),
  proof_kms_signature: proof({ kmsSignature: "0x" }),
  kms_root_unknown: proof(selfMadeProof(MEMBER)),
  voucher_expired: sign(execute(operatorRegister(voucher(1n)))),
  voucher_signature: sign(execute(operatorRegister({ ...voucher(FAR_FUTURE), ownerKey: STRANGER }))),
  operator_unknown: {
    env: { CLUSTERS: CLUSTER, SENDERS: MEMBER },
    ask: (scene) => {
      // As of a cluster without the operator facet.
      scene.chain.broken = () =>
        Response.json({ jsonrpc: "2.0", id: 1, error: { code: 3, message: "reverted" } });
      return scene.sign(operation(execute(operatorRegister(voucher(FAR_FUTURE)))));
    },
  },
  calldata_too_large: sign(execute(send(8_193))),
  gas_too_high: sign(undefined, { callGasLimit: "0xfffff" }),
  fee_too_high: sign(undefined, { maxFeePerGas: "0xffffffffff" }),
  sender_cap: capped({ SENDER_DAILY_WEI: "1" }),
  cluster_cap: capped({ CLUSTER_DAILY_OPS: "0" }),
  global_cap: capped({ GLOBAL_DAILY_WEI: "1" }),
  chain_unavailable: { ...sign(), env: { RPC_URL: "http://dead.test" } },
};

const provoked = new Set<string>();

it.each(Object.entries(PROVOCATIONS))("%s is provoked by a request", async (reason, { env, ask }) => {
  const answer = await ask(await Scene.fresh(env));
  expect(JSON.stringify(answer.json)).toContain(`"reason":"${reason}"`);
  provoked.add(reason);
});

it("leaves no reason out", ({ task }) => {
  expect([...provoked].sort()).toEqual(Object.keys(REASONS).sort());
  task.meta.figures = { deny_reasons: Object.keys(REASONS).length, deny_reasons_provoked: provoked.size };
});
