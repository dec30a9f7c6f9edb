import { entryPoint07Address } from "viem/account-abstraction";
import { BadRequest } from "./errors";
import { readAddress, readBytes, readQuantity } from "./parse";
import type { Address, Hex } from "viem";

/** What the platform hands over: bindings, variables and secrets, any of which may be missing. */
export interface Env {
  CHAIN_ID?: string;
  ENTRY_POINT?: string;
  CLUSTERS?: string;
  PAYMASTER?: string;
  PAYMASTER_SIGNER_KEY?: string;
  TOKEN?: string;
}

export interface PaymasterConfig {
  address: Address;
  signerKey: Hex;
}

/** What the Worker needs, every value checked. */
export interface Config {
  chainId: bigint;
  entryPoint: Address;
  clusters: ReadonlySet<Address>;
  paymaster: PaymasterConfig | null;
  token: string;
}

/** A variable is missing or malformed; the message names it and never shows its value. */
export class ConfigError extends Error {}

function required(env: Env, name: keyof Env): string {
  const value = env[name];
  if (!value) throw new ConfigError(`${name} is not set`);
  return value;
}

function list(value: string | undefined): string[] {
  return (value ?? "").split(",").map((item) => item.trim()).filter((item) => item !== "");
}

function addresses(env: Env, name: keyof Env): ReadonlySet<Address> {
  return new Set(list(env[name]).map((item) => readAddress(item, name)));
}

function readPaymaster(env: Env): PaymasterConfig | null {
  if (!env.PAYMASTER) return null;
  const signerKey = readBytes(required(env, "PAYMASTER_SIGNER_KEY"), "PAYMASTER_SIGNER_KEY");
  if (signerKey.length !== 66) throw new ConfigError("PAYMASTER_SIGNER_KEY: not 32 bytes");
  return { address: readAddress(env.PAYMASTER, "PAYMASTER"), signerKey };
}

function readVariables(env: Env): Config {
  return {
    chainId: readQuantity(required(env, "CHAIN_ID"), "CHAIN_ID", 64),
    entryPoint: env.ENTRY_POINT ? readAddress(env.ENTRY_POINT, "ENTRY_POINT") : entryPoint07Address,
    clusters: addresses(env, "CLUSTERS"),
    paymaster: readPaymaster(env),
    token: required(env, "TOKEN"),
  };
}

/** Throws a ConfigError naming the first variable that is missing or malformed. */
export function readConfig(env: Env): Config {
  try {
    return readVariables(env);
  } catch (error) {
    if (error instanceof BadRequest) throw new ConfigError(error.message);
    throw error;
  }
}
