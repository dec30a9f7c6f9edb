import { expect, it } from "vitest";
import { execute, operation, publishWgKey, STRANGER } from "./support/mesh";
import { Scene, TOKEN, type Answer } from "./support/worker";

async function ask(changes: Record<string, unknown> = {}, headers = {}): Promise<Answer> {
  const body = {
    userOperation: operation(execute(publishWgKey)),
    policyId: "policy",
    chainId: "8453",
    webhookData: TOKEN,
    ...changes,
  };
  return (await Scene.fresh()).post("/alchemy", body, headers);
}

it("approves what the policy approves", async () => {
  expect(await ask()).toMatchObject({ status: 200, json: { approved: true } });
  expect((await ask({ chainId: "0x2105" })).json).toEqual({ approved: true });
  expect((await ask({ chainId: 8453 })).json).toEqual({ approved: true });
});

it("approves an operation without gas, which the Gas Manager sets later", async () => {
  const { sender, nonce, callData } = operation(execute(publishWgKey));
  expect((await ask({ userOperation: { sender, nonce, callData } })).json).toEqual({ approved: true });
});

it("takes the token from the header as well", async () => {
  const headers = { authorization: `Bearer ${TOKEN}` };
  expect((await ask({ webhookData: undefined }, headers)).json).toEqual({ approved: true });
});

it.each<[string, Record<string, unknown>]>([
  ["token_missing", { webhookData: "" }],
  ["token_wrong", { webhookData: "x" }],
  ["chain_mismatch", { chainId: "1" }],
  ["target_unknown", { userOperation: operation(execute(publishWgKey, STRANGER)) }],
])("answers 200 with %s, since a policy may approve on failure", async (reason, changes) => {
  expect(await ask(changes)).toMatchObject({ status: 200, json: { approved: false, reason } });
});
