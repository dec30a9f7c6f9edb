// A second implementation of a node's registration, with viem and noble-curves and nothing of ours: keys from
// the guest agent, proof, UserOperation, sponsor, bundler, receipt.

import { request } from "node:http";
import { ed25519, x25519 } from "@noble/curves/ed25519";
import { secp256k1 } from "@noble/curves/secp256k1";
import {
  bytesToHex,
  concat,
  encodeAbiParameters,
  encodeFunctionData,
  hexToBytes,
  keccak256,
  numberToHex,
  pad,
  parseAbi,
  toBytes,
} from "viem";
import { getUserOperationHash } from "viem/account-abstraction";
import { privateKeyToAccount } from "viem/accounts";
import { ENTRY_POINT, chainClient } from "../../devnet/lib/chain.mjs";
import { contractAbi } from "../../devnet/lib/deploy.mjs";
import { findRoom } from "../../devnet/lib/room.mjs";
import { waitFor } from "../../devnet/lib/run.mjs";
import { BUNDLER_URL, CHAIN_ID } from "../../devnet/lib/topology.mjs";
import { jsonRpc } from "../../devnet/lib/world.mjs";
import { payByWorker } from "./payers.mjs";

const PURPOSE = "attestmesh.binding.v1";
const ABI = [...contractAbi("AttestFacet"), ...contractAbi("DstackFacet"), ...contractAbi("ClusterMember")];

function askGuestAgent(instance, node, endpoint, body) {
  const socketPath = `/proc/${findRoom(instance, node.name)}/root/run/dstack.sock`;
  return new Promise((resolve, reject) => {
    const post = request({ socketPath, path: endpoint, method: "POST", agent: false }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve(JSON.parse(text));
    });
    post.on("error", reject);
    post.end(JSON.stringify(body));
  });
}

const withPrefix = (hex) => (hex.startsWith("0x") ? hex : `0x${hex}`);

// The keys of a node as PROTOCOL section 3 derives them.
export async function nodeKeys(instance, node) {
  const getKey = async (path, purpose = "") => {
    const { key, signature_chain: chain } = await askGuestAgent(instance, node, "/GetKey", { path, purpose });
    return { key: withPrefix(key), chain: chain.map(withPrefix) };
  };
  const identity = hexToBytes((await getKey("attestmesh.identity.v1")).key);
  const wireguard = hexToBytes((await getKey("attestmesh.wireguard.v1")).key);
  return {
    xPubKey: bytesToHex(x25519.getPublicKey(identity)),
    wgPubKey: bytesToHex(x25519.getPublicKey(wireguard)),
    ed25519PubKey: bytesToHex(ed25519.getPublicKey(identity)),
    binding: await getKey("attestmesh.binding.v1", PURPOSE),
  };
}

// The compressed public key that signed `hash`.
function recoverPublicKey(hash, signature) {
  const bytes = hexToBytes(signature);
  const { r, s } = secp256k1.Signature.fromCompact(bytes.slice(0, 64));
  const recovered = new secp256k1.Signature(r, s)
    .addRecoveryBit(bytes[64] % 27)
    .recoverPublicKey(hexToBytes(hash));
  return bytesToHex(recovered.toRawBytes(true));
}

// `changes` spoil the proof.
export async function registerCall(cluster, node, keys, changes = {}) {
  const member = node.memberContract;
  const words = [
    { type: "string" },
    { type: "address" },
    { type: "address" },
    ...Array(3).fill({ type: "bytes32" }),
  ];
  const publicKeys = [keys.xPubKey, keys.wgPubKey, keys.ed25519PubKey];
  const messageHash = keccak256(
    encodeAbiParameters(words, ["attestmesh.bind.v2", cluster, member, ...publicKeys]),
  );
  const derived = bytesToHex(secp256k1.getPublicKey(hexToBytes(keys.binding.key), true));
  const [appSignature, kmsSignature] = keys.binding.chain;
  const proof = {
    codeId: pad(member, { dir: "right", size: 32 }),
    messageHash,
    messageSignature: await privateKeyToAccount(keys.binding.key).signMessage({
      message: { raw: messageHash },
    }),
    appSignature,
    kmsSignature,
    derivedCompressedPubkey: derived,
    appCompressedPubkey: recoverPublicKey(keccak256(toBytes(`${PURPOSE}:${derived.slice(2)}`)), appSignature),
    purpose: PURPOSE,
    ...changes,
  };
  return encodeFunctionData({
    abi: ABI,
    functionName: "dstack_register",
    args: [proof, member, ...publicKeys],
  });
}

const PLACEHOLDER = concat([`0x${"ff".repeat(15)}`, `0x${"00".repeat(16)}`, `0x${"7a".repeat(33)}`, "0x1c"]);

const hexFields = (operation) =>
  Object.fromEntries(
    Object.entries(operation).map(([name, value]) => [
      name,
      typeof value === "bigint" ? numberToHex(value) : value,
    ]),
  );

const GET_NONCE = parseAbi(["function getNonce(address sender, uint192 key) view returns (uint256)"]);

// How many UserOperations a member's account has made.
export const accountNonce = (instance, node) =>
  chainClient(instance).readContract({
    address: ENTRY_POINT,
    abi: GET_NONCE,
    functionName: "getNonce",
    args: [node.memberContract, 0n],
  });

// Sends one call of a member's account, paid for as `pay` does (see payers.mjs); gives the bundler's receipt.
export async function sendUserOperation(instance, node, signer, target, call, pay = payByWorker) {
  const fees = await chainClient(instance).estimateFeesPerGas();
  const operation = {
    sender: node.memberContract,
    nonce: await accountNonce(instance, node),
    callData: encodeFunctionData({ abi: ABI, functionName: "execute", args: [target, 0n, call] }),
    maxFeePerGas: fees.maxFeePerGas,
    maxPriorityFeePerGas: fees.maxPriorityFeePerGas,
    signature: PLACEHOLDER,
  };
  Object.assign(operation, await pay(instance, hexFields(operation)));

  const numbers = Object.fromEntries(
    Object.entries(operation).map(([name, value]) => [name, /Gas|nonce/.test(name) ? BigInt(value) : value]),
  );
  const hash = getUserOperationHash({
    userOperation: numbers,
    entryPointAddress: ENTRY_POINT,
    entryPointVersion: "0.7",
    chainId: CHAIN_ID,
  });
  const signature = await privateKeyToAccount(signer).signMessage({ message: { raw: hash } });
  const sent = await jsonRpc(instance, BUNDLER_URL, "eth_sendUserOperation", [
    hexFields({ ...numbers, signature }),
    ENTRY_POINT,
  ]);
  return waitFor("the UserOperation's receipt", () =>
    jsonRpc(instance, BUNDLER_URL, "eth_getUserOperationReceipt", [sent]),
  );
}

export async function register(instance, cluster, node) {
  const keys = await nodeKeys(instance, node);
  const call = await registerCall(cluster, node, keys);
  return { keys, receipt: await sendUserOperation(instance, node, keys.binding.key, cluster, call) };
}

export async function readCluster(instance, cluster, functionName, args = []) {
  try {
    return await chainClient(instance).readContract({ address: cluster, abi: ABI, functionName, args });
  } catch (error) {
    throw new Error(error.shortMessage ?? error.message); // the rest is pages of ABI
  }
}
