// The cluster shared key: the same on every node, committed to on chain, there again after every loss, and
// another one once a member was removed.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { agentLog, agentPid, startNode, stopNode } from "../devnet/lib/node.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { assertSameKey, healthz, keyholderFirst, removeMember } from "./lib/checks.mjs";
import { cluster, deployment, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { addNode } from "./lib/spare.mjs";

const ACQUIRED_MS = 60_000;
const stateFolder = (node) => join(instance.nodes, node.name);
const mentions = (node, text) => readFileSync(agentLog(instance, node), "utf8").split(text).length - 1;

const sameKey = (members) => assertSameKey(instance, cluster, members);

let key;

test("key: all nodes hold the key that the chain has a commitment to", async () => {
  key = await sameKey(nodes());
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
  assert.equal(await sameKey(nodes()), key);
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
    assert.ok(mentions(node, event) > before, event); // several may have been asked for it at once
    assert.equal(await sameKey(nodes()), key);
  });
}

test("key: every corrupt file is set aside, and the key pulled", async () => {
  const [, node] = await keyholderFirst(instance, cluster, nodes());
  await stopNode(instance, node);
  const kept = readdirSync(stateFolder(node)).filter((file) => !file.endsWith(".corrupt"));
  assert.ok(kept.some((file) => /^csk-\d+$/.test(file)));
  for (const file of kept) {
    const bytes = readFileSync(join(stateFolder(node), file));
    assert.equal(bytes.includes(Buffer.from(key.slice(2), "hex")), false, "the key is at rest sealed only");
    writeFileSync(join(stateFolder(node), file), Buffer.alloc(73, 1));
  }
  await startNode(instance, node);
  await awaitHealthy(instance, [node]);
  const found = readdirSync(stateFolder(node));
  for (const file of kept) assert.ok(found.includes(`${file}.corrupt`), file);
  assert.equal(await sameKey(nodes()), key);
});

test("key: a node that joins after the originator died gets the key from the others", async () => {
  const [originator, ...others] = await keyholderFirst(instance, cluster, nodes());
  await stopNode(instance, originator, "KILL");
  const started = Date.now();
  const newcomer = await addNode(instance, deployment, originator);
  await awaitHealthy(instance, [newcomer, ...others]);
  recordFigure(instance, "join_without_originator_seconds", ((Date.now() - started) / 1000).toFixed(1));
  assert.equal(await sameKey([newcomer, ...others]), key);
});

test("key: a removed member never sees the next key, and the others have it soon", async () => {
  const [removed, ...others] = await keyholderFirst(instance, cluster, nodes());
  const started = Date.now();
  await removeMember(instance, cluster, removed);
  const everywhere = () => sameKey(others);
  const next = await waitFor("the next key on every node", everywhere, { timeoutMs: ACQUIRED_MS });
  recordFigure(instance, "key_rotation_seconds", ((Date.now() - started) / 1000).toFixed(1));
  assert.notEqual(next, key);
  for (const node of others) assert.equal((await healthz(instance, node)).code, 200);

  await startNode(instance, removed);
  const stopped = async () => !(await agentPid(instance, removed));
  await waitFor("the removed node to stop", stopped, { timeoutMs: ACQUIRED_MS });
  assert.ok(mentions(removed, "this node was removed from the cluster") > 0);
});
