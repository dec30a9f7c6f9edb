// A node of which no agent is a member yet: where tests start agents that have something wrong about them.

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { encodeDeployData, encodeFunctionData } from "viem";
import { AGENT, agentEnvironment } from "../../devnet/lib/agent.mjs";
import { ACCOUNTS } from "../../devnet/lib/chain.mjs";
import { awaitDaemon, logFile, startDaemon, stopDaemon } from "../../devnet/lib/daemon.mjs";
import { contractAbi, contractArtifact, deployMembers, sendAll } from "../../devnet/lib/deploy.mjs";
import { listNodes, recordNode, runInNode, startNode } from "../../devnet/lib/node.mjs";
import { room, startGuestAgent, stopGuestAgent } from "../../devnet/lib/node-room.mjs";
import { createRoom } from "../../devnet/lib/room.mjs";
import { DevnetError } from "../../devnet/lib/run.mjs";
import { PIMLICO_KEY, WORKER_ENV, workerCommand, workerVariables } from "../../devnet/lib/services.mjs";
import {
  BUNDLER_URL,
  RPC_URL,
  WORKER_URL,
  WORLD,
  WORLD_ADDRESS,
  nodeAddress,
} from "../../devnet/lib/topology.mjs";
import { httpGet, jsonRpc, plugRoom } from "../../devnet/lib/world.mjs";

export async function openSpare(instance, deployment, index) {
  const [memberContract] = await deployMembers(instance, deployment, [index]);
  const spare = {
    name: `n${index}`,
    kind: "room",
    backend: "userspace",
    index,
    memberContract,
    address: nodeAddress(index),
  };
  await plugRoom(instance, await createRoom(instance, spare.name), index);
  return spare;
}

// A node that is to join, of the kind of another one.
export async function addNode(instance, deployment, like) {
  const index = Math.max(...listNodes(instance).map((node) => node.index)) + 1;
  const [contract] = await deployMembers(instance, deployment, [index]);
  const node = recordNode(instance, index, like, contract, like.indexerRegistry);
  await startNode(instance, node);
  return node;
}

// A spare node with a guest agent and a folder for its state, which tells nobody where it is.
export async function withSpare(instance, deployment, index, body) {
  const spare = await openSpare(instance, deployment, index);
  const state = join(instance.nodes, `${spare.name}-state`);
  mkdirSync(state, { mode: 0o700 });
  await startGuestAgent(instance, spare);
  try {
    await body(spare, { STATE_DIR: state, ENVELOPE_MAX_MEMBERS: "0" });
  } finally {
    await stopGuestAgent(instance, spare);
  }
}

// A member contract that looks right and knows the cluster, but does not come from the factory.
export async function deployForeignMember(instance, { cluster, memberImplementation }) {
  const initialize = encodeFunctionData({
    abi: contractAbi("ClusterMember"),
    functionName: "initialize",
    args: [cluster],
  });
  const { abi, bytecode } = contractArtifact("ERC1967Proxy");
  const data = encodeDeployData({ abi, bytecode: bytecode.object, args: [memberImplementation, initialize] });
  const [{ contractAddress }] = await sendAll(instance, [{ data }]);
  return contractAddress;
}

export async function startGullibleSponsor(instance, { paymaster }, port) {
  const script = fileURLToPath(new URL("gullible-sponsor.mjs", import.meta.url));
  const daemon = { name: "gullible-sponsor", room: WORLD };
  await startDaemon(instance, daemon, [
    process.execPath,
    script,
    WORLD_ADDRESS,
    String(port),
    paymaster,
    ACCOUNTS.sponsor.key,
  ]);
}

const vendorDaemon = (port) => ({ name: `vendor-${port}`, room: WORLD });

// Alchemy and Pimlico at one URL, which is also the bundler's.
export async function startVendor(instance, { paymaster }, port) {
  const script = fileURLToPath(new URL("vendor.mjs", import.meta.url));
  const services = [BUNDLER_URL, RPC_URL, WORKER_URL, paymaster, ACCOUNTS.sponsor.key, PIMLICO_KEY];
  await startDaemon(instance, vendorDaemon(port), [
    process.execPath,
    script,
    WORLD_ADDRESS,
    String(port),
    ...services,
  ]);
  const url = `http://${WORLD_ADDRESS}:${port}`;
  await awaitDaemon(
    instance,
    vendorDaemon(port),
    () => jsonRpc(instance, url, "eth_supportedEntryPoints"),
    20_000,
  );
  return url;
}

export const stopVendor = (instance, port) => stopDaemon(instance, vendorDaemon(port), "KILL");

// The methods that the vendor was asked for, in order.
export const vendorRequests = (instance, port) =>
  readFileSync(logFile(instance, vendorDaemon(port).name), "utf8")
    .trim()
    .split("\n");

// Another Worker than the devnet's: `changes` are to its variables.
export async function startWorker(instance, deployment, name, port, changes) {
  const daemon = { name, room: WORLD };
  const variables = { ...workerVariables(deployment), ...changes };
  const command = workerCommand(instance, { name, port, inspectorPort: port + 1000 }, variables);
  await startDaemon(instance, daemon, command, WORKER_ENV);
  const url = `http://${WORLD_ADDRESS}:${port}`;
  await awaitDaemon(instance, daemon, () => httpGet(instance, WORLD, `${url}/healthz`), 60_000);
  return url;
}

export const stopWorker = (instance, name) => stopDaemon(instance, { name, room: WORLD });

// Starts an agent and waits for the first line that matches, or for its end. Gives {line, lines, code}: code
// is undefined while the agent runs; `stop` ends it.
export async function startWrongAgent(instance, spare, overrides, expected, { timeoutMs = 40_000 } = {}) {
  const env = Object.entries({ ...agentEnvironment(spare), LOG_FORMAT: "json", ...overrides });
  const assignments = env
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`);
  const [command, ...words] = room.command(instance, spare, [
    "env",
    "-i",
    `PATH=${process.env.PATH}`,
    ...assignments,
    AGENT,
  ]);
  const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"] });
  const lines = [];
  const ended = new Promise((resolve) => child.on("close", resolve));
  const matched = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        if (expected.test(line)) resolve(line);
      });
    }
  });
  const late = new Promise((resolve) => setTimeout(resolve, timeoutMs, "late").unref());
  const outcome = await Promise.race([matched, ended.then(() => "ended"), late]);
  const stop = async (signal = "TERM") => {
    const kill = `kill -${signal} $(pidof cluster-mesh-agent) 2>/dev/null || true`;
    await runInNode(instance, spare, ["sh", "-c", kill]);
    return ended;
  };
  if (outcome === "late") {
    await stop();
    throw new DevnetError(`no line matches ${expected} within ${timeoutMs / 1000} s:\n${lines.join("\n")}`);
  }
  return { line: lines.find((line) => expected.test(line)), lines, ended, stop };
}
