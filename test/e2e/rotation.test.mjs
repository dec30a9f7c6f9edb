// The operator has a node take its next WireGuard key: the chain, the devices and the peers follow, and traffic
// pauses for moments only.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { inNode, meshctl, runInNode, startNode, stopNode } from "../devnet/lib/node.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { assertAllPing, assertDeviceAgrees, recordOf, registry } from "./lib/checks.mjs";
import { cluster, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { pinging } from "./lib/pinging.mjs";
import { nodeKeys } from "./lib/witness.mjs";

const all = nodes();
const [node, other, third] = all;
const INTERRUPTION_MAX_S = 3;
const FOLLOW_MS = 30_000;

const self = async (who) => (await meshctl(instance, who, "status"))[0].self;
const base64 = (hex) => Buffer.from(hex.slice(2), "hex").toString("base64");

// The events that a subscriber at `who` is told of from now on, until `stop`.
function following(who) {
  const argv = inNode(instance, who, ["meshctl", "events", "--follow", "--json"]);
  const child = spawn(argv[0], argv.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  const events = [];
  createInterface({ input: child.stdout }).on("line", (line) => events.push(JSON.parse(line)));
  // From inside: what the way into a node was has no hold on it.
  const stop = () => runInNode(instance, who, ["sh", "-c", "kill $(pidof meshctl)"]);
  return { events, stop };
}

// Resolves once the node uses the key that the chain has, and every device agrees: then gives the key's generation.
const agreement = () =>
  waitFor("chain and devices to agree", async () => {
    const { wg_pubkey: key, wg_generation: generation } = await self(node);
    assert.equal(recordOf(await registry(instance, cluster), node).wgPubKey, base64(key));
    for (const each of all) await assertDeviceAgrees(instance, cluster, each);
    return { generation };
  }, { timeoutMs: FOLLOW_MS });

test("rotation: the next key is on chain, on every device, and traffic pauses for at most 3 s", async () => {
  const before = await self(node);
  const members = await registry(instance, cluster);
  const follower = following(other);
  const stopPing = pinging(other, recordOf(members, node).meshIpv4);
  const stopControl = pinging(third, recordOf(members, other).meshIpv4); // what a busy machine does to any ping
  await waitFor("the events", async () => follower.events.some(({ event }) => event === "synced"));
  const states = await meshctl(instance, node, "rotate-wg-key");
  assert.deepEqual(
    states.map(({ state }) => state),
    ["publishing", "switching", "done"],
  );
  assert.ok(states.every(({ generation }) => generation === before.wg_generation + 1));
  await waitFor("the event", async () => follower.events.find(({ event }) => event === "key rotated"));
  assert.deepEqual(await agreement(), { generation: before.wg_generation + 1 });
  const pause = await stopPing();
  const control = await stopControl();
  await follower.stop();
  recordFigure(instance, "rotation_pause_seconds", pause.toFixed(2));
  recordFigure(instance, "rotation_pause_elsewhere_seconds", control.toFixed(2));
  assert.ok(pause - control <= INTERRUPTION_MAX_S, `traffic paused for ${pause} s, elsewhere for ${control} s`);
  const { peer } = follower.events.find(({ event }) => event === "key rotated");
  assert.equal(peer.wg_pubkey, (await self(node)).wg_pubkey);
  assert.notEqual(peer.wg_pubkey, before.wg_pubkey);
});

test("rotation: generation 0 stays what noble-curves derives, and is not in use", async () => {
  const { wgPubKey } = await nodeKeys(instance, node);
  assert.notEqual((await self(node)).wg_pubkey, wgPubKey);
});

test("rotation: it was paid for by the sponsor, once", async () => {
  const operations = await meshctl(instance, node, "ops");
  const rotations = operations.filter(({ purpose }) => purpose === "WireGuard key");
  assert.deepEqual(
    rotations.map(({ outcome }) => outcome),
    ["included"],
  );
});

test("rotation: an agent that is killed in the middle finds the generation that is on chain", async () => {
  const { wg_generation: before } = await self(node);
  const command = inNode(instance, node, ["meshctl", "rotate-wg-key", "--json"]);
  const child = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "ignore"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  await stopNode(instance, node, "KILL");
  rmSync(join(instance.nodes, node.name), { recursive: true });
  await startNode(instance, node);
  await awaitHealthy(instance, [node]);
  const { generation } = await agreement(); // what was under way may be included yet, or never was sent
  assert.ok(generation >= before, `${generation} after ${before}`);
  await assertAllPing(instance, cluster, all);
});
