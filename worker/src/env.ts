import { isAddressEqual, zeroAddress, type Address, type Hex } from "viem";
import { BadRequest, ConfigError } from "./errors";
import type { Caps, Ledger } from "./ledger";
import { readAddress, readBytes, readQuantity } from "./parse";
import { GROUPS, type Group } from "./policy/functions";
import type { Policy } from "./policy/policy";

/** EntryPoint v0.7, at the same address on every chain. */
export const ENTRY_POINT_07: Address = "0x0000000071727De22E5E9d8BAf0edAc6f37da032";

interface Variables {
  CHAIN_ID?: string;
  RPC_URL?: string;
  TOKEN?: string;
  ENTRY_POINT?: string;
  CLUSTER_FACTORIES?: string;
  CLUSTERS?: string;
  MEMBER_FACTORIES?: string;
  SENDERS?: string;
  GROUPS?: string;
  MAX_FEE_PER_GAS?: string;
  MAX_PRE_VERIFICATION_GAS?: string;
  SENDER_DAILY_OPS?: string;
  SENDER_DAILY_WEI?: string;
  CLUSTER_DAILY_OPS?: string;
  CLUSTER_DAILY_WEI?: string;
  GLOBAL_DAILY_OPS?: string;
  GLOBAL_DAILY_WEI?: string;
  PAYMASTER?: string;
  PAYMASTER_SIGNER_KEY?: string;
  PIMLICO_WEBHOOK_SECRET?: string;
  STATS_TOKEN?: string;
  RELEASE?: string;
}

/** What the platform hands over: bindings, and variables and secrets of which any may be missing. */
export interface Env extends Variables {
  LEDGER: DurableObjectNamespace<Ledger>;
  PROVENANCE: KVNamespace;
}

export interface PaymasterConfig {
  address: Address;
  signerKey: Hex;
}

/** What the Worker needs, every value checked. A null is a service that this operator does not offer. */
export interface Config {
  policy: Policy;
  caps: Caps;
  clusterFactories: readonly Address[];
  memberFactories: readonly Address[];
  rpcUrls: readonly string[];
  token: string;
  statsToken: string | null;
  pimlicoSecret: string | null;
  paymaster: PaymasterConfig | null;
  /** Names the deployed version, so that a stale one can be told. */
  release: string;
}

function required(env: Variables, name: keyof Variables): string {
  const value = env[name];
  if (!value) throw new ConfigError(`${name} is not set`);
  return value;
}

function list(value: string | undefined): string[] {
  return (value ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function addresses(env: Variables, name: keyof Variables): Address[] {
  return list(env[name]).map((item) => readAddress(item, name));
}

function quantity(env: Variables, name: keyof Variables, fallback: bigint): bigint {
  return env[name] ? readQuantity(env[name], name, 128) : fallback;
}

function count(env: Variables, name: keyof Variables, fallback: number): number {
  return Number(env[name] ? readQuantity(env[name], name, 32) : fallback);
}

function urls(env: Variables): string[] {
  const items = list(required(env, "RPC_URL"));
  const areUrls = items.every((item) => /^https?:\/\/[^/\s]+/.test(item));
  if (!areUrls) throw new ConfigError("RPC_URL: not http(s) URLs");
  return items;
}

function groups(env: Variables): ReadonlySet<Group> {
  if (!env.GROUPS) return new Set(GROUPS);
  return new Set(
    list(env.GROUPS).map((item) => {
      const group = GROUPS.find((known) => known === item);
      if (!group) throw new ConfigError(`GROUPS: ${item} is none of ${GROUPS.join(", ")}`);
      return group;
    }),
  );
}

function paymaster(env: Variables): PaymasterConfig | null {
  if (!env.PAYMASTER) return null;
  const signerKey = readBytes(required(env, "PAYMASTER_SIGNER_KEY"), "PAYMASTER_SIGNER_KEY");
  if (signerKey.length !== 66) throw new ConfigError("PAYMASTER_SIGNER_KEY: not 32 bytes");
  const address = readAddress(env.PAYMASTER, "PAYMASTER");
  if (isAddressEqual(address, zeroAddress)) throw new ConfigError("PAYMASTER: the zero address");
  return { address, signerKey };
}

function policy(env: Variables): Policy {
  return {
    chainId: readQuantity(required(env, "CHAIN_ID"), "CHAIN_ID", 64),
    entryPoint: env.ENTRY_POINT ? readAddress(env.ENTRY_POINT, "ENTRY_POINT") : ENTRY_POINT_07,
    clusters: new Set(addresses(env, "CLUSTERS")),
    senders: new Set(addresses(env, "SENDERS")),
    groups: groups(env),
    prices: {
      feePerGas: quantity(env, "MAX_FEE_PER_GAS", 20_000_000_000n),
      preVerificationGas: quantity(env, "MAX_PRE_VERIFICATION_GAS", 500_000n),
    },
  };
}

const MILLIETHER = 10n ** 15n;

function caps(env: Variables): Caps {
  return {
    sender: {
      ops: count(env, "SENDER_DAILY_OPS", 200),
      wei: quantity(env, "SENDER_DAILY_WEI", 100n * MILLIETHER),
    },
    cluster: {
      ops: count(env, "CLUSTER_DAILY_OPS", 2_000),
      wei: quantity(env, "CLUSTER_DAILY_WEI", 500n * MILLIETHER),
    },
    global: {
      ops: count(env, "GLOBAL_DAILY_OPS", 10_000),
      wei: quantity(env, "GLOBAL_DAILY_WEI", 1_000n * MILLIETHER),
    },
  };
}

function checkVariables(env: Variables): Config {
  return {
    policy: policy(env),
    caps: caps(env),
    clusterFactories: addresses(env, "CLUSTER_FACTORIES"),
    memberFactories: addresses(env, "MEMBER_FACTORIES"),
    rpcUrls: urls(env),
    token: required(env, "TOKEN"),
    statsToken: env.STATS_TOKEN || null,
    pimlicoSecret: env.PIMLICO_WEBHOOK_SECRET || null,
    paymaster: paymaster(env),
    release: env.RELEASE || "unknown",
  };
}

/** Throws a ConfigError naming the first variable that is missing or malformed. */
export function readConfig(env: Variables): Config {
  try {
    return checkVariables(env);
  } catch (error) {
    if (error instanceof BadRequest) throw new ConfigError(error.message);
    throw error;
  }
}
