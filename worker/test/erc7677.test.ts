import { hashMessage, hexToBigInt, slice, type Hex } from "viem";
import { describe, expect, it } from "vitest";
import { hashForPaymaster } from "../src/paymaster";
import { recoverSigner } from "../src/signature";
import type { Env } from "../src/env";
import { retryAfterSeconds } from "../src/policy/reasons";
import { readUserOperation } from "../src/userop";
import { CHAIN_ID, dstackRegister, execute, operation, publishWgKey, STRANGER } from "./support/mesh";
import { PAYMASTER, Scene, STATS_TOKEN, TOKEN } from "./support/worker";

interface Result {
  paymaster: Hex;
  paymasterData: Hex;
  paymasterVerificationGasLimit: Hex;
  paymasterPostOpGasLimit: Hex;
}

const SIGNER = "0xd8291E50E2e68fb2c70d77cCDc707D291a89f209";
const registration = operation(execute(dstackRegister()), { verificationGasLimit: "0x13880" });

const resultOf = ({ json }: { json: unknown }): Result => (json as { result: Result }).result;

function validityOf(data: Hex): { validUntil: number; validAfter: number } {
  return {
    validUntil: Number(hexToBigInt(slice(data, 0, 32))),
    validAfter: Number(hexToBigInt(slice(data, 32, 64))),
  };
}

async function spent(scene: Scene): Promise<unknown> {
  return (await scene.get("/stats", STATS_TOKEN)).json;
}

describe("pm_getPaymasterData", () => {
  it("signs the operation with the gas limits that it answers", async () => {
    const scene = await Scene.fresh();
    const answer = await scene.sign(registration);
    expect(answer).toMatchObject({ status: 200, json: { jsonrpc: "2.0", id: 7 } });
    const { paymaster, paymasterData, ...gas } = resultOf(answer);
    expect(paymaster).toBe(PAYMASTER);
    const op = readUserOperation({ ...registration, ...gas }, "op");
    const hash = hashForPaymaster(op, PAYMASTER, CHAIN_ID, validityOf(paymasterData));
    expect(recoverSigner(hashMessage({ raw: hash }), slice(paymasterData, 64))).toBe(SIGNER);
  });

  it("sets the paymaster's gas when the operation leaves it open", async () => {
    const open = { ...registration, paymasterVerificationGasLimit: "0x0", paymasterPostOpGasLimit: null };
    const result = resultOf(await (await Scene.fresh()).sign(open));
    expect(Number(result.paymasterVerificationGasLimit)).toBeGreaterThan(20_000);
    expect(result.paymasterPostOpGasLimit).toBe("0x0");
  });

  it("is good for minutes only", async () => {
    const { validUntil, validAfter } = validityOf(
      resultOf(await (await Scene.fresh()).sign(registration)).paymasterData,
    );
    const now = Date.now() / 1000;
    expect(validUntil - now).toBeGreaterThan(200);
    expect(validUntil - now).toBeLessThan(301);
    expect(validAfter).toBeLessThan(now);
  });

  it("charges the caps, once per operation", async () => {
    const scene = await Scene.fresh();
    await scene.sign(registration);
    await scene.sign({ ...registration, maxFeePerGas: "0x861c4680" });
    expect(await spent(scene)).toMatchObject({
      total: { ops: 1, wei: String((100_000n + 80_000n + 90_000n) * 2_250_000_000n) },
    });
  });

  it("takes the token from the header as well", async () => {
    const scene = await Scene.fresh();
    const params = [registration, "0x0000000071727de22e5e9d8baf0edac6f37da032", 8453];
    const body = { id: "a", method: "pm_getPaymasterData", params };
    const answer = await scene.post("/erc7677", body, { authorization: `bearer ${TOKEN}` });
    expect(answer).toMatchObject({ status: 200, json: { id: "a", result: { paymaster: PAYMASTER } } });
  });

  it("answers a missing token with 401 and a wrong one with 403, and counts neither", async () => {
    const scene = await Scene.fresh();
    expect((await scene.sign(registration, { context: null })).status).toBe(401);
    expect((await scene.sign(registration, { context: { token: "x" } })).status).toBe(403);
    expect(await spent(scene)).toMatchObject({ denials: {} });
  });

  it("denies with the reason, a sentence, and whether asking again can help", async () => {
    const scene = await Scene.fresh();
    const answer = await scene.sign(operation(execute(publishWgKey, STRANGER)));
    expect(answer).toMatchObject({
      status: 200,
      json: { id: 7, error: { code: -32001, data: { reason: "target_unknown", final: false } } },
    });
    expect(answer.text).toContain("sponsorship denied: the target is not a cluster");
    expect(await spent(scene)).toMatchObject({ total: { ops: 0 }, denials: { target_unknown: 1 } });
  });
});

describe("Retry-After", () => {
  it("tells when to ask again, where that is known", async () => {
    const ask = async (changes: Partial<Env>, op = registration): Promise<string | null> =>
      (await (await Scene.fresh(changes)).sign(op)).headers.get("retry-after");
    expect(await ask({ RPC_URL: "http://dead.test" })).toBe("5");
    expect(await ask({}, operation(publishWgKey))).toBeNull();
    expect(Number(await ask({ SENDER_DAILY_OPS: "0" }))).toBeGreaterThan(0);
  });

  it("of a cap is ten minutes, but not past midnight", () => {
    expect(retryAfterSeconds("global_cap", Date.UTC(2026, 0, 1, 12))).toBe(600);
    expect(retryAfterSeconds("cluster_cap", Date.UTC(2026, 0, 1, 23, 59, 30))).toBe(30);
  });
});

describe("pm_getPaymasterStubData", () => {
  it("judges but does not charge, and needs no gas", async () => {
    const scene = await Scene.fresh();
    const { sender, nonce, callData } = registration;
    const answer = await scene.rpc("pm_getPaymasterStubData", { sender, nonce, callData });
    expect(answer).toMatchObject({
      status: 200,
      json: { result: { paymaster: PAYMASTER, paymasterPostOpGasLimit: "0x0" } },
    });
    expect(resultOf(answer).paymasterData).toHaveLength(2 + 2 * (64 + 65));
    expect(await spent(scene)).toMatchObject({ total: { ops: 0 } });
    const denied = await scene.rpc("pm_getPaymasterStubData", { sender: STRANGER, nonce, callData });
    expect(denied.text).toContain("sender_unknown");
  });
});

it("is not there without a paymaster", async () => {
  const scene = await Scene.fresh({ PAYMASTER: "" });
  expect(await scene.sign(registration)).toMatchObject({ status: 404, json: { error: { code: -32602 } } });
});

describe("a warm decision", () => {
  it("asks no RPC and writes at most one row", async ({ task }) => {
    const scene = await Scene.fresh();
    await scene.sign(registration);
    const cold = scene.chain.calls;
    for (const nonce of ["0x1", "0x2", "0x3"]) {
      expect((await scene.sign({ ...registration, nonce })).status).toBe(200);
    }
    expect(cold).toBe(3);
    expect(scene.chain.calls - cold).toBe(0);
    task.meta.figures = { cold_rpc_calls: cold, warm_rpc_calls: scene.chain.calls - cold };
  });
});
