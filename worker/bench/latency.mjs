#!/usr/bin/env node
// How long the paymaster service takes to decide, from the caller's side:
//   node bench/latency.mjs URL TOKEN CHAIN_ID CLUSTER MEMBER [COUNT]
// Warm decisions sign operations of MEMBER, cold ones refuse senders that the Worker never heard of and has
// to ask the chain about, twice one after the other. COUNT of each; the default stays within a sender's daily
// cap. Prints milliseconds.
import { randomBytes } from "node:crypto";
import { encodeFunctionData, numberToHex, parseAbi } from "viem";

const [url, token, chainId, cluster, member, count = "150"] = process.argv.slice(2);
if (!member) {
  console.error("usage: latency.mjs URL TOKEN CHAIN_ID CLUSTER MEMBER [COUNT]");
  process.exit(1);
}

const abi = parseAbi(["function execute(address, uint256, bytes)", "function publishWgKey(bytes32)"]);
const inner = encodeFunctionData({ abi, functionName: "publishWgKey", args: [`0x${"11".repeat(32)}`] });
const callData = encodeFunctionData({ abi, functionName: "execute", args: [cluster, 0n, inner] });

// Milliseconds until the answer to an operation of this sender.
async function ask(sender, nonce, expected) {
  const op = {
    sender,
    nonce: numberToHex(nonce),
    callData,
    callGasLimit: "0x1",
    verificationGasLimit: "0x1",
    preVerificationGas: "0x1",
    maxFeePerGas: "0x1",
    maxPriorityFeePerGas: "0x1",
  };
  const params = [op, "0x0000000071727De22E5E9d8BAf0edAc6f37da032", numberToHex(BigInt(chainId)), { token }];
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "pm_getPaymasterData", params });
  const started = performance.now();
  const answer = await (await fetch(url, { method: "POST", body })).json();
  const took = performance.now() - started;
  const outcome = answer.error?.data?.reason ?? (answer.result ? "signed" : answer.error?.message);
  if (outcome !== expected) throw new Error(`expected ${expected}, got ${outcome}`);
  return took;
}

async function measure(name, once) {
  const times = [];
  for (let i = 0; i < Number(count); i++) times.push(await once(i));
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.floor(share * (times.length - 1))].toFixed(1);
  console.log(`decision_${name}_p50_ms ${at(0.5)}\ndecision_${name}_p99_ms ${at(0.99)}`);
}

const from = BigInt(Date.now()) << 64n;
await ask(member, from, "signed");
await measure("warm", (i) => ask(member, from + BigInt(i + 1), "signed"));
await measure("cold", () => ask(`0x${randomBytes(20).toString("hex")}`, 0n, "sender_unknown"));
