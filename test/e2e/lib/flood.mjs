// Everything that strangers may try at the indexer's port, at once. Ends with a line of JSON: how often each refusal
// code was heard.
//
//   flood.mjs HOST PORT SILENT
//
// SILENT connections say nothing; fewer send a TLS handshake bit by bit, garbage, too long a frame, a Hello of nobody.

import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";

const [host, port, silent] = process.argv.slice(2);
const EACH = 50;
const OPENED_AT_ONCE = 200;
const codes = {};

// The code of a Refusal: varint length, field 5 of the frame, its length, field 1.
function noteRefusal(data) {
  if (data[1] === 0x2a && data[3] === 0x08) codes[data[4]] = (codes[data[4]] ?? 0) + 1;
}

const ended = (socket) => new Promise((resolve) => socket.on("error", resolve).on("close", resolve));

const sayOverTls = (bytes) => new Promise((resolve) => {
  const socket = connectTls({ host, port, rejectUnauthorized: false }, () => socket.write(bytes));
  socket.on("data", noteRefusal);
  ended(socket).then(resolve);
});

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

const attempts = [];
for (let i = 0; i < EACH; i++) {
  attempts.push(drip(), sayOverTls("\x05hello"), sayOverTls(Buffer.from([0xff, 0xff, 0xff, 0x7f])), sayOverTls(helloOfNobody()));
}
const quiet = [];
for (let i = 0; i < Number(silent); i++) {
  quiet.push(ended(connect({ host, port })));
  if (i % OPENED_AT_ONCE === 0) await sleep(20);
}
await Promise.all([...attempts, ...quiet]);
console.log(JSON.stringify(codes));
