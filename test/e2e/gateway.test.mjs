// The gateway is the only road between nodes: without it nothing passes, with it everything comes back by
// itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNode } from "../devnet/lib/node.mjs";
import { startService, stopService } from "../devnet/lib/services.mjs";
import { heal, partition } from "../devnet/lib/world.mjs";
import { assertAllPing, ping, recordOf, registry } from "./lib/checks.mjs";
import { cluster, deployment, instance, nodes, recordFigure } from "./lib/mesh.mjs";

const all = nodes();
const [first, second, third] = all;
// A redial may wait 30 s, and a handshake that met the outage starts again after some more.
const RECOVERY_MS = 90_000;

async function meshAddress(node) {
  return recordOf(await registry(instance, cluster), node).meshIpv4;
}

const assertUnreachable = (from, address) =>
  assert.rejects(runInNode(instance, from, ["ping", "-c", "2", "-W", "1", address]), "nothing should pass");

test("gateway: nodes do not reach each other around it", async () => {
  const pairs = all.flatMap((node) => all.filter((other) => other !== node).map((other) => [node, other]));
  await Promise.all(pairs.map(([node, other]) => assertUnreachable(node, other.address)));
});

test("gateway: streams come back after it was killed", async () => {
  await stopService(instance, "gateway", "KILL");
  await assertUnreachable(first, await meshAddress(second));
  const started = Date.now();
  await startService(instance, "gateway", deployment);
  await ping(instance, first, await meshAddress(second), { timeoutMs: RECOVERY_MS });
  recordFigure(instance, "gateway_recovery_seconds", ((Date.now() - started) / 1000).toFixed(1));
  await assertAllPing(instance, cluster, all);
});

test("gateway: a partition parts two nodes and nobody else, and heals", async () => {
  await partition(instance, first.index, second.index);
  await assertUnreachable(first, await meshAddress(second));
  await ping(instance, first, await meshAddress(third));
  await ping(instance, second, await meshAddress(third));
  await heal(instance);
  await ping(instance, first, await meshAddress(second), { timeoutMs: RECOVERY_MS });
});
