#!/usr/bin/env node
// Strangers who have the token ask for many registrations:
//   node bench/flood.mjs URL TOKEN CHAIN_ID CLUSTER COUNT [MEMBER...]
// Of every three, one comes from an address that nobody knows, one from a member contract with a proof of random
// bytes, and one from a member contract with a proof of which nothing is wrong but that nobody allows its KMS root;
// without a MEMBER, all come from nowhere. None may be paid for. Prints why not, and how long it took.
import { randomBytes } from "node:crypto";
import { secp256k1 } from "@noble/curves/secp256k1";
import {
  concat,
  encodeAbiParameters,
  encodeFunctionData,
  hashMessage,
  keccak256,
  numberToHex,
  pad,
  parseAbi,
  stringToHex,
  toHex,
} from "viem";

const PARALLEL = 25;
const PURPOSE = "attestmesh.binding.v1";
const ENTRY_POINT = "0x0000000071727De22E5E9d8BAf0edAc6f37da032";

const [url, token, chainId, cluster, count, ...members] = process.argv.slice(2);
if (!count) {
  console.error("usage: flood.mjs URL TOKEN CHAIN_ID CLUSTER COUNT [MEMBER...]");
  process.exit(1);
}

const abi = parseAbi([
  "struct DstackProof { bytes32 codeId; bytes32 messageHash; bytes messageSignature; bytes appSignature;" +
    " bytes kmsSignature; bytes derivedCompressedPubkey; bytes appCompressedPubkey; string purpose; }",
  "function dstack_register(DstackProof proof, address member, bytes32 x, bytes32 wg, bytes32 ed25519)",
  "function execute(address target, uint256 value, bytes data)",
]);

const random = (bytes) => `0x${randomBytes(bytes).toString("hex")}`;

function randomProof() {
  return {
    messageHash: random(32),
    messageSignature: random(65),
    appSignature: random(65),
    kmsSignature: random(65),
    derivedCompressedPubkey: random(33),
    appCompressedPubkey: random(33),
  };
}

function sign(hash, key) {
  const signature = secp256k1.sign(hash.slice(2), key);
  return concat([`0x${signature.toCompactHex()}`, toHex(signature.recovery, { size: 1 })]);
}

function selfMadeProof(sender, keys) {
  const words = ["string", "address", "address", "bytes32", "bytes32", "bytes32"].map((type) => ({ type }));
  const bindHash = keccak256(encodeAbiParameters(words, ["attestmesh.bind.v2", cluster, sender, ...keys]));
  const [derivedKey, appKey, rootKey] = Array.from({ length: 3 }, () => secp256k1.utils.randomPrivateKey());
  const [derived, app] = [derivedKey, appKey].map((key) => toHex(secp256k1.getPublicKey(key, true)));
  const issued = concat([stringToHex("dstack-kms-issued:"), sender, app]);
  return {
    messageHash: bindHash,
    messageSignature: sign(hashMessage({ raw: bindHash }), derivedKey),
    appSignature: sign(keccak256(stringToHex(`${PURPOSE}:${derived.slice(2)}`)), appKey),
    kmsSignature: sign(keccak256(issued), rootKey),
    derivedCompressedPubkey: derived,
    appCompressedPubkey: app,
  };
}

function registration(i) {
  const isKnown = i % 3 !== 0 && members.length > 0;
  const sender = (isKnown ? members[i % members.length] : random(20)).toLowerCase();
  const keys = [random(32), random(32), random(32)];
  const proof = {
    codeId: pad(sender, { dir: "right", size: 32 }),
    purpose: PURPOSE,
    ...(isKnown && i % 3 === 1 ? selfMadeProof(sender, keys) : randomProof()),
  };
  const inner = encodeFunctionData({ abi, functionName: "dstack_register", args: [proof, sender, ...keys] });
  const callData = encodeFunctionData({ abi, functionName: "execute", args: [cluster, 0n, inner] });
  return { sender, nonce: "0x0", callData };
}

const outcomeOf = ({ error }) => error?.data?.reason ?? "paid_for";

const reasons = {};
async function ask(op) {
  const params = [op, ENTRY_POINT, numberToHex(BigInt(chainId)), { token }];
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "pm_getPaymasterData", params });
  const response = await fetch(url, { method: "POST", body });
  const reason = response.ok ? outcomeOf(await response.json()) : "unanswered";
  reasons[reason] = (reasons[reason] ?? 0) + 1;
}

const operations = Array.from({ length: Number(count) }, (_, i) => registration(i));
const started = performance.now();
async function askOnAndOn() {
  for (let op = operations.pop(); op; op = operations.pop()) await ask(op);
}
await Promise.all(Array.from({ length: PARALLEL }, askOnAndOn));
for (const [reason, times] of Object.entries(reasons)) console.log(`flood_${reason} ${times}`);
console.log(`flood_seconds ${((performance.now() - started) / 1000).toFixed(1)}`);
process.exit(reasons.paid_for ? 1 : 0);
