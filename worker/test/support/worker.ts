/** The whole Worker on a chain that the test makes up; storage is fresh for each. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { encodeFunctionData, type Address, type Hex } from "viem";
import { vi } from "vitest";
import { clusterAbi, clusterFactoryAbi, memberFactoryAbi } from "../../src/abi";
import type { Env } from "../../src/env";
import worker from "../../src/index";
import {
  CHAIN_ID,
  CLUSTER,
  CLUSTER_FACTORY,
  ENTRY_POINT,
  KMS_ROOT,
  MEMBER,
  MEMBER_FACTORY,
  OPERATOR,
} from "./mesh";

export const TOKEN = "the-token";
export const STATS_TOKEN = "the-stats-token";
export const SIGNER_KEY: Hex = `0x${"5e".repeat(32)}`;
export const PAYMASTER: Address = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512";

const isCluster = (cluster: Address): Hex =>
  encodeFunctionData({ abi: clusterFactoryAbi, functionName: "isDeployedCluster", args: [cluster] });
const isMember = (member: Address): Hex =>
  encodeFunctionData({ abi: memberFactoryAbi, functionName: "isOurMember", args: [member] });
const view = (functionName: "allowedAppIds" | "allowedKmsRoots" | "isOperator", address: Address): Hex =>
  encodeFunctionData({ abi: clusterAbi, functionName, args: [address] });

/** Answers `eth_call` in place of an RPC. */
export class FakeChain {
  calls = 0;
  /** What an RPC answers instead; null for an answer that fits the call. */
  broken: (() => Response) | null = null;
  readonly #yes = new Set<string>();

  constructor() {
    this.allow(CLUSTER_FACTORY, isCluster(CLUSTER));
    this.allow(MEMBER_FACTORY, isMember(MEMBER));
    this.allow(CLUSTER, view("allowedKmsRoots", KMS_ROOT));
    this.allow(CLUSTER, view("isOperator", OPERATOR));
    vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => this.#answer(String(url), init));
  }

  allow(contract: Address, data: Hex): void {
    this.#yes.add(`${contract}/${data}`);
  }

  allowApp(cluster: Address, app: Address): void {
    this.allow(cluster, view("allowedAppIds", app));
  }

  #answer(url: string, init?: RequestInit): Response {
    this.calls += 1;
    if (url.startsWith("http://dead.")) throw new TypeError("network connection lost");
    if (this.broken) return this.broken();
    const { id, params } = JSON.parse(String(init?.body)) as {
      id: number;
      params: [{ to: Address; data: Hex }];
    };
    const [{ to, data }] = params;
    const bit = this.#yes.has(`${to}/${data}`) ? "1" : "0";
    return Response.json({ jsonrpc: "2.0", id, result: `0x${bit.padStart(64, "0")}` });
  }
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  json: unknown;
}

let scenes = 0;

export class Scene {
  readonly chain = new FakeChain();
  readonly env: Env;

  constructor(changes: Partial<Env> = {}) {
    scenes += 1;
    const name = `${String(Math.random())}/${scenes}`;
    this.env = {
      CHAIN_ID: CHAIN_ID.toString(),
      RPC_URL: "http://rpc.test",
      TOKEN,
      STATS_TOKEN,
      CLUSTER_FACTORIES: CLUSTER_FACTORY,
      MEMBER_FACTORIES: MEMBER_FACTORY,
      PAYMASTER,
      PAYMASTER_SIGNER_KEY: SIGNER_KEY,
      ...changes,
      PROVENANCE: env.PROVENANCE,
      LEDGER: new Proxy(env.LEDGER, {
        get: (ledger, property) =>
          property === "idFromName"
            ? () => ledger.idFromName(name)
            : () => ledger.get(ledger.idFromName(name)),
      }),
    };
  }

  static async fresh(changes: Partial<Env> = {}): Promise<Scene> {
    const { keys } = await env.PROVENANCE.list();
    await Promise.all(keys.map(({ name }) => env.PROVENANCE.delete(name)));
    return new Scene(changes);
  }

  async fetch(path: string, init?: RequestInit): Promise<Answer> {
    const ctx = createExecutionContext();
    const request = new Request(`https://worker.test${path}`, init) as Request<
      unknown,
      IncomingRequestCfProperties
    >;
    const response = await worker.fetch(request, this.env, ctx);
    const text = await response.text();
    await waitOnExecutionContext(ctx);
    const isJson = response.headers.get("content-type")?.includes("json");
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : null,
    };
  }

  get(path: string, token?: string): Promise<Answer> {
    return this.fetch(path, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.fetch(path, {
      method: "POST",
      headers,
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  }

  /**
   * Calls the paymaster service with the right token, EntryPoint and chain, unless `changes` says otherwise.
   */
  async rpc(
    method: string,
    op: unknown,
    changes: { context?: unknown; entryPoint?: unknown; chainId?: unknown } = {},
  ): Promise<Answer> {
    const { context = { token: TOKEN }, entryPoint = ENTRY_POINT, chainId = "0x2105" } = changes;
    return this.post("/erc7677", {
      jsonrpc: "2.0",
      id: 7,
      method,
      params: [op, entryPoint, chainId, context],
    });
  }

  sign(op: unknown, changes = {}): Promise<Answer> {
    return this.rpc("pm_getPaymasterData", op, changes);
  }
}
