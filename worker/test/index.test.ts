import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readConfig, type Env } from "../src/env";
import { ConfigError } from "../src/errors";
import { MAX_BODY_BYTES } from "../src/http";
import { CLUSTER, ENTRY_POINT, execute, operation, publishWgKey, STRANGER } from "./support/mesh";
import { PAYMASTER, Scene, SIGNER_KEY, STATS_TOKEN, TOKEN } from "./support/worker";

describe("GET /healthz", () => {
  it("names the release and the chain", async () => {
    const scene = await Scene.fresh({ RELEASE: "abc" });
    expect((await scene.get("/healthz")).json).toEqual({
      ok: true,
      release: "abc",
      chainId: "8453",
      entryPoint: ENTRY_POINT,
    });
  });
});

describe("GET /check", () => {
  it("tells whether and why a cluster is paid for", async () => {
    const scene = await Scene.fresh({ CLUSTERS: STRANGER, GROUPS: "keys,csk" });
    expect((await scene.get(`/check?cluster=${CLUSTER}`, TOKEN)).json).toMatchObject({
      cluster: CLUSTER,
      sponsored: true,
      listed: false,
      groups: ["keys", "csk"],
    });
    expect((await scene.get(`/check?cluster=${STRANGER}`, TOKEN)).json).toMatchObject({
      sponsored: true,
      listed: true,
    });
    expect((await scene.get(`/check?cluster=${PAYMASTER}`, TOKEN)).json).toMatchObject({
      sponsored: false,
      listed: false,
    });
  });

  it("wants the token and an address", async () => {
    const scene = await Scene.fresh();
    expect((await scene.get(`/check?cluster=${CLUSTER}`)).status).toBe(401);
    expect((await scene.get(`/check?cluster=${CLUSTER}`, "x")).status).toBe(403);
    expect((await scene.get("/check", TOKEN)).status).toBe(400);
    expect((await scene.get("/check?cluster=1", TOKEN)).text).toContain("cluster: not an address");
  });
});

describe("GET /stats", () => {
  it("shows today's spending, caps and denials to who has its own token", async () => {
    const scene = await Scene.fresh();
    await scene.sign(operation(execute(publishWgKey)));
    await scene.sign(operation(publishWgKey));
    expect((await scene.get("/stats", STATS_TOKEN)).json).toMatchObject({
      total: { ops: 1, wei: "460000000000000" },
      clusters: [{ address: CLUSTER, ops: 1 }],
      senders: [{ ops: 1 }],
      denials: { not_execute: 1 },
      caps: { sender: { ops: 200, wei: "100000000000000000" } },
    });
    expect((await scene.get("/stats", TOKEN)).status).toBe(401);
    expect((await scene.get("/stats")).status).toBe(401);
    expect((await (await Scene.fresh({ STATS_TOKEN: "" })).get("/stats", "")).status).toBe(404);
  });
});

it("GET /dashboard is a page that may talk to nobody else", async () => {
  const { status, headers, text } = await (await Scene.fresh()).get("/dashboard");
  expect(status).toBe(200);
  expect(headers.get("content-type")).toContain("text/html");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(text).toContain("/stats");
});

it("answers 404 for what is not there", async () => {
  const scene = await Scene.fresh();
  expect((await scene.get("/")).status).toBe(404);
  expect((await scene.get("/erc7677")).status).toBe(404);
  expect((await scene.post("/healthz", "{}")).status).toBe(404);
});

describe("a malformed body", () => {
  const op = operation(execute(publishWgKey));
  const rpc = (changes: object): object => ({
    jsonrpc: "2.0",
    id: 1,
    method: "pm_getPaymasterData",
    params: [op, ENTRY_POINT, "0x2105", { token: TOKEN }],
    ...changes,
  });
  const rpcOp = (changes: object): object => rpc({ params: [{ ...op, ...changes }, ENTRY_POINT, "0x2105"] });

  it.each<[string, unknown, string]>([
    ["no JSON", "{", "body: not JSON"],
    ["no object", "null", "body: not an object"],
    ["an array", "[]", "body: not an object"],
    ["another method", rpc({ method: "eth_call" }), "method: none of"],
    ["no params", rpc({ params: {} }), "params: not an array"],
    ["no operation", rpc({ params: [] }), "params[0]: not an object"],
    ["no EntryPoint", rpc({ params: [op, "0x00"] }), "params[1]: not an address"],
    ["no chain id", rpc({ params: [op, ENTRY_POINT, "one"] }), "params[2]: not a quantity"],
    ["a negative chain id", rpc({ params: [op, ENTRY_POINT, -1] }), "params[2]: not a quantity"],
    [
      "a chain id too large",
      rpc({ params: [op, ENTRY_POINT, `0x1${"0".repeat(16)}`] }),
      "params[2]: more than 64 bits",
    ],
    ["a context that is no object", rpc({ params: [op, ENTRY_POINT, 1, "x"] }), "params[3]: not an object"],
    [
      "a token that is no string",
      rpc({ params: [op, ENTRY_POINT, 1, { token: 1 }] }),
      "params[3].token: not a string",
    ],
    ["a sender that is no address", rpcOp({ sender: "0x12" }), "params[0].sender: not an address"],
    ["a nonce that is no quantity", rpcOp({ nonce: "0x" }), "params[0].nonce: not a quantity"],
    ["half a byte", rpcOp({ callData: "0x1" }), "params[0].callData: not hexadecimal bytes"],
    ["no call data", rpcOp({ callData: undefined }), "params[0].callData: not hexadecimal bytes"],
    [
      "gas too large",
      rpcOp({ callGasLimit: `0x1${"0".repeat(30)}` }),
      "params[0].callGasLimit: more than 120 bits",
    ],
    ["a factory that is no address", rpcOp({ factory: "0x7702" }), "params[0].factory: not an address"],
    [
      "factory data that is no hex",
      rpcOp({ factory: STRANGER, factoryData: 1 }),
      "params[0].factoryData: not hex",
    ],
  ])("with %s is named and answered with 400", async (_, body, message) => {
    const answer = await (await Scene.fresh()).post("/erc7677", body);
    expect(answer).toMatchObject({ status: 400, json: { jsonrpc: "2.0", error: { code: -32602 } } });
    expect(answer.text).toContain(message);
  });

  it("reads a factory, to refuse it", async () => {
    const scene = await Scene.fresh();
    for (const changes of [{ factory: STRANGER, factoryData: "0x12" }, { factory: STRANGER }]) {
      expect((await scene.sign({ ...op, ...changes })).text).toContain("not_execute");
    }
  });

  it("that is empty, not UTF-8 or too long is refused", async () => {
    const scene = await Scene.fresh();
    const send = (body: BodyInit | null): Promise<{ status: number }> =>
      scene.fetch("/alchemy", { method: "POST", body });
    expect((await send(null)).status).toBe(400);
    expect((await send(Uint8Array.of(0xff))).status).toBe(400);
    expect((await send(Uint8Array.of(0x22, 0xc3))).status).toBe(400);
    expect((await send(" ".repeat(MAX_BODY_BYTES))).status).toBe(400);
    expect((await send(" ".repeat(MAX_BODY_BYTES + 1))).status).toBe(413);
  });

  it("of any JSON at any endpoint is answered, never thrown at", async () => {
    const scene = await Scene.fresh();
    const shaped = fc.record({
      id: fc.anything(),
      method: fc.constantFrom("pm_getPaymasterData", "pm_getPaymasterStubData"),
      params: fc.oneof(
        fc.tuple(
          fc.json().map((text) => JSON.parse(text) as unknown),
          fc.constant(ENTRY_POINT),
        ),
        fc.anything(),
      ),
      userOperation: fc.dictionary(fc.constantFrom("sender", "nonce", "callData", "factory"), fc.jsonValue()),
      chainId: fc.jsonValue(),
    });
    const body = fc.oneof(
      fc.json(),
      shaped.map((value) => JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? 0 : v))),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("/erc7677", "/alchemy"), body, async (path, text) => {
        expect((await scene.post(path, text)).status).toBe(400);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});

describe("the configuration", () => {
  const complete = { CHAIN_ID: "1", RPC_URL: "https://rpc.test", TOKEN: "t" };

  it("needs little", () => {
    const config = readConfig(complete);
    expect(config).toMatchObject({
      paymaster: null,
      statsToken: null,
      pimlicoSecret: null,
      release: "unknown",
    });
    expect(config.policy).toMatchObject({ chainId: 1n, entryPoint: ENTRY_POINT });
  });

  it("reads lists, numbers and groups", () => {
    const config = readConfig({
      ...complete,
      ENTRY_POINT: STRANGER,
      RPC_URL: "http://a.test , http://b.test,",
      CLUSTERS: CLUSTER.toLowerCase(),
      GROUPS: "messages",
      MAX_FEE_PER_GAS: "5",
      GLOBAL_DAILY_OPS: "7",
      GLOBAL_DAILY_WEI: "0x10",
    });
    expect(config.rpcUrls).toEqual(["http://a.test", "http://b.test"]);
    expect(config.caps.global).toEqual({ ops: 7, wei: 16n });
    expect(config.policy).toMatchObject({
      entryPoint: STRANGER,
      clusters: new Set([CLUSTER]),
      groups: new Set(["messages"]),
      prices: { feePerGas: 5n },
    });
  });

  it.each<[Partial<Env>, string]>([
    [{ CHAIN_ID: "" }, "CHAIN_ID is not set"],
    [{ CHAIN_ID: "base" }, "CHAIN_ID: not a quantity"],
    [{ RPC_URL: "rpc.test" }, "RPC_URL: not http(s) URLs"],
    [{ TOKEN: "" }, "TOKEN is not set"],
    [{ CLUSTERS: "0x12" }, "CLUSTERS: not an address"],
    [{ GROUPS: "keys,everything" }, "GROUPS: everything is none of register-dstack"],
    [{ SENDER_DAILY_OPS: "0x100000000" }, "SENDER_DAILY_OPS: more than 32 bits"],
    [{ PAYMASTER }, "PAYMASTER_SIGNER_KEY is not set"],
    [{ PAYMASTER, PAYMASTER_SIGNER_KEY: "0x12" }, "PAYMASTER_SIGNER_KEY: not 32 bytes"],
    [{ PAYMASTER: `0x${"0".repeat(40)}`, PAYMASTER_SIGNER_KEY: SIGNER_KEY }, "PAYMASTER: the zero address"],
  ])("refuses %o", (changes, message) => {
    expect(() => readConfig({ ...complete, ...changes })).toThrow(ConfigError);
    expect(() => readConfig({ ...complete, ...changes })).toThrow(message);
  });

  it("that is wrong is answered with 500 and not shown to strangers", async () => {
    const answer = await (await Scene.fresh({ PAYMASTER_SIGNER_KEY: "0x1234" })).get("/healthz");
    expect(answer).toMatchObject({ status: 500, text: '{"error":"misconfigured"}' });
  });
});

it("answers 500 without the cause when something of ours breaks", async () => {
  const scene = await Scene.fresh();
  Object.defineProperty(scene.env, "PROVENANCE", { value: null });
  expect(await scene.sign(operation(execute(publishWgKey)))).toMatchObject({
    status: 500,
    text: '{"error":"internal"}',
  });
});
