import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { toHex } from "viem";
import { beforeEach, describe, expect, it } from "vitest";
import { Ledger, type Caps, type Spend } from "../src/ledger";
import type { Reason } from "../src/policy/reasons";
import { CLUSTER, MEMBER, STRANGER } from "./support/mesh";

const NOON = Date.UTC(2026, 0, 1, 12);
const NEXT_DAY = NOON + 24 * 60 * 60 * 1000;
const NONE = { ops: 1_000, wei: 10n ** 30n };
const NO_CAPS: Caps = { sender: NONE, cluster: NONE, global: NONE };

let ledger: DurableObjectStub<Ledger>;

beforeEach(() => {
  ledger = env.LEDGER.get(env.LEDGER.newUniqueId());
});

function spend(changes: Partial<Spend> = {}): Spend {
  return { sender: MEMBER, nonce: 0n, cluster: CLUSTER, wei: 100n, ...changes };
}

async function charge(
  changes: Partial<Spend> = {},
  caps: Partial<Caps> = {},
  now = NOON,
): Promise<Reason | null> {
  return ledger.charge(spend(changes), { ...NO_CAPS, ...caps }, now);
}

async function total(now = NOON): Promise<{ ops: number; wei: bigint }> {
  return (await ledger.report(now)).total;
}

describe("charge", () => {
  it("adds up per sender, per cluster and in all", async () => {
    await charge();
    await charge({ nonce: 1n });
    await charge({ sender: STRANGER, wei: 7n });
    expect(await ledger.report(NOON)).toMatchObject({
      total: { ops: 3, wei: 207n },
      clusters: [{ address: CLUSTER, ops: 3, wei: 207n }],
      senders: [
        { address: MEMBER, ops: 2, wei: 200n },
        { address: STRANGER, ops: 1, wei: 7n },
      ],
    });
  });

  it("counts an operation that comes again once, at its highest price", async () => {
    await charge();
    await charge();
    await charge({ wei: 112n });
    await charge({ wei: 90n });
    expect(await total()).toEqual({ ops: 1, wei: 112n });
  });

  it("counts an operation that comes again after midnight only by what it got dearer", async () => {
    await charge();
    expect(await charge({ wei: 130n }, {}, NEXT_DAY)).toBeNull();
    expect(await total(NEXT_DAY)).toEqual({ ops: 0, wei: 30n });
  });

  it.each<[Reason, keyof Caps]>([
    ["sender_cap", "sender"],
    ["cluster_cap", "cluster"],
    ["global_cap", "global"],
  ])("refuses with %s what exceeds it, and lets pass what reaches it", async (reason, scope) => {
    expect(await charge({}, { [scope]: { ops: 2, wei: 100n } })).toBeNull();
    expect(await charge({ nonce: 1n, wei: 1n }, { [scope]: { ops: 2, wei: 100n } })).toBe(reason);
    expect(await charge({ nonce: 1n, wei: 1n }, { [scope]: { ops: 1, wei: 200n } })).toBe(reason);
    expect(await charge({ nonce: 1n, wei: 1n }, { [scope]: { ops: 2, wei: 101n } })).toBeNull();
    expect(await total()).toEqual({ ops: 2, wei: 101n });
  });

  it("holds the cluster of the first against all operations under one nonce", async () => {
    await charge();
    await charge({ nonce: 1n, cluster: STRANGER });
    const caps = { cluster: { ops: 9, wei: 150n } };
    expect(await charge({ cluster: STRANGER, wei: 151n }, caps)).toBe("cluster_cap");
    expect(await charge({ cluster: STRANGER, wei: 150n }, caps)).toBeNull();
    expect((await ledger.report(NOON)).clusters).toMatchObject([
      { address: CLUSTER, wei: 150n },
      { wei: 100n },
    ]);
  });

  it("still agrees to an operation it has counted when the caps are full", async () => {
    await charge();
    expect(await charge({}, { sender: { ops: 0, wei: 0n } })).toBeNull();
    expect(await charge({ wei: 101n }, { sender: { ops: 1, wei: 100n } })).toBe("sender_cap");
  });

  it("starts anew each day", async () => {
    const caps = { sender: { ops: 1, wei: 100n } };
    expect(await charge({}, caps)).toBeNull();
    expect(await charge({ nonce: 1n }, caps)).toBe("sender_cap");
    expect(await charge({ nonce: 1n }, caps, NEXT_DAY)).toBeNull();
  });

  it("is exact when many come at once", async () => {
    const caps = { global: { ops: 20, wei: 10n ** 20n } };
    const all = Array.from({ length: 50 }, (_, nonce) => charge({ nonce: BigInt(nonce) }, caps));
    const answers = await Promise.all(all);
    expect(answers.filter((reason) => reason === null)).toHaveLength(20);
    expect(await total()).toEqual({ ops: 20, wei: 2_000n });
  });

  it("writes one row, and none for an operation that comes again", async () => {
    const written = (changes: Partial<Spend>): Promise<number> =>
      runInDurableObject(ledger, (instance: Ledger, state) => {
        const before = state.storage.sql.exec("SELECT total_changes() AS n").one().n as number;
        instance.charge(spend(changes), NO_CAPS, NOON);
        return (state.storage.sql.exec("SELECT total_changes() AS n").one().n as number) - before;
      });
    expect(await written({})).toBe(1);
    expect(await written({ nonce: 1n })).toBe(1);
    expect(await written({})).toBe(0);
  });
});

it("keeps what it counted when the object starts again, and forgets it after two days", async () => {
  await charge();
  const rows = (now: number): Promise<number> =>
    runInDurableObject(ledger, (_, state) => {
      const again = new Ledger(state, env);
      expect(again.report(now).total.wei).toBe(now === NOON ? 100n : 0n);
      return state.storage.sql.exec("SELECT * FROM spend").toArray().length;
    });
  expect(await rows(NOON)).toBe(1);
  expect(await rows(NEXT_DAY)).toBe(1);
  expect(await rows(NEXT_DAY + 24 * 60 * 60 * 1000)).toBe(0);
});

it("counts denials by reason and day", async () => {
  await ledger.deny("not_execute", NOON);
  await ledger.deny("not_execute", NOON);
  await charge({}, { global: { ops: 0, wei: 0n } });
  expect((await ledger.report(NOON)).denials).toEqual({ not_execute: 2, global_cap: 1 });
  expect((await ledger.report(NEXT_DAY)).denials).toEqual({});
});

it("reports the hundred dearest senders", async () => {
  await runInDurableObject(ledger, (instance: Ledger) => {
    for (let i = 0; i < 105; i++) {
      const sender = toHex(i, { size: 20 });
      instance.charge(spend({ sender, wei: BigInt(i) }), NO_CAPS, NOON);
    }
  });
  const { senders } = await ledger.report(NOON);
  expect(senders).toHaveLength(100);
  expect(senders[0]).toMatchObject({ wei: 104n });
});
