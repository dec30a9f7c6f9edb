/** Reading the chain by `eth_call`. */
import { isHex, type Address, type Hex } from "viem";
import { ChainUnavailable } from "./errors";
import { parseJson, readBody } from "./http";
import { readObject } from "./parse";

const TIMEOUT_MS = 3_000;

/** The answer of a view, or "0x" when it reverts or nobody lives there. */
async function callOne(url: string, to: Address, data: Hex): Promise<Hex> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_call", params: [{ to, data }, "latest"] }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const json = readObject(parseJson(await readBody(response)), "answer");
  if (json.error !== undefined) {
    const error = readObject(json.error, "error");
    if (error.code === 3 || /revert/i.test(String(error.message))) return "0x";
    throw new Error(`RPC error ${String(error.code)}`);
  }
  if (!isHex(json.result)) throw new Error("RPC answer without a result");
  return json.result;
}

/** Asks one RPC after the other; throws ChainUnavailable when none answers. */
export async function callChain(urls: readonly string[], to: Address, data: Hex): Promise<Hex> {
  for (const url of urls) {
    try {
      return await callOne(url, to, data);
    } catch (error) {
      // The URL may carry an API key: its host says enough.
      const { host } = new URL(url);
      console.warn(`eth_call at ${host}: ${String(error).replaceAll(url, host)}`);
    }
  }
  throw new ChainUnavailable("no RPC answers");
}
