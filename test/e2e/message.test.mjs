// Messages between applications, through the chain.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { inNode, meshctl, runInNode, startNode, stopNode } from "../devnet/lib/node.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { undoFrom } from "./lib/blocks.mjs";
import { recordOf, registry } from "./lib/checks.mjs";
import { cluster, instance, nodes, recordFigure } from "./lib/mesh.mjs";

const [alice, bob, carol] = nodes();
const contract = ({ memberContract }) => memberContract.toLowerCase();
const messagesOf = (events) => events.filter(({ event }) => event === "message");
const receive = async (node, ...options) => messagesOf(await meshctl(instance, node, "recv", ...options));
const blockOf = (cursor) => Number(cursor.split(":")[0]);
const textsOf = (messages) => messages.map(({ text }) => text);
const send = (from, to, text, ...options) => meshctl(instance, from, "send", contract(to), text, ...options);

// A subscriber inside a node, for as long as the test `t` runs.
function follow(t, node, ...options) {
  const [command, ...words] = inNode(instance, node, ["meshctl", "recv", "--follow", "--json", ...options]);
  const child = spawn(command, words, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.exitCode === null && process.kill(-child.pid)); // with what it forked
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    assert.ok(!done, "the subscription ended");
    return JSON.parse(value);
  };
  // The messages up to the one that `isLast`.
  const takeUntil = async (isLast) => {
    for (const messages = []; ; ) {
      messages.push(...messagesOf([await next()]));
      if (isLast(messages)) return messages;
    }
  };
  return {
    take: (count) => takeUntil((messages) => messages.length === count),
    until: (text) => takeUntil((messages) => messages.at(-1)?.text === text),
    async event(wanted) {
      for (;;) {
        const found = await next();
        if (found.event === wanted) return found;
      }
    },
  };
}

// What the node has received, the message `text` last: it may still be on its way.
const receiveUntil = (t, node, text, ...options) => follow(t, node, ...options).until(text);

test("message: one that is sent is on chain, and paid for by the sponsor", async () => {
  const started = Date.now();
  const [sent] = await send(alice, bob, "hello");
  recordFigure(instance, "message_send_seconds", ((Date.now() - started) / 1000).toFixed(1));
  assert.match(sent.tx_hash, /^0x[0-9a-f]{64}$/);
  const operations = await meshctl(instance, alice, "ops");
  const operation = operations.findLast(({ purpose }) => purpose === "message");
  assert.equal(operation.outcome, "included");
  assert.match(operation.sponsor, /^erc7677 /);
  recordFigure(instance, "message_gas", operation.gas_used);
});

test("message: the longest goes through, one byte more is a clear error", async () => {
  const [sent] = await send(alice, bob, "x".repeat(8143));
  assert.ok(sent.tx_hash);
  recordFigure(instance, "message_longest_gas", (await meshctl(instance, alice, "ops")).at(-1).gas_used);
  await assert.rejects(send(alice, bob, "x".repeat(8144)), /8144 bytes; 8143 are the most/);
});

test("message: with the same key it is sent once", async () => {
  const [first] = await send(alice, bob, "order", "--key", "order 17");
  const [again] = await send(alice, bob, "order", "--key", "order 17");
  assert.ok(first.tx_hash);
  assert.deepEqual(again, { envelope_id: first.envelope_id, tx_hash: null });
});

test("message: a stranger is not found", async () => {
  const stranger = `0x${"77".repeat(32)}`;
  await assert.rejects(runInNode(instance, alice, ["meshctl", "send", stranger, "x"]), /the registry has no such member/);
});

test("message: its recipient reads it, knows who sent it, and nobody else reads it", async (t) => {
  const [sent] = await send(alice, bob, "for bob alone");
  const message = (await receiveUntil(t, bob, "for bob alone")).at(-1);
  assert.equal(message.envelope_id, sent.envelope_id);
  const members = await registry(instance, cluster);
  assert.equal(message.sender, recordOf(members, alice).memberId);
  for (const other of [alice, carol]) assert.ok(!textsOf(await receive(other)).includes("for bob alone"));
});

test("message: a follower gets each as it comes, in the order of the chain", async (t) => {
  const last = (await receive(bob)).at(-1).cursor;
  const follower = follow(t, bob, "--from", last);
  const texts = ["one", "two", "three"];
  const started = Date.now();
  for (const text of texts) await send(alice, bob, text);
  const told = await follower.take(texts.length);
  recordFigure(instance, "message_round_seconds", ((Date.now() - started) / 3000).toFixed(1));
  assert.deepEqual(textsOf(told), texts);
  const places = told.map(({ cursor }) => cursor.split(":").map(Number));
  assert.deepEqual(places, [...places].sort(([a, x], [b, y]) => a - b || x - y));
});

test("message: what was sent while the recipient was down is there when it is back", async (t) => {
  const last = (await receive(bob)).at(-1).cursor;
  await stopNode(instance, bob);
  await send(alice, bob, "while you slept");
  await send(carol, bob, "so did I");
  await startNode(instance, bob);
  await awaitHealthy(instance, [bob]);
  assert.deepEqual(textsOf(await receiveUntil(t, bob, "so did I", "--from", last)), [
    "while you slept",
    "so did I",
  ]);
  const everything = await receive(bob);
  assert.equal(everything.at(-3).cursor, last, "without a cursor, everything comes");
});

test("message: a killed recipient loses nothing, and duplicates have the same cursor", async (t) => {
  const before = await receive(bob);
  const follower = follow(t, bob);
  await follower.take(before.length);
  await stopNode(instance, bob, "KILL");
  await send(alice, bob, "are you there?");
  await startNode(instance, bob);
  await awaitHealthy(instance, [bob]);
  const again = await receiveUntil(t, bob, "are you there?");
  assert.deepEqual(again.slice(0, -1), before);
});

test("message: a killed sender's message arrives once, when it is sent again with its key", async (t) => {
  const last = (await receive(bob)).at(-1).cursor;
  const sending = send(alice, bob, "sent twice", "--key", "invoice 5").catch(() => {});
  await sleep(600);
  await stopNode(instance, alice, "KILL");
  await sending;
  await startNode(instance, alice);
  await awaitHealthy(instance, [alice]);
  await send(alice, bob, "sent twice", "--key", "invoice 5");
  assert.deepEqual(textsOf(await receiveUntil(t, bob, "sent twice", "--from", last)), ["sent twice"]);
});

test("message: a reorganisation that undoes a message is told, and what comes after it arrives", async (t) => {
  const last = (await receive(bob)).at(-1).cursor;
  const follower = follow(t, bob, "--from", last);
  await send(alice, bob, "undone");
  const [undone] = await follower.take(1);
  assert.equal(undone.text, "undone");
  await undoFrom(blockOf(undone.cursor));
  const told = await follower.event("rolled back");
  assert.ok(blockOf(told.cursor) <= blockOf(last));
  await send(alice, bob, "after it");
  const after = await follower.until("after it");
  assert.ok(!textsOf(after).includes("undone"), "what was undone does not come again");
  assert.ok(!textsOf(await receive(bob)).includes("undone"));
});
