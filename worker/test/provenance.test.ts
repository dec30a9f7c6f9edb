import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { callChain } from "../src/chain";
import { readConfig } from "../src/env";
import { ChainUnavailable } from "../src/errors";
import { Provenance } from "../src/provenance";
import { CLUSTER, KMS_ROOT, MEMBER, MEMBER_FACTORY, OPERATOR, STRANGER } from "./support/mesh";
import { Scene } from "./support/worker";

const OTHER_FACTORY = "0x00000000000000000000000000000000000000f2";

let scene: Scene;

beforeEach(async () => {
  scene = await Scene.fresh();
});

/** Asks as a request does, deferred work done. */
async function ask<T>(question: (facts: Provenance) => Promise<T>, changes = {}): Promise<T> {
  const work: Promise<unknown>[] = [];
  const config = readConfig({ ...scene.env, ...changes });
  const answer = await question(new Provenance(config, env.PROVENANCE, (promise) => work.push(promise)));
  await Promise.all(work);
  return answer;
}

describe("a question", () => {
  type Question = (facts: Provenance) => Promise<boolean>;

  it.each<[string, number, Question, Question]>([
    ["cluster", 600, (facts) => facts.isCluster(CLUSTER), (facts) => facts.isCluster(STRANGER)],
    [
      "member contract",
      600,
      (facts) => facts.isMemberContract(MEMBER),
      (facts) => facts.isMemberContract(STRANGER),
    ],
    [
      "KMS root",
      60,
      (facts) => facts.isKmsRoot(CLUSTER, KMS_ROOT),
      (facts) => facts.isKmsRoot(CLUSTER, STRANGER),
    ],
    [
      "operator",
      60,
      (facts) => facts.isOperator(CLUSTER, OPERATOR),
      (facts) => facts.isOperator(STRANGER, OPERATOR),
    ],
    [
      "app",
      60,
      (facts) => facts.isAllowedApp(CLUSTER, STRANGER),
      (facts) => facts.isAllowedApp(CLUSTER, MEMBER),
    ],
  ])("about a %s is asked once, remembered a day when yes and %d s when no", async (_, seconds, yes, no) => {
    const puts = vi.spyOn(env.PROVENANCE, "put");
    scene.chain.allowApp(CLUSTER, STRANGER);
    for (let i = 0; i < 3; i++) {
      expect(await ask(yes)).toBe(true);
      expect(await ask(no)).toBe(false);
    }
    expect(scene.chain.calls).toBe(2);
    expect(puts.mock.calls.map(([, , options]) => options)).toEqual([
      { expirationTtl: 86_400 },
      { expirationTtl: seconds },
    ]);
  });

  it("costs nothing when no factory is recognised", async () => {
    expect(await ask((facts) => facts.isCluster(CLUSTER), { CLUSTER_FACTORIES: "" })).toBe(false);
    expect(scene.chain.calls).toBe(0);
  });

  it("is not asked again of a second factory once the first said yes", async () => {
    const changes = { MEMBER_FACTORIES: `${OTHER_FACTORY},${MEMBER_FACTORY}` };
    expect(await ask((facts) => facts.isMemberContract(MEMBER))).toBe(true);
    expect(await ask((facts) => facts.isMemberContract(MEMBER), changes)).toBe(true);
    expect(scene.chain.calls).toBe(1);
  });

  it("is asked of all factories that have not said no", async () => {
    expect(await ask((facts) => facts.isMemberContract(MEMBER), { MEMBER_FACTORIES: OTHER_FACTORY })).toBe(
      false,
    );
    const changes = { MEMBER_FACTORIES: `${OTHER_FACTORY},${MEMBER_FACTORY}` };
    expect(await ask((facts) => facts.isMemberContract(MEMBER), changes)).toBe(true);
    expect(scene.chain.calls).toBe(2);
  });

  it("is not remembered across chains", async () => {
    await ask((facts) => facts.isCluster(CLUSTER));
    await ask((facts) => facts.isCluster(CLUSTER), { CHAIN_ID: "1" });
    expect(scene.chain.calls).toBe(2);
  });
});

describe("callChain", () => {
  const callAll = (...urls: string[]): Promise<string> => callChain(urls, CLUSTER, "0x1234");

  it("goes on to the next RPC when one fails", async () => {
    expect(await callAll("http://dead.test", "http://rpc.test")).toMatch(/^0x0{64}$/);
    expect(scene.chain.calls).toBe(2);
  });

  it.each<[string, () => Response]>([
    ["an HTTP error page", () => new Response("<html>", { status: 502 })],
    ["no body", () => new Response(null)],
    ["no object", () => Response.json([])],
    ["no result", () => Response.json({ id: 1 })],
    ["a result that is no hex", () => Response.json({ result: "0xzz" })],
    ["an error that is no object", () => Response.json({ error: "no" })],
    ["a rate limit", () => Response.json({ error: { code: -32005, message: "limit exceeded" } })],
    ["more than a body may have", () => new Response(" ".repeat(70_000))],
  ])("takes %s for no answer", async (_, broken) => {
    scene.chain.broken = broken;
    await expect(callAll("http://rpc.test")).rejects.toThrow(ChainUnavailable);
  });

  it("takes a revert for an answer", async () => {
    scene.chain.broken = () => Response.json({ error: { code: 3, message: "execution reverted" } });
    expect(await callAll("http://rpc.test")).toBe("0x");
    scene.chain.broken = () => Response.json({ error: { code: -32000, message: "execution reverted" } });
    expect(await callAll("http://rpc.test")).toBe("0x");
  });

  it("does not write an URL's secret to the log", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    await expect(callAll("http://dead.test/v2/secret")).rejects.toThrow(ChainUnavailable);
    expect(JSON.stringify(warned.mock.calls)).not.toContain("secret");
  });
});
