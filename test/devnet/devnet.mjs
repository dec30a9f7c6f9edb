// The command line of the devnet: reads the words, calls lib/.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { logFile } from "./lib/daemon.mjs";
import { openInstance, readJson } from "./lib/instance.mjs";
import { agentLog, findNode, inNode, startNode, stopNode } from "./lib/node.mjs";
import { deploymentFile } from "./lib/deploy.mjs";
import { down } from "./lib/down.mjs";
import { findRoom, findRooms, inRoom } from "./lib/room.mjs";
import { DevnetError, runAttached } from "./lib/run.mjs";
import { SERVICES, startService, stopService } from "./lib/services.mjs";
import { formatNodes, formatServices, observe } from "./lib/status.mjs";
import { WORLD } from "./lib/topology.mjs";
import { up } from "./lib/up.mjs";
import { heal, partition } from "./lib/world.mjs";

const HELP = `A whole AttestMesh on one machine: chain, bundler, sponsor, gateway, nodes; all the real programs.

usage: devnet [--name INSTANCE] COMMAND

  up [--nodes N] [--backend auto|kernel|userspace] [--no-indexer]
                              start what is missing, wait until all nodes are healthy
  status [--json]             phases, addresses, peers, ports, process ids
  exec NODE -- COMMAND...     run a command inside a node, or inside "world"
  logs NODE|SERVICE [-f]      what it wrote
  stop|start|kill NODE|SERVICE
                              end an agent or a service politely, start it again, end it by force
  partition NODE NODE         let nothing pass between two nodes
  heal                        end all partitions
  down [--keep-logs]          end everything and remove every trace

NODE: n1, n2, ...    SERVICE: ${Object.keys(SERVICES).join(" ")}
INSTANCE: several devnets can run side by side; default dev. DEVNET_DIR: where instances are kept (.devnet).
DEVNET_BUILD: the build folder that the programs come from (build).`;

class UsageError extends Error {}

const say = (subject, text) => console.log(`devnet: ${subject.padEnd(10)} ${text}`);

function requireNode(instance, name) {
  const node = findNode(instance, name ?? "");
  if (!node) throw new UsageError(`no such node: ${name ?? "(none given)"}`);
  return node;
}

function requireRunning(instance) {
  if (!findRooms(instance).has(WORLD)) throw new DevnetError("no devnet runs here: devnet up starts one");
}

async function showStatus(instance, values) {
  const running = findRooms(instance).has(WORLD);
  if (!running && !values.json) throw new DevnetError("no devnet runs here: devnet up starts one");
  const view = await observe(instance);
  if (values.json) console.log(JSON.stringify(view, null, 2));
  else console.log(`${formatServices(view.services)}\n\n${formatNodes(view.nodes)}`);
}

async function execute(instance, _values, [name, ...argv]) {
  requireRunning(instance);
  if (argv.length === 0) throw new UsageError("exec: which command?");
  if (name === WORLD) return runAttached([...inRoom(findRoom(instance, WORLD)), ...argv]);
  return runAttached(inNode(instance, requireNode(instance, name), argv));
}

function showLogs(instance, values, [name]) {
  const file = name in SERVICES ? logFile(instance, name) : agentLog(instance, requireNode(instance, name));
  if (!existsSync(file)) throw new DevnetError(`${name} has written nothing`);
  return runAttached(["tail", "-n", values.follow ? "20" : "+1", ...(values.follow ? ["-f"] : []), file]);
}

async function startOne(instance, _values, [name]) {
  requireRunning(instance);
  if (name in SERVICES) await startService(instance, name, readJson(deploymentFile(instance)));
  else await startNode(instance, requireNode(instance, name));
}

async function endOne(instance, name, signal) {
  requireRunning(instance);
  if (name in SERVICES) await stopService(instance, name, signal);
  else await stopNode(instance, requireNode(instance, name), signal);
}

const COMMANDS = {
  up: (instance, { nodes, backend, "no-indexer": without }) =>
    up(instance, { nodes: Number(nodes ?? 3), backend, indexer: !without }, say),
  status: showStatus,
  exec: execute,
  logs: showLogs,
  start: startOne,
  stop: (instance, _values, [name]) => endOne(instance, name, "TERM"),
  kill: (instance, _values, [name]) => endOne(instance, name, "KILL"),
  partition: (instance, _values, [a, b]) =>
    partition(instance, requireNode(instance, a).index, requireNode(instance, b).index),
  heal: (instance) => heal(instance),
  down: (instance, values) => down(instance, { keepLogs: values["keep-logs"] }),
};

const OPTIONS = {
  name: { type: "string" },
  nodes: { type: "string" },
  backend: { type: "string" },
  "no-indexer": { type: "boolean" },
  json: { type: "boolean" },
  follow: { type: "boolean", short: "f" },
  "keep-logs": { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

function readWords(argv) {
  try {
    const { values, positionals } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true });
    return { values, command: positionals[0], words: positionals.slice(1) };
  } catch (error) {
    throw new UsageError(error.message);
  }
}

async function main(argv) {
  const { values, command, words } = readWords(argv);
  if (values.help || command === "help") return console.log(HELP);
  if (!command) throw new UsageError("which command? devnet help lists them");
  if (!Object.hasOwn(COMMANDS, command)) throw new UsageError(`no such command: ${command}`);
  return COMMANDS[command](openInstance(values.name), values, words);
}

try {
  const code = await main(process.argv.slice(2));
  // What was written to a pipe goes out before the process ends.
  process.stdout.write("", () => process.exit(typeof code === "number" ? code : 0));
} catch (error) {
  const expected = error instanceof DevnetError || error instanceof UsageError;
  // viem's errors are pages long, but for one sentence.
  console.error(`devnet: ${expected ? error.message : (error.shortMessage ?? error.stack)}`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
