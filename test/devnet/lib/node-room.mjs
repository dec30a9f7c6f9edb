// A node as a room: a cable to the world, a guest agent and the agent, all under their default paths.

import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { AGENT, MESHCTL, agentEnvironment, guestAgentCommand } from "./agent.mjs";
import { awaitDaemon, daemonPid, logFile, startDaemon, stopDaemon } from "./daemon.mjs";
import { createRoom, findRoom, findRooms, inRoom } from "./room.mjs";
import { run } from "./run.mjs";
import { plugRoom } from "./world.mjs";

const GUEST_AGENT_SOCKET = "/var/run/dstack.sock";
const GUEST_AGENT_READY_MS = 20_000;

const agentDaemon = (node) => ({ name: node.name, room: node.name });
const guestAgentDaemon = (node) => ({ name: `${node.name}-guest-agent`, room: node.name });

// The words that run a command inside; it finds meshctl.
function command(instance, node, argv) {
  const path = `PATH=${dirname(MESHCTL)}:${process.env.PATH}`;
  return [...inRoom(findRoom(instance, node.name)), "env", path, ...argv];
}

export async function startGuestAgent(instance, node, options) {
  const daemon = guestAgentDaemon(node);
  await startDaemon(instance, daemon, guestAgentCommand(node, GUEST_AGENT_SOCKET, options));
  const ask = [
    "curl",
    "-s",
    "-m",
    "5",
    "-o",
    "/dev/null",
    "--unix-socket",
    GUEST_AGENT_SOCKET,
    "http://dstack/Info",
  ];
  const answers = () => run(command(instance, node, ask)).then(() => true);
  await awaitDaemon(instance, daemon, answers, GUEST_AGENT_READY_MS);
}

export const stopGuestAgent = (instance, node) => stopDaemon(instance, guestAgentDaemon(node));

export async function startAgent(instance, node, overrides = {}) {
  const state = join(instance.nodes, node.name);
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const env = { ...agentEnvironment(node), STATE_DIR: state, ...overrides };
  await startDaemon(instance, agentDaemon(node), [AGENT], env);
}

async function open(instance, node) {
  if (!findRooms(instance).has(node.name)) {
    await plugRoom(instance, await createRoom(instance, node.name), node.index);
  }
  await startGuestAgent(instance, node);
}

export const room = {
  open,
  startAgent: (instance, node) => startAgent(instance, node),
  stopAgent: (instance, node, signal) => stopDaemon(instance, agentDaemon(node), signal),
  agentPid: (instance, node) => daemonPid(instance, agentDaemon(node)),
  agentLog: (instance, node) => logFile(instance, node.name),
  command,
};
