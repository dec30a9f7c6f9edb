// Two guests have become a mesh: the stock tools inside agree with the contract.

import assert from "node:assert/strict";
import { test } from "node:test";
import { meshctl, runInNode, startNode, stopNode } from "../devnet/lib/node.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { INTERFACE, assertAllPing, assertDeviceAgrees } from "../e2e/lib/checks.mjs";
import { cluster, instance, nodes } from "../e2e/lib/mesh.mjs";
import { accountNonce } from "../e2e/lib/witness.mjs";

const DEVICE_CHECK_MS = 300_000; // an emulated processor
const FOLLOW_MS = 60_000;

test("kernel: the reconciler drives a kernel device", async () => {
  const report = await runInNode(instance, nodes()[0], ["device_check", "kernel"], {
    timeoutMs: DEVICE_CHECK_MS,
  });
  assert.match(report, /^ok - /m);
  assert.doesNotMatch(report, /^FAILED/m);
});

for (const node of nodes()) {
  test(`kernel: the device of ${node.name} is the kernel's`, async () => {
    assert.match(await runInNode(instance, node, ["uname", "-v"]), /Debian/);
    assert.match(await runInNode(instance, node, ["ip", "-d", "link", "show", INTERFACE]), /^ {4}wireguard/m);
  });

  test(`kernel: wg show in ${node.name} agrees with the contract`, () =>
    assertDeviceAgrees(instance, cluster, node));
}

test("kernel: the guests reach each other at both mesh addresses", () =>
  assertAllPing(instance, cluster, nodes()));

test("kernel: the device takes the next WireGuard key, and the peers follow", async () => {
  const [node] = nodes();
  const states = await meshctl(instance, node, "rotate-wg-key");
  assert.equal(states.at(-1).state, "done");
  for (const each of nodes()) {
    const agrees = () => assertDeviceAgrees(instance, cluster, each).then(() => true);
    await waitFor(`${each.name} to agree`, agrees, { timeoutMs: FOLLOW_MS });
  }
  await assertAllPing(instance, cluster, nodes());
});

test("kernel: an agent that ended by force re-uses its registration and its device", async () => {
  const [node] = nodes();
  const state = async () => ({
    nonce: await accountNonce(instance, node),
    device: await runInNode(instance, node, ["cat", `/sys/class/net/${INTERFACE}/ifindex`]),
  });
  const before = await state();
  await stopNode(instance, node, "KILL");
  await startNode(instance, node);
  await awaitHealthy(instance, nodes());
  assert.deepEqual(await state(), before);
  await assertAllPing(instance, cluster, nodes());
});
