// What an operator has when something is wrong: meshctl why, meshctl doctor, meshctl down, and a node that was removed.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { encodeFunctionData } from "viem";
import { agentEnvironment } from "../devnet/lib/agent.mjs";
import { contractAbi, sendAll } from "../devnet/lib/deploy.mjs";
import { runInNode, startNode, stopNode } from "../devnet/lib/node.mjs";
import { startGuestAgent } from "../devnet/lib/node-room.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { publishNode } from "../devnet/lib/services.mjs";
import { RPC_URL, WORLD_ADDRESS, gatewayAddress } from "../devnet/lib/topology.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { heal, partition } from "../devnet/lib/world.mjs";
import { INTERFACE, assertAllPing, recordOf, registry, wgPeers } from "./lib/checks.mjs";
import { cluster, deployment, instance, nodes } from "./lib/mesh.mjs";
import { openSpare, startWrongAgent } from "./lib/spare.mjs";

const all = nodes();
const [first, second] = all;
const CHANGE_MS = 90_000;
const DEAD_URL = `http://${WORLD_ADDRESS}:1`;
const LAYERS = ["record", "device", "stream", "handshake", "heartbeat", "view"];
const HEALTHY = 0;
const FAILED = 1;
const USAGE = 2;
const UNHEALTHY = 3;

// The exit code, what was said, and the JSON lines among it.
async function outcome(node, argv) {
  const { code = 0, stdout, stderr } = await runInNode(instance, node, argv).then(
    (text) => ({ stdout: text, stderr: "" }),
    (error) => error,
  );
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  return { code, stderr, answers: lines.map((line) => JSON.parse(line)) };
}

const why = async (node, name) => {
  const { code, answers, stderr } = await outcome(node, ["meshctl", "why", name, "--json"]);
  return { code, stderr, ...answers[0] };
};

const recordIn = async (node) => recordOf(await registry(instance, cluster), node);

test("why: every layer of the path to a healthy peer works, by whatever name", async () => {
  const { index, meshIpv4, meshIpv6, memberId, memberContract } = await recordIn(second);
  for (const name of [String(index), meshIpv4, meshIpv6, memberId.slice(0, 14), memberContract]) {
    const answer = await why(first, name);
    assert.equal(answer.code, HEALTHY, name);
    assert.equal(answer.peer.index, index);
    assert.deepEqual(
      answer.layers.map(({ layer, ok }) => [layer, ok]),
      LAYERS.map((layer) => [layer, true]),
    );
  }
});

test("why: a stranger has no record, nonsense is no name, and this node has no path to itself", async () => {
  const stranger = await why(first, "10.13.255.254");
  assert.deepEqual([stranger.code, stranger.works, stranger.fails_at], [UNHEALTHY, false, "record"]);
  const nonsense = await why(first, "somebody");
  assert.equal(nonsense.code, FAILED);
  assert.match(nonsense.stderr, /or none can be/);
  const { meshIpv4 } = await recordIn(first);
  assert.equal((await why(first, meshIpv4)).code, USAGE);
});

test("why: the stream fails to a peer whose road through the gateway is cut, and to nobody else", async () => {
  const { meshIpv4 } = await recordIn(second);
  const { meshIpv4: third } = await recordIn(all[2]);
  await partition(instance, first.index, second.index);
  try {
    const answer = await waitFor(
      "the stream to fail",
      async () => {
        const one = await why(first, meshIpv4);
        return one.fails_at === "stream" ? one : undefined;
      },
      { timeoutMs: CHANGE_MS },
    );
    assert.equal(answer.code, UNHEALTHY);
    assert.notEqual(answer.advice, "");
    assert.deepEqual(
      answer.layers.map(({ layer, ok }) => [layer, ok]),
      [
        ["record", true],
        ["device", true],
        ["stream", false],
      ],
    );
    assert.equal((await why(first, third)).code, HEALTHY);
  } finally {
    await heal(instance);
  }
  await waitFor("the path to work again", async () => (await why(first, meshIpv4)).code === HEALTHY, {
    timeoutMs: CHANGE_MS,
  });
});

async function doctor(overrides = {}, prefix = []) {
  const environment = Object.entries({ ...agentEnvironment(first), ...overrides });
  const assignments = environment.map(([name, value]) => `${name}=${value}`);
  const { code, answers } = await outcome(first, ["env", ...assignments, ...prefix, "meshctl", "doctor", "--json"]);
  return { code, findings: answers };
}

const broken = ({ findings }) => findings.filter(({ state }) => state !== "ok").map(({ check }) => check);

test("doctor: finds nothing wrong on a healthy node", async () => {
  const { code, findings } = await doctor();
  assert.deepEqual(
    findings.filter(({ state }) => state !== "ok"),
    [],
  );
  assert.equal(code, HEALTHY);
});

// What is broken; the variables that break it; the checks that must fail, and what the first of them says.
const BREAKS = [
  ["a malformed variable", { RPC_URL: "nonsense" }, ["config"], /RPC_URL/],
  ["another chain's id", { CHAIN_ID: "1" }, ["rpc"], /serves chain 31337, CHAIN_ID is 1/],
  ["a dead RPC beside a good one", { RPC_URL: `${RPC_URL},${DEAD_URL}` }, ["rpc"], /10\.99\.0\.1:1/],
  ["a dead bundler", { BUNDLER_URL: DEAD_URL }, ["bundler"], /10\.99\.0\.1:1/],
  ["a bundler that is none", { BUNDLER_URL: RPC_URL }, ["bundler"], /eth_supportedEntryPoints/],
  ["another EntryPoint", { ENTRY_POINT: `0x${"12".repeat(20)}` }, ["bundler"], /does not support 0x1212/],
  ["a dead sponsor", { SPONSOR: `erc7677=${DEAD_URL}` }, ["sponsor"], /10\.99\.0\.1:1/],
  ["no guest agent", { DSTACK_ENDPOINT: "/run/nobody.sock" }, ["guest agent"], /nobody\.sock/],
  ["a contract of no cluster", { MEMBER_CONTRACT: `0x${"12".repeat(20)}` }, ["membership"], /no such contract at 0x1212/],
  ["an unknown gateway", { GATEWAY_DOMAIN: "nowhere.invalid" }, ["gateway"], /nowhere\.invalid/],
  ["no registry of indexers", { INDEXER_REGISTRY: `0x${"12".repeat(20)}` }, ["indexer"], /no such contract at 0x1212/],
];

for (const [what, overrides, checks, fact] of BREAKS) {
  test(`doctor: finds ${what}`, async () => {
    const diagnosis = await doctor(overrides);
    const failed = diagnosis.findings.filter(({ state }) => state === "FAIL");
    assert.deepEqual(
      failed.map(({ check }) => check),
      checks,
    );
    assert.match(failed[0].fact, fact);
    assert.equal(diagnosis.code, UNHEALTHY);
  });
}

test("doctor: finds a missing capability", async () => {
  const diagnosis = await doctor({}, ["setpriv", "--bounding-set", "-net_admin"]);
  assert.ok(broken(diagnosis).includes("capabilities"));
  assert.equal(diagnosis.code, UNHEALTHY);
});

test("doctor: warns of a state folder that is open to others", async () => {
  const folder = join(instance.dir, "open-state");
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  const diagnosis = await doctor({ STATE_DIR: folder });
  assert.deepEqual(broken(diagnosis), ["state dir"]);
  assert.equal(diagnosis.code, HEALTHY);
});

test("doctor: works without the agent, and says so; down removes the device and nothing else", async () => {
  const refused = await outcome(first, ["meshctl", "down"]);
  assert.equal(refused.code, FAILED);
  assert.match(refused.stderr, /is running; stop it first/);
  await runInNode(instance, first, ["ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1"]);
  await stopNode(instance, first);
  const diagnosis = await doctor();
  assert.deepEqual(broken(diagnosis), ["gateway", "agent"]);
  assert.equal(diagnosis.code, HEALTHY);
  await runInNode(instance, first, ["meshctl", "down"]);
  assert.doesNotMatch(await runInNode(instance, first, ["ip", "addr"]), new RegExp(INTERFACE));
  assert.doesNotMatch(await runInNode(instance, first, ["ip", "route"]), new RegExp(INTERFACE));
  await runInNode(instance, first, ["meshctl", "down"]); // again: nothing to do
  assert.match(await runInNode(instance, first, ["ip", "link"]), /other0/);
  await runInNode(instance, first, ["ip", "link", "delete", "other0"]);
  await startNode(instance, first);
  await awaitHealthy(instance, [first]);
  await assertAllPing(instance, cluster, all);
});

test("removal: the others drop a removed member; its agent says so, ends, and its device carries nothing", async () => {
  const spare = await openSpare(instance, deployment, Math.max(...all.map(({ index }) => index)) + 20);
  publishNode(instance, { ...spare, gatewayAddress: gatewayAddress(spare.index) });
  await startGuestAgent(instance, spare);
  const agent = await startWrongAgent(instance, spare, {}, /"phase":"healthy"/, { timeoutMs: CHANGE_MS });
  const { index, memberId, wgPubKey } = await recordIn(spare);
  const data = encodeFunctionData({
    abi: contractAbi("AttestFacet"),
    functionName: "removeMember",
    args: [memberId],
  });
  await sendAll(instance, [{ to: cluster, data }]);
  assert.equal(await agent.ended, 78, "the operator must change something");
  assert.ok(agent.lines.some((line) => /this node was removed from the cluster/.test(line)));
  const link = await runInNode(instance, spare, ["ip", "-br", "link", "show", INTERFACE]);
  assert.doesNotMatch(link, /[<,]UP[,>]/);
  for (const node of all) {
    const gone = async () => !(await wgPeers(instance, node)).some(({ publicKey }) => publicKey === wgPubKey);
    await waitFor(`${node.name} to drop it`, gone, { timeoutMs: CHANGE_MS });
    const answer = await why(node, String(index));
    assert.deepEqual([answer.code, answer.fails_at], [UNHEALTHY, "record"]);
    assert.match(answer.layers[0].fact, /removed from the cluster/);
  }
  const again = await startWrongAgent(instance, spare, {}, /this node was removed from the cluster/);
  assert.equal(await again.ended, 78, "also after a restart");
  await runInNode(instance, spare, ["meshctl", "down"]);
});
