// The nodes of an instance: what is written down about them, and what may be asked of a node of either kind.
//   room    namespaces on this machine (node-room.mjs)
//   guest   a QEMU guest on Debian's own kernel (node-guest.mjs)

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readJson, writeJson } from "./instance.mjs";
import { guest } from "./node-guest.mjs";
import { room } from "./node-room.mjs";
import { DevnetError, run } from "./run.mjs";
import { publishNode } from "./services.mjs";
import { gatewayAddress, nodeAddress, nodeIndex, nodeName } from "./topology.mjs";

const KINDS = { room, guest };

const recordFile = (instance, name) => join(instance.nodes, `${name}.json`);

export function findNode(instance, name) {
  return nodeIndex(name) ? readJson(recordFile(instance, name)) : undefined;
}

export function listNodes(instance) {
  if (!existsSync(instance.nodes)) return [];
  const names = readdirSync(instance.nodes).filter((file) => file.endsWith(".json"));
  return names.map((file) => readJson(join(instance.nodes, file))).sort((a, b) => a.index - b.index);
}

export function recordNode(instance, index, { kind, backend }, memberContract) {
  const node = {
    name: nodeName(index),
    index,
    kind,
    backend,
    memberContract,
    address: nodeAddress(index),
    gatewayAddress: gatewayAddress(index),
  };
  writeJson(recordFile(instance, node.name), node);
  publishNode(instance, node);
  return node;
}

// Opens the node's surroundings and its guest agent, and starts the agent; what is there already is left
// alone.
export async function startNode(instance, node) {
  await KINDS[node.kind].open(instance, node);
  await KINDS[node.kind].startAgent(instance, node);
}

// The agent alone ends: guest agent, surroundings and the WireGuard device stay, as when a container
// restarts.
export const stopNode = (instance, node, signal) => KINDS[node.kind].stopAgent(instance, node, signal);

// The agent's pid (in a guest: as the guest counts), or 0.
export const agentPid = (instance, node) => KINDS[node.kind].agentPid(instance, node);

// The words that run a command inside a node.
export const inNode = (instance, node, argv) => KINDS[node.kind].command(instance, node, argv);

export const agentLog = (instance, node) => KINDS[node.kind].agentLog(instance, node);

export const runInNode = (instance, node, argv, options) => run(inNode(instance, node, argv), options);

// What meshctl answers inside a node: an object for each line.
export async function meshctl(instance, node, ...words) {
  const lines = await runInNode(instance, node, ["meshctl", ...words, "--json"]);
  return lines
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

// Which backend a node has and what it runs in. Only the host can say whether its kernel has WireGuard.
export async function chooseBackend(wanted) {
  if (!["auto", "kernel", "userspace"].includes(wanted)) {
    throw new DevnetError(`--backend ${wanted}: auto, kernel or userspace`);
  }
  if (wanted === "userspace") return { kind: "room", backend: "userspace" };
  const probe = ["unshare", "--net", "ip", "link", "add", "probe", "type", "wireguard"];
  const inKernel = await run(probe).then(
    () => true,
    () => false,
  );
  if (inKernel) return { kind: "room", backend: "kernel" };
  return wanted === "kernel" ? { kind: "guest", backend: "kernel" } : { kind: "room", backend: "userspace" };
}
