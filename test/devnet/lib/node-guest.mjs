// A node as a QEMU guest: Debian's kernel with its WireGuard, the agent inside, its guest agent outside on
// the world's bridge. The scripts in guest/ build, boot and enter guests.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { AGENT, MESHCTL, agentEnvironment, guestAgentCommand } from "./agent.mjs";
import { findProcess, startDaemon } from "./daemon.mjs";
import { ROOT } from "./instance.mjs";
import { findRoom, inRoom } from "./room.mjs";
import { run } from "./run.mjs";
import { BRIDGE, PORTS, PREFIX_LENGTH, WORLD, WORLD_ADDRESS, nodeLink } from "./topology.mjs";

const SCRIPTS = join(ROOT, "test/devnet/guest");
const BUILD_MS = 300_000;
const BOOT_SECONDS = 120;

const folder = (instance, node) => join(instance.nodes, node.name);
const imageFolder = (instance) => join(instance.cache, "guest");
const guestAgentDaemon = (node) => ({ name: `${node.name}-guest-agent`, room: WORLD });
const guestAgentPort = (node) => PORTS.guestAgent + node.index;

// Called once before the guests of an instance boot.
export async function buildGuestImage(instance, binaries = []) {
  await run(
    [join(SCRIPTS, "build"), imageFolder(instance), "--cache", instance.cache, AGENT, MESHCTL, ...binaries],
    { timeoutMs: BUILD_MS },
  );
}

const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

const START_AGENT = "/sbin/start-agent";
export const GUEST_STATE_DIR = "/var/lib/attestmesh"; // in memory, as all of a guest

// What is laid over the guest's root: a script that starts the agent with its environment.
function writeFiles(instance, node) {
  const files = join(folder(instance, node), "files");
  const script = join(files, START_AGENT);
  mkdirSync(dirname(script), { recursive: true });
  const env = {
    ...agentEnvironment(node),
    DSTACK_ENDPOINT: `http://${WORLD_ADDRESS}:${guestAgentPort(node)}`,
    STATE_DIR: GUEST_STATE_DIR,
  };
  const assignments = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}\n`);
  const start = 'mkdir -p -m 700 "$STATE_DIR"\nexec cluster-mesh-agent\n';
  writeFileSync(script, `#!/bin/sh\n${assignments.join("")}${start}`, { mode: 0o755 });
  return files;
}

const inWorld = (instance, argv) => [...inRoom(findRoom(instance, WORLD)), ...argv];

function isBooted(instance, node) {
  const pidFile = join(folder(instance, node), "pid");
  return existsSync(pidFile) && findProcess(instance, WORLD, Number(readFileSync(pidFile, "utf8")));
}

function command(instance, node, argv) {
  return inWorld(instance, [join(SCRIPTS, "exec"), node.address, "--", ...argv]);
}

async function open(instance, node) {
  await startDaemon(
    instance,
    guestAgentDaemon(node),
    guestAgentCommand(node, `${WORLD_ADDRESS}:${guestAgentPort(node)}`),
  );
  if (isBooted(instance, node)) return;
  await run(
    inWorld(instance, [
      join(SCRIPTS, "run"),
      "--image",
      imageFolder(instance),
      "--state",
      folder(instance, node),
      "--name",
      node.name,
      "--ip",
      `${node.address}/${PREFIX_LENGTH}`,
      "--dns",
      WORLD_ADDRESS,
      "--tap",
      nodeLink(node.index),
      "--bridge",
      BRIDGE,
      "--files",
      writeFiles(instance, node),
    ]),
  );
  await run(
    inWorld(instance, [join(SCRIPTS, "exec"), "--wait", String(BOOT_SECONDS), node.address, "--", "true"]),
    { timeoutMs: BOOT_SECONDS * 1000 },
  );
}

async function agentPid(instance, node) {
  const answer = await run(command(instance, node, ["pidof cluster-mesh-agent || true"])).catch(() => "");
  return Number(answer.trim().split(" ")[0]);
}

async function startAgent(instance, node) {
  if (await agentPid(instance, node)) return;
  await run(command(instance, node, [`setsid ${START_AGENT} </dev/null >/dev/console 2>&1 &`]));
}

async function stopAgent(instance, node, signal = "TERM") {
  await run(command(instance, node, [`kill -${signal} $(pidof cluster-mesh-agent) || true`]));
}

export const guest = {
  open,
  startAgent,
  stopAgent,
  agentPid,
  agentLog: (instance, node) => join(folder(instance, node), "console.log"),
  command,
};
