// Another hand changes the device of a node; the agent puts it back, and traffic goes on.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { runInNode } from "../devnet/lib/node.mjs";
import { INTERFACE, assertAllPing, assertDeviceAgrees, recordOf, registry } from "./lib/checks.mjs";
import { cluster, instance, nodes, recordFigure } from "./lib/mesh.mjs";

const NOTIFIED_MS = 3000; // a second, and room for a busy machine; the next dump may be 5 s away
const NEXT_DUMP_MS = 12_000;
const STREAM_MTU = 16336;

const [node, other] = nodes();
const shell = (script) => runInNode(instance, node, ["sh", "-c", script]);
const addressOf = async (of) => recordOf(await registry(instance, cluster), of).meshIpv4;

// What repairs are about: link, addresses, routes and WireGuard's own settings.
const LOOK = `
  ip -o link show ${INTERFACE} | cut -d: -f3
  ip -o address show ${INTERFACE} scope global | cut -d' ' -f2-
  ip route show dev ${INTERFACE}
  ip -6 route show dev ${INTERFACE} proto static
  wg show ${INTERFACE} listen-port
  wg show ${INTERFACE} fwmark
  wg show ${INTERFACE} allowed-ips | sort`;

// Milliseconds until the device is as it was before.
async function repair(script, limitMs) {
  const before = await shell(LOOK);
  const started = Date.now();
  await shell(script);
  for (let now; (now = await shell(LOOK)) !== before; await sleep(20)) {
    assert.ok(Date.now() - started < limitMs, `not repaired: ${script}\n${before}\n${now}`);
  }
  return Date.now() - started;
}

const notified = async () => {
  const own = await addressOf(node);
  const prefix = (await shell(`ip route show dev ${INTERFACE} | grep / | cut -d' ' -f1`)).trim();
  return [
    `ip address del ${own}/32 dev ${INTERFACE}`,
    `ip route del ${prefix} dev ${INTERFACE}`,
    `ip route del ${await addressOf(other)} dev ${INTERFACE}`,
    `ip link set ${INTERFACE} mtu 1300`,
    `ip link set ${INTERFACE} down`,
    `ip link del ${INTERFACE}`,
  ];
};

test("drift: what the kernel tells of is repaired at once", async () => {
  let slowest = 0;
  for (const script of await notified()) slowest = Math.max(slowest, await repair(script, NOTIFIED_MS));
  recordFigure(instance, "drift_notified_ms_max", slowest);
});

test("drift: what WireGuard does not tell of is repaired after the next dump", async () => {
  const ms = await repair(`wg set ${INTERFACE} listen-port 9999 fwmark 7`, NEXT_DUMP_MS);
  recordFigure(instance, "drift_dump_ms", ms);
});

test("drift: peers on streams have the large MTU, and the rest of the mesh has not", async () => {
  const address = await addressOf(other);
  assert.match(await shell(`ip route get ${address}`), new RegExp(`mtu ${STREAM_MTU}`));
  assert.match(await shell(`ip route show dev ${INTERFACE} | grep /`), /mtu 1420/);
});

test("drift: a TCP flow goes on while its route changes between the small and the large MTU", async () => {
  const address = await addressOf(other);
  await runInNode(instance, other, ["iperf3", "--server", "--one-off", "--daemon"]);
  await sleep(500);
  const flow = shell(`iperf3 --client ${address} --time 5 --json`);
  for (let i = 0; i < 3; i++) {
    await sleep(1000);
    await shell(`ip route change ${address} dev ${INTERFACE} mtu 1420`); // the agent sets it back
  }
  const { intervals } = JSON.parse(await flow);
  const bytes = intervals.map(({ sum }) => sum.bytes);
  assert.ok(bytes.length >= 5 && bytes.every((count) => count > 0), `bytes in each second: ${bytes.join(" ")}`);
});

test("drift: the mesh is whole afterwards", async () => {
  await assertAllPing(instance, cluster, nodes());
  for (const each of nodes()) await assertDeviceAgrees(instance, cluster, each);
});
