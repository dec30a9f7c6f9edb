// Where a node is reached, told to every other member through the chain: once per pair and content, for each is
// somebody's money.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeEventTopics } from "viem";
import { chainClient } from "../devnet/lib/chain.mjs";
import { contractAbi } from "../devnet/lib/deploy.mjs";
import { agentLog, meshctl, startNode, stopNode } from "../devnet/lib/node.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { recordOf, registry } from "./lib/checks.mjs";
import { cluster, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { readFileSync } from "node:fs";

const isApplication = (id) => /^0x0{16}/.test(id);

// How many endpoints each ordered pair of live members has on chain: "sender recipient" -> count.
async function envelopes() {
  const abi = contractAbi("MessageFacet");
  const [topic] = encodeEventTopics({ abi, eventName: "MessageSent" });
  const logs = await chainClient(instance).request({
    method: "eth_getLogs",
    params: [{ address: cluster, fromBlock: "0x0", toBlock: "latest", topics: [topic] }],
  });
  const counts = new Map();
  for (const { topics } of logs.filter(({ topics }) => !isApplication(topics[3]))) {
    const pair = `${topics[1]} ${topics[2]}`;
    counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  return counts;
}

async function awaitAllTold() {
  const members = await registry(instance, cluster);
  const senders = nodes().map((node) => recordOf(members, node).memberId);
  const pairs = senders.flatMap((from) =>
    members.filter(({ memberId }) => memberId !== from).map(({ memberId }) => `${from} ${memberId}`),
  );
  const allTold = async () => {
    const counts = await envelopes();
    return pairs.every((pair) => counts.has(pair)) && counts;
  };
  return waitFor("every node to have told every member", allTold, { timeoutMs: 120_000 });
}

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
  const learnt = (node) => /"endpoint\.sent"|"phase":"healthy"/.test(readFileSync(agentLog(instance, node), "utf8"));
  assert.ok(nodes().every(learnt));
  assert.deepEqual(await awaitAllTold(), before);
});
