// A node that comes later joins by itself, and everybody takes it in.

import assert from "node:assert/strict";
import { test } from "node:test";
import { up } from "../devnet/lib/up.mjs";
import { assertAllPing, assertDeviceAgrees, recordOf, registry } from "./lib/checks.mjs";
import { cluster, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { readCluster } from "./lib/witness.mjs";

test("join: a fourth node becomes a member of a running mesh", async () => {
  const count = nodes().length + 1;
  const started = Date.now();
  await up(instance, { nodes: count });
  recordFigure(instance, "join_seconds", ((Date.now() - started) / 1000).toFixed(1));

  const newcomer = nodes().at(-1);
  assert.equal(nodes().length, count);
  assert.ok(recordOf(await registry(instance, cluster), newcomer));
  assert.equal(await readCluster(instance, cluster, "isClusterMember", [newcomer.memberContract]), true);
  for (const node of nodes()) await assertDeviceAgrees(instance, cluster, node);
  await assertAllPing(instance, cluster, nodes());
});
