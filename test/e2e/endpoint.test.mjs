// Where a node is reached, told to every other member through the chain: once per pair and content, for each is
// somebody's money.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { agentLog, meshctl, startNode, stopNode } from "../devnet/lib/node.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { awaitAllTold } from "./lib/envelopes.mjs";
import { instance, nodes, recordFigure } from "./lib/mesh.mjs";

test("endpoint: every node tells every other member once", async () => {
  const counts = await awaitAllTold();
  assert.deepEqual(new Set(counts.values()), new Set([1]));
  const [operation] = (await meshctl(instance, nodes()[0], "ops")).filter(({ purpose }) => purpose === "endpoint");
  assert.equal(operation.outcome, "included");
  recordFigure(instance, "endpoint_gas", operation.gas_used);
  recordFigure(instance, "endpoints_sent", [...counts.values()].length);
});

test("endpoint: every member's reaches the others, and none is unreadable", async () => {
  for (const node of nodes()) {
    const { messages_received: received, inbox_error: error } = (await meshctl(instance, node, "status"))[0];
    assert.ok(received >= nodes().length - 1, `${received} envelopes`);
    assert.equal(error, "");
    assert.doesNotMatch(readFileSync(agentLog(instance, node), "utf8"), /message\.unreadable/);
  }
});

test("endpoint: restarts send none again", async () => {
  const before = await awaitAllTold();
  for (const signal of ["TERM", "KILL"]) {
    await Promise.all(nodes().map((node) => stopNode(instance, node, signal)));
    await Promise.all(nodes().map((node) => startNode(instance, node)));
    await awaitHealthy(instance, nodes());
  }
  await sleep(5_000); // long enough for whoever wants to send
  assert.deepEqual(await awaitAllTold(), before);
});
