// Prints what the node is, that the cluster shared key is there, its peers as they come and go, and the
// messages to this node. With INDEX and TEXT, sends a message to the peer with that index, through the chain.
//
//     npm install protobufjs
//     node example.ts [--once] [INDEX TEXT]
//
// --once: ends when all that has come. AGENT_SOCKET: where the agent listens. AGENT_PROTO: where agent.proto lies.
// Node 22.18 or newer runs TypeScript as it is.

import { createConnection } from "node:net";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

const SOCKET = process.env.AGENT_SOCKET || "/run/attestmesh/agent.sock";
const PROTO = process.env.AGENT_PROTO || fileURLToPath(new URL("../../api/agent.proto", import.meta.url));
const once = process.argv[2] === "--once";
let [index, text]: (string | undefined)[] = process.argv.slice(once ? 3 : 2);
const awaited = new Set(["peers", "messages", ...(text === undefined ? [] : ["sent"])]); // before --once ends

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

// The present peers come first: the recipient is among them.
function takePeerEvent({ kind, peer }: any): void {
  console.log(`event ${nameOf(kind)}${peer ? ` ${peer.meshIpv4} ${peer.up ? "up" : "down"}` : ""}`);
  if (kind === "SYNCED") awaited.delete("peers");
  if (text === undefined || peer?.index !== Number(index)) return;
  send({ id: 5, sendMessage: { recipient: peer.memberId, payload: Buffer.from(text) } });
  text = undefined;
}

// Whoever keeps the cursor of the last message that is dealt with subscribes from there the next time.
function takeMessageEvent({ kind, sender, payload }: any): void {
  if (kind === "MESSAGE") console.log(`message from ${sender.subarray(0, 4).toString("hex")}: ${payload}`);
  if (kind === "CAUGHT_UP") awaited.delete("messages");
}

function take({ body, ...answer }: any): void {
  if (body === "status") {
    console.log(`status ${nameOf(answer.status.phase)}, ${answer.status.liveMembers} live members`);
  } else if (body === "clusterSharedKey") {
    // What one does with it: derive keys of one's own; never print it.
    const { generation, key } = answer.clusterSharedKey;
    console.log(`key generation ${generation}, ${key.length} bytes`);
  } else if (body === "peerEvent") {
    takePeerEvent(answer.peerEvent);
  } else if (body === "messageEvent") {
    takeMessageEvent(answer.messageEvent);
  } else if (body === "messageSent") {
    console.log("sent");
    awaited.delete("sent");
  } else if (body === "error") {
    console.log(`error ${answer.error.text}`);
    awaited.clear();
  }
  if (once && awaited.size === 0) process.exit(0);
}

let received: Buffer = Buffer.alloc(0);
agent.on("data", (bytes) => {
  const { answers, rest } = takeAnswers(Buffer.concat([received, bytes]));
  received = rest;
  answers.forEach(take);
});
agent.on("error", ({ message }) => console.error(`no agent: ${message}`));
agent.on("close", () => process.exit(1));

// All at once; the answers come in turn.
send({ id: 1, getStatus: {} });
send({ id: 2, getClusterSharedKey: {} });
send({ id: 3, subscribePeerEvents: {} });
send({ id: 4, subscribeMessages: {} });
