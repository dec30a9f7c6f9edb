// The cluster shared key: the same on every node, committed to on chain, there again after every loss, and
// another one once a member was removed.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { encodeFunctionData, keccak256 } from "viem";
import { contractAbi, deployMembers, sendAll } from "../devnet/lib/deploy.mjs";
import { agentLog, agentPid, meshctl, recordNode, startNode, stopNode } from "../devnet/lib/node.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { healthz, keyholderFirst, recordOf, registry } from "./lib/checks.mjs";
import { cluster, deployment, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { readCluster } from "./lib/witness.mjs";

const ACQUIRED_MS = 60_000;
const stateFolder = (node) => join(instance.nodes, node.name);
const mentions = (node, text) => readFileSync(agentLog(instance, node), "utf8").split(text).length - 1;

async function keyOf(node) {
  const [key] = await meshctl(instance, node, "csk", "--yes");
  return key;
}

// Every node gives the same key, whose hash is the contract's commitment to the present generation.
async function assertSameKey(members) {
  const generation = Number(await readCluster(instance, cluster, "cskGeneration"));
  const commitment = await readCluster(instance, cluster, "cskCommitment");
  for (const node of members) {
    const key = await keyOf(node);
    assert.equal(key.generation, generation, node.name);
    assert.equal(keccak256(key.key), commitment, node.name);
  }
  return (await keyOf(members[0])).key;
}

let key;

test("key: all nodes hold the key that the chain has a commitment to", async () => {
  key = await assertSameKey(nodes());
  for (const node of nodes()) {
    const { body } = await healthz(instance, node);
    assert.equal(body.csk_acquired, true);
    assert.equal(mentions(node, key.slice(2)), 0, "the key is in no log");
  }
});

test("key: an agent that is killed costs the others nothing, and finds its key in its cache", async () => {
  const [, victim, ...others] = await keyholderFirst(instance, cluster, nodes());
  const loaded = mentions(victim, "csk.loaded");
  await stopNode(instance, victim, "KILL");
  for (const node of others) assert.equal((await healthz(instance, node)).code, 200);
  await startNode(instance, victim);
  await awaitHealthy(instance, [victim]);
  assert.equal(mentions(victim, "csk.loaded"), loaded + 1);
  assert.equal(await assertSameKey(nodes()), key);
});

const LOSSES = [
  ["keyholder derives", 0, "csk.derived"],
  ["other pulls", 1, "csk.pulled"],
];
for (const [who, place, event] of LOSSES) {
  test(`key: without its state folder, the ${who} the key again`, async () => {
    const node = (await keyholderFirst(instance, cluster, nodes()))[place];
    const before = mentions(node, event);
    await stopNode(instance, node);
    rmSync(stateFolder(node), { recursive: true });
    await startNode(instance, node);
    await awaitHealthy(instance, [node]);
    assert.equal(mentions(node, event), before + 1);
    assert.equal(await assertSameKey(nodes()), key);
  });
}

test("key: a corrupt cache is set aside, and the key pulled", async () => {
  const [, node] = await keyholderFirst(instance, cluster, nodes());
  await stopNode(instance, node);
  const cached = readdirSync(stateFolder(node)).filter((file) => /^csk-\d+$/.test(file));
  assert.ok(cached.length > 0);
  for (const file of cached) {
    const bytes = readFileSync(join(stateFolder(node), file));
    assert.equal(bytes.includes(Buffer.from(key.slice(2), "hex")), false, "the key is at rest sealed only");
    writeFileSync(join(stateFolder(node), file), Buffer.alloc(73, 1));
  }
  await startNode(instance, node);
  await awaitHealthy(instance, [node]);
  assert.ok(readdirSync(stateFolder(node)).some((file) => file.endsWith(".corrupt")));
  assert.equal(await assertSameKey(nodes()), key);
});

test("key: a node that joins after the originator died gets the key from the others", async () => {
  const [originator, ...others] = await keyholderFirst(instance, cluster, nodes());
  await stopNode(instance, originator, "KILL");
  const started = Date.now();
  const index = Math.max(...nodes().map((node) => node.index)) + 1;
  const [contract] = await deployMembers(instance, deployment, [index]);
  const newcomer = recordNode(instance, index, originator, contract);
  await startNode(instance, newcomer);
  await awaitHealthy(instance, [newcomer, ...others]);
  recordFigure(instance, "join_without_originator_seconds", ((Date.now() - started) / 1000).toFixed(1));
  assert.equal(await assertSameKey([newcomer, ...others]), key);
});

test("key: a removed member never sees the next key, and the others have it soon", async () => {
  const [removed, ...others] = await keyholderFirst(instance, cluster, nodes());
  const members = await registry(instance, cluster);
  const data = encodeFunctionData({
    abi: contractAbi("AttestFacet"),
    functionName: "removeMember",
    args: [recordOf(members, removed).memberId],
  });
  const started = Date.now();
  await sendAll(instance, [{ to: cluster, data }]);
  const everywhere = () => assertSameKey(others);
  const next = await waitFor("the next key on every node", everywhere, { timeoutMs: ACQUIRED_MS });
  recordFigure(instance, "key_rotation_seconds", ((Date.now() - started) / 1000).toFixed(1));
  assert.notEqual(next, key);
  for (const node of others) assert.equal((await healthz(instance, node)).code, 200);

  await startNode(instance, removed);
  const stopped = async () => !(await agentPid(instance, removed));
  await waitFor("the removed node to stop", stopped, { timeoutMs: ACQUIRED_MS });
  assert.ok(mentions(removed, "this node was removed from the cluster") > 0);
});
