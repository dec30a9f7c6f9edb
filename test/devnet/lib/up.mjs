// `devnet up`: brings an instance to N healthy nodes from wherever it is. What runs is left alone, so the
// same call starts a mesh, adds nodes to it and mends it.

import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { AGENT, MESHCTL } from "./agent.mjs";
import { logFile } from "./daemon.mjs";
import { deployMembers, ensureDeployment } from "./deploy.mjs";
import { createFolders, removeFolders } from "./instance.mjs";
import { agentLog, chooseBackend, findNode, listNodes, recordNode, startNode } from "./node.mjs";
import { buildGuestImage } from "./node-guest.mjs";
import { destroyRooms, findRooms } from "./room.mjs";
import { DevnetError, lastLinesOf } from "./run.mjs";
import { SERVICES, servicePid, startService } from "./services.mjs";
import { observeNode } from "./status.mjs";
import { MAX_NODES, WORLD, nodeName } from "./topology.mjs";
import { createWorld } from "./world.mjs";

const HEALTHY_MS = { room: 180_000, guest: 300_000 };
const OBSERVE_EVERY_MS = 500;

// Runs a step and tells how long it took; a long one is announced when it starts.
async function step(say, subject, text, work) {
  say(subject, text);
  const started = Date.now();
  const result = await work();
  say(subject, `ready after ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return result;
}

function checkPrerequisites(count) {
  if (process.getuid() !== 0) throw new DevnetError("devnet makes network namespaces: run it as root");
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES) {
    throw new DevnetError(`--nodes: a number from 1 to ${MAX_NODES}`);
  }
  for (const program of [AGENT, MESHCTL]) {
    if (!existsSync(program))
      throw new DevnetError(`${program} is missing: run make build, or set DEVNET_BUILD`);
  }
}

// Without its world an instance is only remains of one that was ended by force.
async function startOver(instance) {
  if (findRooms(instance).has(WORLD)) return;
  await destroyRooms(instance);
  removeFolders(instance, { keepLogs: true });
}

async function startServices(instance, say) {
  await createWorld(instance);
  await startService(instance, "names");
  const deployment = await ensureDeployment(instance, (...words) => step(say, ...words));
  await startService(instance, "chain");
  const others = Object.keys(SERVICES).filter((name) => !["names", "chain"].includes(name));
  const started = step(say, "services", others.join(", "), () =>
    Promise.all(others.map((name) => startService(instance, name, deployment))),
  );
  return { deployment, started };
}

async function recordNodes(instance, deployment, count, backend) {
  const indices = Array.from({ length: count }, (_, i) => i + 1).filter(
    (i) => !findNode(instance, nodeName(i)),
  );
  if (indices.length === 0) return;
  const members = await deployMembers(instance, deployment, indices);
  indices.forEach((index, i) => recordNode(instance, index, backend, members[i]));
}

export async function up(
  instance,
  { nodes: count = 3, backend: wanted = "auto", guestBinaries, watch } = {},
  say = () => {},
) {
  checkPrerequisites(count);
  const backend = await chooseBackend(wanted);
  await startOver(instance);
  createFolders(instance);

  const { deployment, started } = await startServices(instance, say);
  await Promise.all([
    started,
    step(say, "members", `member contracts for ${count} nodes`, () =>
      recordNodes(instance, deployment, count, backend),
    ),
    backend.kind === "guest" &&
      step(say, "guests", "kernel and initramfs", () => buildGuestImage(instance, guestBinaries)),
  ]);
  const nodes = listNodes(instance);
  await step(say, "nodes", nodes.map((node) => node.name).join(" "), () =>
    Promise.all(nodes.map((node) => startNode(instance, node))),
  );
  await awaitHealthy(instance, nodes, { watch, say });
}

export async function awaitHealthy(instance, nodes, { watch, say = () => {}, timeoutMs } = {}) {
  const deadline = Date.now() + (timeoutMs ?? Math.max(...nodes.map((node) => HEALTHY_MS[node.kind])));
  const phases = new Map();
  for (;;) {
    const views = await Promise.all(nodes.map((node) => observeNode(instance, node)));
    watch?.(views);
    for (const { name, phase } of views) {
      if (!watch && phases.get(name) !== phase) say(name, phase);
      phases.set(name, phase);
    }
    const waiting = views.filter((view) => view.phase !== "healthy");
    if (waiting.length === 0) return views;
    const ended = waiting.filter((view) => !view.pid);
    if (ended.length > 0 || Date.now() > deadline) throw new DevnetError(explain(instance, nodes, waiting));
    await sleep(OBSERVE_EVERY_MS);
  }
}

// Which node hangs where and which service has ended, and their last words.
function explain(instance, nodes, waiting) {
  const hanging = waiting.map((view) => {
    const node = nodes.find(({ name }) => name === view.name);
    const state = view.pid
      ? `hangs in phase ${view.phase}: ${view.reason ?? "it does not answer"}`
      : "has ended";
    return `${view.name} ${state}\n--- ${view.name}:\n${lastLinesOf(agentLog(instance, node))}`;
  });
  const ended = Object.keys(SERVICES)
    .filter((name) => !servicePid(instance, name))
    .map((name) => `${name} has ended\n--- ${name}:\n${lastLinesOf(logFile(instance, name))}`);
  return [...ended, ...hanging, "It is left as it is: devnet status, devnet logs; devnet down ends it."].join(
    "\n\n",
  );
}
