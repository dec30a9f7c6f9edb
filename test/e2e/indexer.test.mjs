// The indexer pushes what the chain says, through its own death and the chain's second thoughts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeFunctionData } from "viem";
import { contractAbi, sendAll } from "../devnet/lib/deploy.mjs";
import { indexerHealth, indexerMetric } from "../devnet/lib/indexer.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { startService, stopService } from "../devnet/lib/services.mjs";
import { headBlock, undoFrom } from "./lib/blocks.mjs";
import { awaitAllTold } from "./lib/envelopes.mjs";
import { cluster, deployment, instance, nodes } from "./lib/mesh.mjs";
import { allowCodes, askAll, awaitCaughtUp, pushesGrewBy, subscriptions } from "./lib/subscriptions.mjs";
import { readCluster } from "./lib/witness.mjs";

const DEPTH = 5;
const registryVersions = async () => (await askAll("status")).map(({ registry_version: version }) => version);

test("indexer: every node is subscribed to the indexer that the registry names", async () => {
  await awaitCaughtUp();
  const health = await indexerHealth(instance);
  assert.equal(health.registry, "match");
  assert.ok(health.subscribers >= nodes().length, `${health.subscribers} subscribers`);
  for (const { key, alarms } of await subscriptions()) {
    assert.equal(key, health.key);
    assert.equal(alarms, 0);
  }
});

test("indexer: an event reaches every node once, and each node's own RPC confirms it", async () => {
  await awaitAllTold(); // envelopes of a young mesh are pushed too
  const head = await headBlock();
  await waitFor("the last of them", async () =>
    (await subscriptions()).every(({ checkpoint_block: block }) => block >= head), { timeoutMs: 60_000 });
  const before = await subscriptions();
  await allowCodes(1);
  await pushesGrewBy(before, 1);
  await waitFor("the samples", async () =>
    (await subscriptions()).every(({ confirmed }, i) => confirmed > before[i].confirmed));
  (await subscriptions()).forEach(({ pushes, alarms, unanswered }, i) => {
    assert.equal(pushes, before[i].pushes + 1);
    assert.deepEqual({ alarms, unanswered }, { alarms: 0, unanswered: before[i].unanswered });
  });
});

test("indexer: killed while it pushes and started again, it loses and repeats nothing", async () => {
  const before = await subscriptions();
  await allowCodes(3);
  await stopService(instance, "indexer", "KILL");
  await allowCodes(4);
  await startService(instance, "indexer", deployment);
  await pushesGrewBy(before, 7);
  await awaitCaughtUp();
  (await subscriptions()).forEach(({ pushes, alarms }, i) => {
    assert.equal(pushes, before[i].pushes + 7);
    assert.equal(alarms, 0);
  });
});

test(`indexer: a reorganisation of depth ${DEPTH} ends with every node's view equal to the chain`, async () => {
  const memberId = (await readCluster(instance, cluster, "membersPage", [0n, 1n]))[0][0].memberId;
  const version = async () => Number((await readCluster(instance, cluster, "nodeState", [memberId]))[0]);
  const all = (what, holds) => waitFor(`all nodes to ${what}`, async () => (await registryVersions()).every(holds), {
    timeoutMs: 60_000,
  });
  const [before, retracted] = [await version(), await indexerMetric(instance, "retracted_blocks_total")];
  const [{ blockNumber }] = await sendAll(instance, [{
    to: cluster, data: encodeFunctionData({ abi: contractAbi("AttestFacet"), functionName: "rotateCsk" }),
  }]);
  await all("see it", (found) => found > before);
  const last = Number(blockNumber) + DEPTH - 1;
  await waitFor(`the indexer to have block ${last}`, async () => (await indexerHealth(instance)).block >= last);
  await undoFrom(Number(blockNumber));
  await waitFor("the chain to forget it", async () => (await version()) === before);
  await all("forget it", (found) => found === before);
  await waitFor("the retraction", async () => (await indexerMetric(instance, "retracted_blocks_total")) >= retracted + DEPTH);
  await awaitCaughtUp();
  (await subscriptions()).forEach(({ alarms }) => assert.equal(alarms, 0));
});

test("indexer: without it the nodes find changes by polling alone", async () => {
  await stopService(instance, "indexer");
  await waitFor("the nodes to notice", async () =>
    (await subscriptions()).every(({ state }) => state !== "caught up"), { timeoutMs: 60_000 });
  (await askAll("status")).forEach(({ phase }) => assert.equal(phase, "healthy"));
  await startService(instance, "indexer", deployment);
  await awaitCaughtUp();
});
