// Three nodes have become a mesh: what it does, and what it says about itself.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { agentLog, agentPid, meshctl } from "../devnet/lib/node.mjs";
import { assertAllPing, assertDeviceAgrees, healthz, metrics, recordOf, registry } from "./lib/checks.mjs";
import { cluster, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { nodeKeys, readCluster } from "./lib/witness.mjs";

const AGENT_RSS_MAX_KB = 12 * 1024;

test("mesh: every node reaches every other at both mesh addresses", () =>
  assertAllPing(instance, cluster, nodes()));

for (const node of nodes()) {
  test(`mesh: wg show of ${node.name} agrees with the contract`, () =>
    assertDeviceAgrees(instance, cluster, node));

  test(`mesh: the chain holds the keys of ${node.name} as noble-curves derives them`, async () => {
    const { xPubKey, wgPubKey, ed25519PubKey } = await nodeKeys(instance, node);
    const record = await readCluster(instance, cluster, "memberOf", [node.memberContract]);
    assert.deepEqual(
      [record.xPubKey, record.wgPubKey, record.ed25519PubKey],
      [xPubKey, wgPubKey, ed25519PubKey],
    );
  });

  test(`mesh: healthz of ${node.name} is 200 and says healthy`, async () => {
    const { code, body } = await healthz(instance, node);
    assert.equal(code, 200);
    assert.equal(body.phase, "healthy");
    assert.equal(body.first_converged, true);
    assert.equal(body.live_peers, nodes().length); // the live set has this node in it
  });

  test(`mesh: meshctl of ${node.name} lists the other members as the contract does`, async () => {
    const members = await registry(instance, cluster);
    const peers = await meshctl(instance, node, "peers");
    const listed = peers.map(({ index, mesh_ipv4, mesh_ipv6, up }) => ({ index, mesh_ipv4, mesh_ipv6, up }));
    const expected = members
      .filter((member) => member !== recordOf(members, node))
      .map(({ index, meshIpv4, meshIpv6 }) => ({
        index,
        mesh_ipv4: meshIpv4,
        mesh_ipv6: meshIpv6,
        up: true,
      }));
    assert.deepEqual(listed, expected);
  });
}

test("mesh: metrics count what was done on chain and what passes to each peer", async () => {
  const [node] = nodes();
  const members = await registry(instance, cluster);
  const samples = await metrics(instance, node);
  assert.equal(samples.get("attestmesh_healthy"), 1);
  assert.ok(samples.get('attestmesh_operations_total{outcome="included"}') >= 1);
  for (const { meshIpv4 } of members.filter((member) => member !== recordOf(members, node))) {
    assert.ok(samples.get(`attestmesh_transport_sent_datagrams_total{peer="${meshIpv4}"}`) > 0, meshIpv4);
    assert.ok(samples.has(`attestmesh_transport_dropped_datagrams_total{peer="${meshIpv4}",cause="late"}`));
  }
});

// When a line of a node's log was written first, in milliseconds.
const loggedAt = (node, text) =>
  Date.parse(readFileSync(agentLog(instance, node), "utf8").split("\n").find((line) => line.includes(text)).split(" ")[0]);

test("mesh: a node is healthy soon after the receipt of its registration", () => {
  const seconds = nodes().map(
    (node) => (loggedAt(node, "phase=healthy") - loggedAt(node, "operation.included purpose=registration")) / 1000,
  );
  recordFigure(instance, "receipt_to_healthy_seconds", seconds.map((one) => one.toFixed(1)).join(" "));
  assert.ok(seconds.every((one) => one > 0));
});

test(
  "mesh: an agent is at most 12 MB resident",
  { skip: process.env.ASAN_OPTIONS && "sanitizers need memory of their own" },
  async () => {
    const sizes = await Promise.all(
      nodes().map(async (node) => {
        const status = readFileSync(`/proc/${await agentPid(instance, node)}/status`, "utf8");
        return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]);
      }),
    );
    recordFigure(instance, "agent_rss_kb", Math.max(...sizes));
    assert.ok(Math.max(...sizes) <= AGENT_RSS_MAX_KB, `resident: ${sizes.join(", ")} kB`);
  },
);
