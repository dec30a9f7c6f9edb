// Two applications on two nodes: one sends numbered messages, the other reads them, for as long as a test lasts. Both
// do what agent/client/README.md asks of them: they connect again when their agent has gone, send again with the same
// key what was not answered, and read on from the last cursor.

import { randomUUID } from "node:crypto";
import { createConnection } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import protobuf from "protobufjs";
import { ROOT } from "../../devnet/lib/instance.mjs";
import { findRoom } from "../../devnet/lib/room.mjs";
import { waitFor } from "../../devnet/lib/run.mjs";
import { instance } from "./mesh.mjs";

const api = protobuf.loadSync(join(ROOT, "agent/api/agent.proto"));
const Request = api.lookupType("attestmesh.agent.v1.Request");
const Response = api.lookupType("attestmesh.agent.v1.Response");
const AGAIN_MS = 1000;
const PAUSE_MS = 8000; // between messages: the sponsor pays for 200 in a day
const READ_MS = 300_000;

const socketOf = (node) => `/proc/${findRoom(instance, node.name)}/root/run/attestmesh/agent.sock`;

// Where the first frame of `bytes` begins and ends; nothing while its length is not whole.
function frameIn(bytes) {
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    length += (bytes[i] & 127) << (7 * i);
    if (bytes[i] < 128) return { start: i + 1, end: i + 1 + length };
  }
}

// The agent's answers to one request, until it ends the connection or nobody asks for more.
async function* ask(node, request, signal) {
  const socket = createConnection({ path: socketOf(node), signal });
  let bytes = Buffer.alloc(0);
  try {
    socket.write(Request.encodeDelimited(Request.fromObject({ id: 1, ...request })).finish());
    for await (const chunk of socket) {
      bytes = Buffer.concat([bytes, chunk]);
      for (let frame; (frame = frameIn(bytes)) && frame.end <= bytes.length; bytes = bytes.subarray(frame.end)) {
        const response = Response.decode(bytes.subarray(frame.start, frame.end));
        yield Response.toObject(response, { enums: String, longs: String });
      }
    }
  } finally {
    socket.destroy();
  }
}

export class Stream {
  #name = `stream ${randomUUID()}`;
  #sent = 0; // the agent has answered that they are on chain
  #read = new Map(); // text -> how often
  #ending = false;
  #listening = new AbortController();
  #sender;
  #reader;

  constructor(from, to, recipient) {
    this.#sender = this.#send(from, Buffer.from(recipient.slice(2), "hex"));
    this.#reader = this.#listen(to);
  }

  #text(number) {
    return `${this.#name}: ${number}`;
  }

  async #send(node, recipient) {
    while (!this.#ending) {
      const payload = Buffer.from(this.#text(this.#sent + 1));
      try {
        const request = { sendMessage: { recipient, payload, idempotencyKey: payload } };
        for await (const { messageSent } of ask(node, request)) {
          if (messageSent) this.#sent += 1;
          break;
        }
      } catch {
        // no agent there, or it went
      }
      await sleep(PAUSE_MS);
    }
  }

  async #listen(node) {
    const { signal } = this.#listening;
    let after;
    while (!signal.aborted) {
      try {
        for await (const { messageEvent: event } of ask(node, { subscribeMessages: { after } }, signal)) {
          after = event?.cursor ?? after;
          if (event?.kind === "MESSAGE") this.#take(event.payload.toString());
        }
      } catch {
        // no agent there, or it went
      }
      await sleep(AGAIN_MS);
    }
  }

  #take(text) {
    this.#read.set(text, (this.#read.get(text) ?? 0) + 1);
  }

  // Resolves once a message has been read that is sent from now on.
  passes() {
    const text = this.#text(this.#sent + 2);
    return waitFor(`"${text}" to be read`, () => this.#read.has(text), { timeoutMs: READ_MS });
  }

  // Whether a text is one of the stream.
  owns(text) {
    return text.startsWith(this.#name);
  }

  // Ends it, and tells how many messages were sent, lost, and read more than once.
  async end() {
    const texts = () => Array.from({ length: this.#sent }, (_, i) => this.#text(i + 1));
    const lost = () => texts().filter((text) => !this.#read.has(text));
    this.#ending = true;
    await this.#sender;
    await waitFor("the last message", () => lost().length === 0, { timeoutMs: READ_MS }).catch(() => {});
    this.#listening.abort();
    await this.#reader;
    const repeated = [...this.#read.values()].filter((times) => times > 1).length;
    return { sent: this.#sent, lost: lost(), repeated };
  }
}
