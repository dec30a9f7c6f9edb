// Everything that strangers may try at the indexer's port, at once. Ends with a line of JSON: how many of the silent
// connections were opened, and the refusal code that each kind of talker heard.
//
//   flood.mjs HOST PORT SILENT
//
// SILENT connections say nothing; fewer send a TLS handshake bit by bit, garbage, too long a frame, a Hello of nobody.
// Newer strangers displace older ones: a talker that is displaced before it is answered tries again.

import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";

const [host, port, silent] = process.argv.slice(2);
const EACH = 50;
const OPENED_AT_ONCE = 200;
const TRY_AGAIN_MS = 500;
const PATIENCE_MS = 90_000;

// The code of a Refusal: varint length, field 5 of the frame, its length, field 1.
const refusalCode = (data) => (data[1] === 0x2a && data[3] === 0x08 ? data[4] : undefined);

const ended = (socket) => new Promise((resolve) => socket.on("error", resolve).on("close", resolve));

async function sayOverTls(bytes) {
  let code;
  const socket = connectTls({ host, port, rejectUnauthorized: false }, () => socket.write(bytes));
  socket.on("data", (data) => (code ??= refusalCode(data)));
  await ended(socket);
  return code;
}

async function sayUntilRefused(bytes) {
  const deadline = Date.now() + PATIENCE_MS;
  let code;
  while ((code = await sayOverTls(bytes)) === undefined && Date.now() < deadline) await sleep(TRY_AGAIN_MS);
  return code;
}

function drip() {
  const socket = connect({ host, port });
  const hello = Buffer.from("16030100f8010000f40303", "hex");
  let at = 0;
  const beat = setInterval(() => at < hello.length && socket.write(hello.subarray(at, ++at)), 500);
  return ended(socket).then(() => clearInterval(beat));
}

const delimited = (bytes) => {
  const len = bytes.length;
  return Buffer.concat([Buffer.from(len < 128 ? [len] : [(len & 127) | 128, len >> 7]), bytes]);
};

// Hello{protocol 1, chain 31337, cluster, member id, signature}: of nobody.
function helloOfNobody() {
  const field = (tag, bytes) => Buffer.concat([Buffer.from([tag]), delimited(bytes)]);
  const hello = Buffer.concat([Buffer.from([0x08, 1, 0x10, 0xe9, 0xf4, 0x01]),
    field(0x1a, Buffer.alloc(20, 7)), field(0x22, Buffer.alloc(32, 7)), field(0x32, Buffer.alloc(64, 7))]);
  return delimited(field(0x0a, hello));
}

const TALKERS = {
  garbage: Buffer.from("\x05hello"),
  tooLong: Buffer.from([0xff, 0xff, 0xff, 0x7f]),
  nobody: helloOfNobody(),
};

const crowd = [];
for (let i = 0; i < EACH; i++) crowd.push(drip(), ...Object.values(TALKERS).map(sayOverTls));
const refusals = Object.entries(TALKERS).map(async ([name, bytes]) => [name, await sayUntilRefused(bytes)]);
let opened = 0;
for (let i = 0; i < Number(silent); i++) {
  const socket = connect({ host, port }, () => opened++);
  crowd.push(ended(socket));
  if (i % OPENED_AT_ONCE === 0) await sleep(20);
}
await Promise.all(crowd);
console.log(JSON.stringify({ opened, codes: Object.fromEntries(await Promise.all(refusals)) }));
