#!/usr/bin/env node
// Strangers who have the token ask for many registrations, each under an address of its own:
//   node bench/flood.mjs URL TOKEN CHAIN_ID CLUSTER [COUNT]
// Every one has to be denied. Prints how many were, and how long it took.
import { randomBytes } from "node:crypto";
import { encodeFunctionData, numberToHex, parseAbi } from "viem";

const PARALLEL = 25;

const [url, token, chainId, cluster, count = "1000"] = process.argv.slice(2);
if (!cluster) {
  console.error("usage: flood.mjs URL TOKEN CHAIN_ID CLUSTER [COUNT]");
  process.exit(1);
}

const abi = parseAbi([
  "struct DstackProof { bytes32 codeId; bytes32 messageHash; bytes messageSignature; bytes appSignature;" +
    " bytes kmsSignature; bytes derivedCompressedPubkey; bytes appCompressedPubkey; string purpose; }",
  "function dstack_register(DstackProof proof, address member, bytes32 x, bytes32 wg, bytes32 ed25519)",
  "function execute(address target, uint256 value, bytes data)",
]);

const random = (bytes) => `0x${randomBytes(bytes).toString("hex")}`;

function registration() {
  const sender = random(20);
  const proof = {
    codeId: `${sender}${"00".repeat(12)}`,
    messageHash: random(32),
    messageSignature: random(65),
    appSignature: random(65),
    kmsSignature: random(65),
    derivedCompressedPubkey: random(33),
    appCompressedPubkey: random(33),
    purpose: "attestmesh.binding.v1",
  };
  const args = [proof, sender, random(32), random(32), random(32)];
  const inner = encodeFunctionData({ abi, functionName: "dstack_register", args });
  const callData = encodeFunctionData({ abi, functionName: "execute", args: [cluster, 0n, inner] });
  return { sender, nonce: "0x0", callData };
}

async function isDenied() {
  const entryPoint = "0x0000000071727De22E5E9d8BAf0edAc6f37da032";
  const params = [registration(), entryPoint, numberToHex(BigInt(chainId)), { token }];
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "pm_getPaymasterData", params });
  const answer = await (await fetch(url, { method: "POST", body })).json();
  return answer.error?.data?.reason !== undefined;
}

let asked = 0;
let denied = 0;
const started = performance.now();
async function ask() {
  while (asked++ < Number(count)) {
    if (await isDenied()) denied++;
  }
}
await Promise.all(Array.from({ length: PARALLEL }, ask));
console.log(`flood_denied ${denied}\nflood_seconds ${((performance.now() - started) / 1000).toFixed(1)}`);
process.exit(denied === Number(count) ? 0 : 1);
