// The agent goes and comes back: its registration and its device are still there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNode, startNode, stopNode } from "../devnet/lib/node.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { INTERFACE, assertAllPing, assertDeviceAgrees } from "./lib/checks.mjs";
import { awaitAllTold } from "./lib/envelopes.mjs";
import { cluster, instance, nodes } from "./lib/mesh.mjs";
import { accountNonce, readCluster } from "./lib/witness.mjs";

const [node] = nodes();

// What a write would change: the account's nonce and the cluster's version.
async function writes() {
  const { memberId } = await readCluster(instance, cluster, "membersPage", [0n, 1n]).then(
    ([[member]]) => member,
  );
  const [version] = await readCluster(instance, cluster, "nodeState", [memberId]);
  return { nonce: await accountNonce(instance, node), version };
}

// The device's number is the kernel's; it changes if somebody makes the device anew.
const deviceNumber = () => runInNode(instance, node, ["cat", `/sys/class/net/${INTERFACE}/ifindex`]);

for (const [how, signal] of [
  ["politely", "TERM"],
  ["by force", "KILL"],
]) {
  test(`restart: an agent that ended ${how} re-uses its registration and its device`, async () => {
    await awaitAllTold();
    const before = { ...(await writes()), device: await deviceNumber() };
    await stopNode(instance, node, signal);
    assert.equal(await deviceNumber(), before.device, "the device stays when the agent goes");
    await startNode(instance, node);
    await awaitHealthy(instance, nodes());
    assert.deepEqual({ ...(await writes()), device: await deviceNumber() }, before);
    await assertDeviceAgrees(instance, cluster, node);
    await assertAllPing(instance, cluster, nodes());
  });
}
