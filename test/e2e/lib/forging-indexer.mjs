// An indexer that the registry names and that lies. It shares no code with the C side.
//
//   forging-indexer.mjs HOST PORT LIE KEY_FILE CERTIFICATE_FILE RPC_URL CHAIN_ID CLUSTER MEMBER_ID
//
// Every session hears that it is caught up. LIE is what comes then: `signature`, a push that another key signed;
// `event`, a well-signed push of MEMBER_ID's removal, which never happened; `silence`, nothing but checkpoints.

import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:tls";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils";
import { encodeAbiParameters, hexToBytes, keccak256, numberToHex, toEventSelector } from "viem";

const [host, port, lie, keyFile, certificateFile, rpcUrl, chainId, cluster, memberId] = process.argv.slice(2);
const pem = readFileSync(keyFile);
const publicKey = createPublicKey(pem).export({ type: "spki", format: "der" }).subarray(-32);
const signingKey = lie === "signature" ? generateKeyPairSync("ed25519").privateKey : pem;

// ---- Protobuf: a field is its number and type, then a varint or a length and bytes

function varint(value) {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 128n) return Uint8Array.of(...bytes, Number(rest));
    bytes.push(Number(rest & 127n) | 128);
  }
}

function field(number, value) {
  if (typeof value === "number") return concatBytes(varint(number << 3), varint(value));
  return concatBytes(varint((number << 3) | 2), varint(value.length), value);
}

const message = (fields) => concatBytes(...fields.map(([number, value]) => field(number, value)));
const frame = (number, fields) => {
  const inner = field(number, message(fields));
  return concatBytes(varint(inner.length), inner);
};

// ---- Frames

function welcome() {
  const words = [{ type: "string" }, { type: "bytes32" }];
  const reportData = keccak256(encodeAbiParameters(words, ["attestmesh.indexer.v1", `0x${publicKey.toString("hex")}`]));
  const quote = new Uint8Array(1024);
  quote.set([4, 0, 2, 0, 0x81]); // version 4, ECDSA P-256, TDX
  quote.set(hexToBytes(reportData), 48 + 520);
  return frame(1, [[1, 1], [2, quote]]);
}

const checkpoint = (block) =>
  frame(4, [[1, Number(block.number)], [2, hexToBytes(block.hash)], [3, Number(block.timestamp)]]);

function push(block) {
  const topics = [toEventSelector("MemberRemoved(bytes32)"), memberId];
  const repro = JSON.stringify([{ blockHash: block.hash, address: cluster.toLowerCase(), topics }]);
  const body = message([
    [1, Number(chainId)], [2, hexToBytes(cluster)], [3, Number(block.number)], [4, hexToBytes(block.hash)],
    [5, hexToBytes(numberToHex(7, { size: 32 }))], [7, hexToBytes(cluster)],
    ...topics.map((topic) => [8, hexToBytes(topic)]), [10, 2], [11, utf8ToBytes(repro)],
  ]);
  const signature = sign(null, concatBytes(utf8ToBytes("attestmesh.indexer.push.v1"), body), signingKey);
  return frame(2, [[1, body], [2, signature], [3, publicKey]]);
}

// ---- Sessions

async function latestBlock() {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_getBlockByNumber", params: ["latest", false] });
  const answer = await fetch(rpcUrl, { method: "POST", headers: { "content-type": "application/json" }, body });
  return (await answer.json()).result;
}

createServer({ key: pem, cert: readFileSync(certificateFile), minVersion: "TLSv1.3" }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.once("data", async () => {
    const block = await latestBlock();
    socket.write(concatBytes(welcome(), checkpoint(block)));
    if (lie !== "silence") return socket.write(push(block));
    const beat = setInterval(async () => socket.write(checkpoint(await latestBlock())), 5000);
    socket.on("close", () => clearInterval(beat));
  });
}).listen(Number(port), host);
