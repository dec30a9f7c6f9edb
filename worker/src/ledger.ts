/** Who spent how much today: one Durable Object, so that the daily caps are exact. */
import { DurableObject } from "cloudflare:workers";
import type { Address } from "viem";
import type { Env } from "./env";
import type { Reason } from "./policy/reasons";

export interface Amount {
  ops: number;
  wei: bigint;
}

/** What may be spent per UTC day. */
export interface Caps {
  sender: Amount;
  cluster: Amount;
  global: Amount;
}

/**
 * One approved operation. Its sender and nonce name it: only one operation with both can ever be included.
 */
export interface Spend {
  sender: Address;
  nonce: bigint;
  cluster: Address;
  /** The most it can cost. */
  wei: bigint;
}

export interface DayReport {
  /** Days since 1970 in UTC. */
  day: number;
  total: Amount;
  /** The dearest first, at most REPORT_ROWS. */
  clusters: ({ address: string } & Amount)[];
  senders: ({ address: string } & Amount)[];
  denials: Record<string, number>;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const REPORT_ROWS = 100;

/** How long an operation is remembered, so that sending it again after midnight does not count again. */
const DAYS_KEPT = 2;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS spend (sender TEXT, nonce TEXT, day INTEGER, cluster TEXT, ops INTEGER, wei TEXT,
    PRIMARY KEY (sender, nonce, day)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS denial (day INTEGER, reason TEXT, count INTEGER,
    PRIMARY KEY (day, reason)) WITHOUT ROWID;`;

interface SpendRow extends Record<string, SqlStorageValue> {
  sender: string;
  day: number;
  cluster: string;
  ops: number;
  wei: string;
}

/** The sums over one day's rows, kept in memory. */
class Totals {
  readonly day: number;
  readonly #sums = new Map<string, Amount>();

  constructor(day: number, rows: Iterable<SpendRow>) {
    this.day = day;
    for (const row of rows) this.add(row.sender, row.cluster, { ops: row.ops, wei: BigInt(row.wei) });
  }

  static key(scope: keyof Caps, address = ""): string {
    return `${scope}/${address}`;
  }

  of(key: string): Amount {
    return this.#sums.get(key) ?? { ops: 0, wei: 0n };
  }

  add(sender: string, cluster: string, extra: Amount): void {
    const keys = [Totals.key("sender", sender), Totals.key("cluster", cluster), Totals.key("global")];
    for (const key of keys) {
      const { ops, wei } = this.of(key);
      this.#sums.set(key, { ops: ops + extra.ops, wei: wei + extra.wei });
    }
  }

  exceeds(key: string, extra: Amount, cap: Amount): boolean {
    const { ops, wei } = this.of(key);
    return ops + extra.ops > cap.ops || wei + extra.wei > cap.wei;
  }

  top(scope: keyof Caps): ({ address: string } & Amount)[] {
    const prefix = Totals.key(scope);
    return [...this.#sums]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, amount]) => ({ address: key.slice(prefix.length), ...amount }))
      .sort((a, b) => (a.wei < b.wei ? 1 : -1))
      .slice(0, REPORT_ROWS);
  }
}

export class Ledger extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  #totals: Totals | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(SCHEMA);
  }

  /**
   * Counts an operation unless that exceeds a cap, and returns the cap's reason then. The same operation
   * asked for again counts once, at its highest price. Writes one row at most.
   */
  charge(spend: Spend, caps: Caps, nowMs: number): Reason | null {
    const totals = this.#totalsAt(nowMs);
    const { sender } = spend;
    const nonce = spend.nonce.toString();
    const rows = this.#sql
      .exec<SpendRow>("SELECT * FROM spend WHERE sender = ? AND nonce = ?", sender, nonce)
      .toArray();
    // Several operations under one nonce are one for the ledger: it stays with the cluster of the first.
    const cluster = rows[0]?.cluster ?? spend.cluster;
    const counted = rows.reduce((sum, row) => sum + BigInt(row.wei), 0n);
    const extra = { ops: rows.length === 0 ? 1 : 0, wei: spend.wei > counted ? spend.wei - counted : 0n };
    if (extra.ops === 0 && extra.wei === 0n) return null;

    const reason = this.#exceededCap(totals, sender, cluster, extra, caps);
    if (reason !== null) {
      this.deny(reason, nowMs);
      return reason;
    }
    const today = rows.find((row) => row.day === totals.day);
    const ops = (today?.ops ?? 0) + extra.ops;
    const wei = BigInt(today?.wei ?? 0) + extra.wei;
    this.#sql.exec(
      "INSERT OR REPLACE INTO spend (sender, nonce, day, cluster, ops, wei) VALUES (?, ?, ?, ?, ?, ?)",
      ...[sender, nonce, totals.day, cluster, ops, wei.toString()],
    );
    totals.add(sender, cluster, extra);
    return null;
  }

  /** Counts a denial. */
  deny(reason: Reason, nowMs: number): void {
    this.#sql.exec(
      "INSERT INTO denial (day, reason, count) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
      ...[this.#totalsAt(nowMs).day, reason],
    );
  }

  report(nowMs: number): DayReport {
    const totals = this.#totalsAt(nowMs);
    const denials = this.#sql
      .exec<{ reason: string; count: number }>("SELECT reason, count FROM denial WHERE day = ?", totals.day)
      .toArray();
    return {
      day: totals.day,
      total: totals.of(Totals.key("global")),
      clusters: totals.top("cluster"),
      senders: totals.top("sender"),
      denials: Object.fromEntries(denials.map(({ reason, count }) => [reason, count])),
    };
  }

  #exceededCap(totals: Totals, sender: Address, cluster: string, extra: Amount, caps: Caps): Reason | null {
    if (totals.exceeds(Totals.key("sender", sender), extra, caps.sender)) return "sender_cap";
    if (totals.exceeds(Totals.key("cluster", cluster), extra, caps.cluster)) return "cluster_cap";
    if (totals.exceeds(Totals.key("global"), extra, caps.global)) return "global_cap";
    return null;
  }

  #totalsAt(nowMs: number): Totals {
    const day = Math.floor(nowMs / DAY_MS);
    if (this.#totals?.day !== day) {
      this.#sql.exec("DELETE FROM spend WHERE day <= ?", day - DAYS_KEPT);
      this.#sql.exec("DELETE FROM denial WHERE day <= ?", day - DAYS_KEPT);
      this.#totals = new Totals(day, this.#sql.exec<SpendRow>("SELECT * FROM spend WHERE day = ?", day));
    }
    return this.#totals;
  }
}
