// Somebody else changes the WireGuard device: the agent puts it right, and leaves other devices alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNode } from "../devnet/lib/node.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { INTERFACE, assertAllPing, assertDeviceAgrees, wgPeers } from "./lib/checks.mjs";
import { cluster, instance, nodes } from "./lib/mesh.mjs";

const all = nodes();
const [node] = all;
const REPAIR_MS = 60_000;
const STRANGER = Buffer.alloc(32, 9).toString("base64");

const repaired = () =>
  waitFor("the repair", () => assertDeviceAgrees(instance, cluster, node).then(() => true), {
    timeoutMs: REPAIR_MS,
  });

const LOOK = `wg show ${INTERFACE} allowed-ips | sort`;
const shell = (script) => runInNode(instance, node, ["sh", "-c", script]);

const DAMAGES = 10;

// Does something to the device, and waits until it is again as the contract says. The command that does the damage looks
// at it as well; since the agent may look in between and repair it already, it is done until the damage was seen.
async function assertRepairs(argv) {
  const before = await shell(LOOK);
  let seen = false;
  for (let i = 0; i < DAMAGES && !seen; i++) {
    seen = (await shell(`${argv.join(" ")} && ${LOOK} || true`)) !== before;
    await repaired();
  }
  assert.ok(seen, "the device should have differed");
  await assertAllPing(instance, cluster, all);
}

test("device: a peer that was removed comes back", async () => {
  const [{ publicKey }] = await wgPeers(instance, node);
  await assertRepairs(["wg", "set", INTERFACE, "peer", publicKey, "remove"]);
});

test("device: a peer that is no member goes", () =>
  assertRepairs(["wg", "set", INTERFACE, "peer", STRANGER, "allowed-ips", "10.13.99.99/32"]));

test("device: allowed addresses that were changed are set right", async () => {
  const [{ publicKey }] = await wgPeers(instance, node);
  await assertRepairs(["wg", "set", INTERFACE, "peer", publicKey, "allowed-ips", "10.13.99.98/32"]);
});

// The number that the kernel gives a link; "" without one. Deleting is told of at once, so that the repair can be over
// before anything else looks: only the number shows that it is another device.
const linkNumber = async () => (await shell(`ip -o link show ${INTERFACE} 2>/dev/null || true`)).split(":")[0];

test("device: a device that was deleted is made again", async () => {
  const before = await linkNumber();
  await shell(`ip link delete ${INTERFACE}`);
  await waitFor("another device", async () => !["", before].includes(await linkNumber()), { timeoutMs: REPAIR_MS });
  await repaired();
  await assertAllPing(instance, cluster, all);
});

test("device: another link stays as it is", async (t) => {
  await shell("ip link add other0 type veth peer name other1");
  t.after(() => shell("ip link delete other0"));
  const [{ publicKey }] = await wgPeers(instance, node);
  await assertRepairs(["wg", "set", INTERFACE, "peer", publicKey, "remove"]);
  assert.match(await shell("ip link show other0"), /other0/);
});
