// Guests with the kernel's own WireGuard live through what rooms live through: the stock tools inside agree with
// the contract before and after every change.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { agentPid, meshctl, runInNode, startNode, stopNode } from "../devnet/lib/node.mjs";
import { GUEST_STATE_DIR } from "../devnet/lib/node-guest.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { awaitHealthy, up } from "../devnet/lib/up.mjs";
import {
  INTERFACE,
  assertAllPing,
  assertDeviceAgrees,
  assertSameKey,
  recordOf,
  registry,
  removeMember,
} from "../e2e/lib/checks.mjs";
import { awaitAllTold } from "../e2e/lib/envelopes.mjs";
import { cluster, instance, nodes, recordFigure } from "../e2e/lib/mesh.mjs";
import { accountNonce } from "../e2e/lib/witness.mjs";

const DEVICE_CHECK_MS = 600_000; // an emulated processor
const UNIT_TESTS_MS = 400_000;
const SEEN_MS = 90_000;
const DEAD_MS = 5_000;
const PINGS = 60; // one a second: for longer than the agent needs to come back

test("kernel: the reconciler drives a kernel device", async () => {
  const report = await runInNode(instance, nodes()[0], ["device_check", "kernel"], {
    timeoutMs: DEVICE_CHECK_MS,
  });
  assert.match(report, /^ok - /m);
  assert.doesNotMatch(report, /^FAILED/m);
});

test("kernel: the transport does what it does elsewhere, with kernel TLS", async () => {
  const command = ["test_transport", "-j1", "--filter", "@(tls|transport)/*"];
  const report = await runInNode(instance, nodes()[0], ["sh", "-c", '"$@" 2>&1', "sh", ...command], {
    timeoutMs: UNIT_TESTS_MS,
  });
  assert.match(report, /Passing: [1-9]\d* \| Failing: 0 \| Crashing: 0/);
});

for (const node of nodes()) {
  test(`kernel: the device of ${node.name} is the kernel's`, async () => {
    assert.match(await runInNode(instance, node, ["uname", "-v"]), /Debian/);
    assert.match(await runInNode(instance, node, ["ip", "-d", "link", "show", INTERFACE]), /^ {4}wireguard/m);
  });
}

test("kernel: the kernel encrypts what the guests send each other", async () => {
  for (const node of nodes()) {
    const [, streams] = /^TlsCurrTxSw\s+(\d+)$/m.exec(await runInNode(instance, node, ["cat", "/proc/net/tls_stat"]));
    assert.ok(Number(streams) > 0, `${node.name}: ${streams} streams`);
  }
});

async function assertIsMesh(members) {
  for (const node of members) await assertDeviceAgrees(instance, cluster, node);
  await assertAllPing(instance, cluster, members);
  return assertSameKey(instance, cluster, members);
}

test("kernel: the device takes the next WireGuard key, and the peers follow", async () => {
  const [node] = nodes();
  const states = await meshctl(instance, node, "rotate-wg-key");
  assert.equal(states.at(-1).state, "done");
  for (const each of nodes()) {
    const agrees = () => assertDeviceAgrees(instance, cluster, each).then(() => true);
    await waitFor(`${each.name} to agree`, agrees, { timeoutMs: SEEN_MS });
  }
  await assertAllPing(instance, cluster, nodes());
});

// What writes to the chain and a new device would change.
const stateOf = async (node) => ({
  nonce: await accountNonce(instance, node),
  device: await runInNode(instance, node, ["cat", `/sys/class/net/${INTERFACE}/ifindex`]),
});

let key;

test("kernel: the guests are a mesh, with one key", async () => {
  key = await assertIsMesh(nodes());
});

test("kernel: a message from one guest is read in the other", async () => {
  const [from, to] = nodes();
  await meshctl(instance, from, "send", to.memberContract.toLowerCase(), "from kernel to kernel");
  const isThere = async () =>
    (await meshctl(instance, to, "recv")).some(({ text }) => text === "from kernel to kernel");
  await waitFor("the message", isThere, { timeoutMs: SEEN_MS });
});

test("kernel: what runs between two guests outlasts an agent that ends by force", async () => {
  const [node, other] = nodes();
  await awaitAllTold();
  const before = await stateOf(node);
  const { meshIpv4 } = recordOf(await registry(instance, cluster), node);
  const pinging = runInNode(instance, other, ["ping", "-i", "1", "-c", String(PINGS), meshIpv4], {
    timeoutMs: 2 * PINGS * 1000,
  });
  await stopNode(instance, node, "KILL");
  await sleep(DEAD_MS);
  assert.equal((await stateOf(node)).device, before.device, "the device stays when the agent goes");
  await startNode(instance, node);
  await awaitHealthy(instance, nodes());
  const replies = await pinging;
  assert.match(replies, new RegExp(`seq=${PINGS}\\b`), "the last ping is answered");
  recordFigure(instance, "kernel_pings_lost_with_agent", PINGS - replies.match(/seq=/g).length);
  assert.deepEqual(await stateOf(node), before);
});

test("kernel: all agents at once end, lose their state, and come back as they were", async () => {
  const before = await Promise.all(nodes().map(stateOf));
  await Promise.all(nodes().map((node) => stopNode(instance, node)));
  for (const node of nodes()) {
    await waitFor(`${node.name} to end`, async () => !(await agentPid(instance, node)), {
      timeoutMs: SEEN_MS,
    });
  }
  await Promise.all(nodes().map((node) => runInNode(instance, node, ["rm", "-r", GUEST_STATE_DIR])));
  await Promise.all(nodes().map((node) => startNode(instance, node)));
  await awaitHealthy(instance, nodes());
  assert.deepEqual(await Promise.all(nodes().map(stateOf)), before);
  assert.equal(await assertIsMesh(nodes()), key);
});

test("kernel: a third guest joins", async () => {
  const started = Date.now();
  await up(instance, { nodes: nodes().length + 1, backend: "kernel" });
  recordFigure(instance, "kernel_join_seconds", ((Date.now() - started) / 1000).toFixed(1));
  assert.equal(nodes().length, 3);
  assert.equal(await assertIsMesh(nodes()), key);
});

test("kernel: a guest that is removed is on no device any more, and the others have another key", async () => {
  const [removed, ...others] = nodes().reverse();
  await removeMember(instance, cluster, removed);
  await waitFor(
    "the others to be a mesh of their own",
    async () => {
      assert.notEqual(await assertIsMesh(others), key);
      return true;
    },
    { timeoutMs: SEEN_MS },
  );
  await waitFor("the removed agent to end", async () => !(await agentPid(instance, removed)), {
    timeoutMs: SEEN_MS,
  });
});
