// Everything that can stop, stops: each service for a minute, one agent, all agents, their state; a node
// joins while the one that made the shared key is dead. The mesh heals each time by itself, and of a stream
// of messages that goes on all the while none is lost.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, test } from "node:test";
import { meshctl, startNode, stopNode } from "../devnet/lib/node.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { freezeService, startService, stopService, thawService } from "../devnet/lib/services.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { undoFrom } from "./lib/blocks.mjs";
import {
  assertAllPing,
  assertDeviceAgrees,
  assertPing,
  assertSameKey,
  keyholderFirst,
  recordOf,
  registry,
} from "./lib/checks.mjs";
import { awaitAllTold, countEndpoints, lastEndpointBlock } from "./lib/envelopes.mjs";
import { cluster, deployment, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { pinging } from "./lib/pinging.mjs";
import { addNode } from "./lib/spare.mjs";
import { Stream } from "./lib/stream.mjs";

const OUTAGE_MS = 60_000;
const DEAD_S = 30;
const HEALED = { timeoutMs: 300_000 };

let originator, sender, recipient;
let stream;

before(async () => {
  [originator, sender, recipient] = await keyholderFirst(instance, cluster, nodes());
  const { memberId } = recordOf(await registry(instance, cluster), recipient);
  stream = new Stream(sender, recipient, memberId);
  await stream.passes();
});
after(() => stream?.end());

async function hearsAll(node, count) {
  const [{ converged, live_members: live }] = await meshctl(instance, node, "status");
  return converged && live === count;
}

async function assertHealed(members) {
  await awaitHealthy(instance, members, HEALED);
  await assertAllPing(instance, cluster, members, HEALED);
  for (const node of members) {
    await waitFor(`${node.name} to hear all others`, () => hearsAll(node, members.length), HEALED);
    const agrees = () => assertDeviceAgrees(instance, cluster, node).then(() => true);
    await waitFor(`the device of ${node.name} to agree`, agrees, HEALED);
  }
  await assertSameKey(instance, cluster, members);
  await stream.passes();
}

// Who hangs keeps its connections, and what it knows, and says nothing more; who is gone refuses connections,
// and what it held in memory is lost.
const ENDS = {
  hangs: { begin: (name) => freezeService(instance, name), end: (name) => thawService(instance, name) },
  "is gone": {
    begin: (name) => stopService(instance, name, "KILL"),
    end: (name) => startService(instance, name, deployment),
  },
};
const tunnels = (members) => assertPing(instance, members, nodes());
const messages = () => stream.passes();

// Each with what goes on meanwhile. The chain hangs, for it must keep its state, and a provider that swallows
// requests is worse than one that refuses them; the bundler dies with the operations that it was sent; the
// sponsor is asked for more than one call, any of which may hang; of the gateway's streams, those that end
// and those that stand still are noticed in different ways.
const OUTAGES = [
  ["chain", "hangs", tunnels],
  ["bundler", "is gone", tunnels],
  ["worker", "hangs", tunnels],
  ["gateway", "is gone", messages],
  ["gateway", "hangs", messages],
];

for (const [service, how, goOn] of OUTAGES) {
  test(`outage: the ${service} ${how} for a minute`, async () => {
    const members = await registry(instance, cluster);
    const minute = sleep(OUTAGE_MS);
    await ENDS[how].begin(service);
    try {
      await goOn(members);
      await minute;
    } finally {
      await ENDS[how].end(service);
    }
    const started = Date.now();
    await assertHealed(nodes());
    const figure = `outage_${service}_${how.replaceAll(" ", "_")}_healed_seconds`;
    recordFigure(instance, figure, ((Date.now() - started) / 1000).toFixed(1));
  });
}

test("outage: an agent is killed, and what runs between the others goes on", async () => {
  const { meshIpv4 } = recordOf(await registry(instance, cluster), recipient);
  const stop = pinging(sender, meshIpv4);
  await stopNode(instance, originator, "KILL");
  await sleep(DEAD_S * 1000);
  await startNode(instance, originator);
  await awaitHealthy(instance, [originator], HEALED);
  const pause = await stop();
  recordFigure(instance, "outage_ping_pause_seconds", pause.toFixed(1));
  assert.ok(pause < DEAD_S / 2, `nothing came for ${pause} s`);
  await assertHealed(nodes());
});

test("outage: all agents are killed at once", async () => {
  await Promise.all(nodes().map((node) => stopNode(instance, node, "KILL")));
  await Promise.all(nodes().map((node) => startNode(instance, node)));
  await assertHealed(nodes());
});

test("outage: one agent after the other loses its state while it runs, and is killed", async () => {
  for (const node of nodes()) {
    rmSync(join(instance.nodes, node.name), { recursive: true });
    await stream.passes();
    await stopNode(instance, node, "KILL");
    await startNode(instance, node);
    await awaitHealthy(instance, [node], HEALED);
  }
  await assertHealed(nodes());
});

test("outage: a node joins after the originator died, which finds it there when it is back", async () => {
  const others = nodes().filter(({ name }) => name !== originator.name);
  await stopNode(instance, originator, "KILL");
  const newcomer = await addNode(instance, deployment, originator);
  await awaitHealthy(instance, [newcomer, ...others], HEALED);
  await assertAllPing(instance, cluster, [newcomer, ...others], HEALED);
  await assertSameKey(instance, cluster, [newcomer, ...others]);
  await startNode(instance, originator);
  await assertHealed(nodes());
});

test("outage: no message was lost, and nobody but its recipient has read one", async () => {
  const { sent, lost, repeated } = await stream.end();
  recordFigure(instance, "outage_messages_sent", sent);
  recordFigure(instance, "outage_messages_lost", lost.length);
  recordFigure(instance, "outage_messages_repeated", repeated);
  assert.deepEqual(lost, []);
  for (const node of nodes().filter(({ name }) => name !== recipient.name)) {
    const events = await meshctl(instance, node, "recv");
    assert.ok(!events.some(({ event, text }) => event === "message" && stream.owns(text)), node.name);
  }
});

test("outage: an endpoint that a reorganisation undid is told again, once", async () => {
  await addNode(instance, deployment, originator);
  await awaitHealthy(instance, nodes(), HEALED);
  const told = await awaitAllTold();
  await undoFrom(await lastEndpointBlock());
  assert.notDeepEqual(await countEndpoints(), told, "the reorganisation undid none");
  assert.deepEqual(await awaitAllTold(HEALED), told);
});
