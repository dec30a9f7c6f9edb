// What an instance is doing, gathered from its parts and never from memory.

import { agentPid, listNodes, meshctl } from "./node.mjs";
import { SERVICES, servicePid } from "./services.mjs";
import { PORTS } from "./topology.mjs";

// One node as its own agent describes it; an agent that does not answer has no phase of its own.
export async function observeNode(instance, node) {
  const { name, backend, kind, address, memberContract } = node;
  const pid = await agentPid(instance, node);
  const view = { name, backend: kind === "guest" ? "kernel (guest)" : backend, address, memberContract, pid };
  if (!pid) return { ...view, phase: "stopped" };
  try {
    const [[status], peers] = await Promise.all([
      meshctl(instance, node, "status"),
      meshctl(instance, node, "peers"),
    ]);
    return {
      ...view,
      phase: status.phase,
      reason: status.reason,
      meshAddress: status.self?.mesh_ipv4,
      peers,
    };
  } catch {
    return { ...view, phase: "starting" };
  }
}

export async function observe(instance) {
  const nodes = await Promise.all(listNodes(instance).map((node) => observeNode(instance, node)));
  const services = Object.keys(SERVICES).map((name) => ({
    name,
    port: PORTS[name] ?? 53,
    pid: servicePid(instance, name),
  }));
  return { instance: instance.name, directory: instance.dir, services, nodes };
}

// Rows of words as columns wide enough for each.
export function formatTable(header, rows) {
  const lines = [header, ...rows].map((row) => row.map((cell) => String(cell ?? "-")));
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function formatServices(services) {
  const rows = services.map(({ name, port, pid }) => [name, pid ? "up" : "stopped", port, pid || "-"]);
  return formatTable(["SERVICE", "STATE", "PORT", "PID"], rows);
}

function describePeers(peers = []) {
  const up = peers.filter((peer) => peer.up);
  const transports = [...new Set(up.map((peer) => peer.transport))].join(" ");
  return [`${up.length}/${peers.length}`, transports || "-"];
}

export function formatNodes(nodes) {
  const rows = nodes.map(({ name, phase, meshAddress, peers, backend, address, pid }) => [
    name,
    phase,
    meshAddress,
    ...describePeers(peers),
    backend,
    address,
    pid || "-",
  ]);
  return formatTable(["NODE", "PHASE", "MESH ADDRESS", "UP", "TRANSPORT", "BACKEND", "ADDRESS", "PID"], rows);
}
