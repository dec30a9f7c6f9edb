#!/usr/bin/env node
// How long the paymaster service takes to decide, from the caller's side:
//   node bench/latency.mjs URL TOKEN CHAIN_ID CLUSTER MEMBER [COUNT]
// Warm decisions sign operations of MEMBER, cold ones refuse senders that the Worker never heard of and has
// to ask the chain about, twice one after the other. Between them `GET /healthz` tells what an answer without any
// decision takes. COUNT of each; the default stays within a sender's daily cap. Prints milliseconds, and ratios of
// medians to that.
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

async function askHealth() {
  const started = performance.now();
  const { ok } = await (await fetch(new URL("/healthz", url))).json();
  if (!ok) throw new Error("healthz does not say ok");
  return performance.now() - started;
}

const QUESTIONS = {
  healthz: askHealth,
  warm: (i) => ask(member, from + BigInt(i + 1), "signed"),
  cold: () => ask(`0x${randomBytes(20).toString("hex")}`, 0n, "sender_unknown"),
};

const from = BigInt(Date.now()) << 64n;
await ask(member, from, "signed");
const times = { healthz: [], warm: [], cold: [] };
// In turn, so that whatever else the machine does is the same for all.
for (let i = 0; i < Number(count); i++) {
  for (const [name, question] of Object.entries(QUESTIONS)) times[name].push(await question(i));
}
const at = (name, share) => times[name].sort((a, b) => a - b)[Math.floor(share * (times[name].length - 1))];
for (const name of Object.keys(QUESTIONS)) {
  console.log(`decision_${name}_p50_ms ${at(name, 0.5).toFixed(1)}`);
  console.log(`decision_${name}_p99_ms ${at(name, 0.99).toFixed(1)}`);
}
for (const name of ["warm", "cold"]) {
  console.log(`decision_${name}_vs_healthz ${(at(name, 0.5) / at("healthz", 0.5)).toFixed(2)}`);
}
