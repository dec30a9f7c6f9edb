// Prints what the node is, that the cluster shared key is there, and its peers as they come and go.
//
//     npm install protobufjs
//     node example.ts [--once]      --once: ends after the present peers; AGENT_SOCKET: where the agent listens
//
// Node 22.18 or newer runs TypeScript as it is. AGENT_PROTO says where agent.proto lies.

import { createConnection } from "node:net";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

const SOCKET = process.env.AGENT_SOCKET || "/run/attestmesh/agent.sock";
const PROTO = process.env.AGENT_PROTO || fileURLToPath(new URL("../../api/agent.proto", import.meta.url));
const once = process.argv.includes("--once");

const root = protobuf.loadSync(PROTO);
const Request = root.lookupType("attestmesh.agent.v1.Request");
const Response = root.lookupType("attestmesh.agent.v1.Response");
const agent = createConnection(SOCKET);

function send(request: object): void {
  agent.write(Request.encodeDelimited(Request.fromObject(request)).finish());
}

// The whole answers at the beginning of `bytes`, and what is left.
function takeAnswers(bytes: Buffer): { answers: any[]; rest: Buffer } {
  const reader = protobuf.Reader.create(bytes);
  const answers = [];
  let taken = 0;
  try {
    while (taken < bytes.length) {
      const message = Response.decodeDelimited(reader);
      taken = reader.pos;
      answers.push(Response.toObject(message, { enums: String, longs: String, defaults: true, oneofs: true }));
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the last one has not come whole
  }
  return { answers, rest: bytes.subarray(taken) };
}

const nameOf = (value: string) => value.toLowerCase().replaceAll("_", "-");

function print({ body, ...answer }: any): void {
  if (body === "status") {
    console.log(`status ${nameOf(answer.status.phase)}, ${answer.status.liveMembers} live members`);
  } else if (body === "clusterSharedKey") {
    // What one does with it: derive keys of one's own; never print it.
    const { generation, key } = answer.clusterSharedKey;
    console.log(`key generation ${generation}, ${key.length} bytes`);
  } else if (body === "peerEvent") {
    const { kind, peer } = answer.peerEvent;
    console.log(`event ${nameOf(kind)}${peer ? ` ${peer.meshIpv4} ${peer.up ? "up" : "down"}` : ""}`);
    if (once && kind === "SYNCED") process.exit(0);
  } else if (body === "error") {
    console.log(`error ${answer.error.text}`);
  }
}

let received: Buffer = Buffer.alloc(0);
agent.on("data", (bytes) => {
  const { answers, rest } = takeAnswers(Buffer.concat([received, bytes]));
  received = rest;
  answers.forEach(print);
});
agent.on("error", ({ message }) => console.error(`no agent: ${message}`));
agent.on("close", () => process.exit(1));

// All at once; the answers come in turn.
send({ id: 1, getStatus: {} });
send({ id: 2, getClusterSharedKey: {} });
send({ id: 3, subscribePeerEvents: {} });
