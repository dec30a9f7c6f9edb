// Messages between applications, through the chain.

import assert from "node:assert/strict";
import { test } from "node:test";
import { meshctl, runInNode } from "../devnet/lib/node.mjs";
import { instance, nodes, recordFigure } from "./lib/mesh.mjs";

const [alice, bob] = nodes();
const contract = ({ memberContract }) => memberContract.toLowerCase();
const send = (from, to, text, ...options) => meshctl(instance, from, "send", contract(to), text, ...options);

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
  await assert.rejects(runInNode(instance, alice, ["meshctl", "send", stranger, "x"]), /no live peer/);
});
