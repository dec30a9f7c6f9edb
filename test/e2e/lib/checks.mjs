// What must hold of a mesh, asked of witnesses that are not ours: viem for the registry, wg and ping for the
// device.

import assert from "node:assert/strict";
import { concat, encodeFunctionData, keccak256, sliceHex, stringToHex } from "viem";
import { contractAbi, sendAll } from "../../devnet/lib/deploy.mjs";
import { listNodes, meshctl, runInNode } from "../../devnet/lib/node.mjs";
import { waitFor } from "../../devnet/lib/run.mjs";
import { readCluster } from "./witness.mjs";

export const INTERFACE = "attestmesh0";
const HANDSHAKE_FRESH_S = 180;

const dotted = (number) => [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");

// The text form of RFC 5952 that other tools print, by way of the URL parser, which has it.
const ipv6Text = (groups) => new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);

// PROTOCOL 2.1: fd, five bytes of the cluster, two zero bytes, eight of the member.
export function meshIpv6(cluster, memberId) {
  const prefix = sliceHex(keccak256(concat([stringToHex("attestmesh.ula.v1"), cluster])), 27);
  const digits = `fd${prefix.slice(2)}0000${sliceHex(keccak256(memberId), 24).slice(2)}`.toLowerCase();
  return ipv6Text(digits.match(/.{4}/g));
}

const loopbackOf = (index) =>
  `127.${64 + (((index + 1) >> 16) & 63)}.${((index + 1) >> 8) & 255}.${(index + 1) & 255}`;

// The live members as the contract has them, with everything that follows from it for a peer.
export async function registry(instance, cluster) {
  const [page] = await readCluster(instance, cluster, "membersPage", [0n, 1000n]);
  return page
    .map(({ memberId, record }, index) => ({
      index,
      memberId,
      memberContract: record.memberContract,
      removed: record.removed,
      wgPubKey: Buffer.from(record.wgPubKey.slice(2), "hex").toString("base64"),
      meshIpv4: dotted(record.meshIp),
      meshIpv6: meshIpv6(cluster, memberId),
      endpoint: `${loopbackOf(index)}:51901`,
    }))
    .filter((member) => !member.removed);
}

export const recordOf = (members, node) =>
  members.find(({ memberContract }) => memberContract.toLowerCase() === node.memberContract.toLowerCase());

// The node whose member has the lowest index is the keyholder.
export async function keyholderFirst(instance, cluster, nodes) {
  const members = await registry(instance, cluster);
  return nodes.sort((a, b) => recordOf(members, a).index - recordOf(members, b).index);
}

export async function removeMember(instance, cluster, node) {
  const { memberId } = recordOf(await registry(instance, cluster), node);
  const data = encodeFunctionData({
    abi: contractAbi("AttestFacet"),
    functionName: "removeMember",
    args: [memberId],
  });
  await sendAll(instance, [{ to: cluster, data }]);
}

// Every node gives the same key, whose hash is the contract's commitment to the present generation.
export async function assertSameKey(instance, cluster, nodes) {
  const generation = Number(await readCluster(instance, cluster, "cskGeneration"));
  const commitment = await readCluster(instance, cluster, "cskCommitment");
  const keys = await Promise.all(nodes.map((node) => meshctl(instance, node, "csk", "--yes")));
  for (const [i, [key]] of keys.entries()) {
    assert.equal(key.generation, generation, nodes[i].name);
    assert.equal(keccak256(key.key), commitment, nodes[i].name);
  }
  return keys[0][0].key;
}

export async function wgPeers(instance, node) {
  const dump = await runInNode(instance, node, ["wg", "show", INTERFACE, "dump"]);
  return dump
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => {
      const [publicKey, , endpoint, allowedIps, handshake, , , keepalive] = line.split("\t");
      return {
        publicKey,
        endpoint,
        allowedIps: allowedIps.split(",").sort(),
        handshake: Number(handshake),
        keepalive,
      };
    });
}

// `wg show` prints exactly the other live members, each as the contract says. Those that have a node of the devnet
// are kept alive and have shaken hands; the others' nodes have ended, or never were.
export async function assertDeviceAgrees(instance, cluster, node) {
  const members = await registry(instance, cluster);
  const expected = members
    .filter((member) => member !== recordOf(members, node))
    .map((member) => ({
      publicKey: member.wgPubKey,
      endpoint: member.endpoint,
      allowedIps: [`${member.meshIpv4}/32`, `${member.meshIpv6}/128`].sort(),
    }));
  const peers = await wgPeers(instance, node);
  const byKey = (a, b) => a.publicKey.localeCompare(b.publicKey);
  const configured = peers.map(({ handshake: _, keepalive: __, ...peer }) => peer);
  assert.deepEqual(configured.sort(byKey), expected.sort(byKey));
  const present = new Set(listNodes(instance).map((each) => recordOf(members, each)?.wgPubKey));
  const now = Number(await runInNode(instance, node, ["date", "+%s"]));
  for (const { publicKey, handshake, keepalive } of peers.filter(({ publicKey }) => present.has(publicKey))) {
    assert.equal(keepalive, "25", `${node.name}: ${publicKey}`);
    assert.ok(
      handshake > 0 && now - handshake < HANDSHAKE_FRESH_S,
      `${node.name}: no recent handshake with ${publicKey}`,
    );
  }
}

export function ping(instance, node, address, { timeoutMs = 15_000 } = {}) {
  const argv = ["ping", "-c", "1", "-W", "2", address];
  return waitFor(`${node.name} to reach ${address}`, () => runInNode(instance, node, argv), { timeoutMs });
}

// Every node reaches every other at both of its mesh addresses, those of `members`.
export async function assertPing(instance, members, nodes, options) {
  for (const from of nodes) {
    for (const to of nodes.filter((node) => node !== from)) {
      const { meshIpv4, meshIpv6: v6 } = recordOf(members, to);
      await ping(instance, from, meshIpv4, options);
      await ping(instance, from, v6, options);
    }
  }
}

export async function assertAllPing(instance, cluster, nodes, options) {
  await assertPing(instance, await registry(instance, cluster), nodes, options);
}

const HEALTH_URL = "http://127.0.0.1:9090";

export async function healthz(instance, node) {
  const curl = ["curl", "-s", "-m", "5", "-w", "%{stderr}%{http_code}", `${HEALTH_URL}/healthz`];
  const [body, code] = (
    await runInNode(instance, node, ["sh", "-c", '"$@" 2>&1; echo', "sh", ...curl])
  ).split("\n");
  return { code: Number(code), body: JSON.parse(body) };
}

const SAMPLE = /^(?<name>[a-z_]+)(\{(?<labels>[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*)\})? (?<value>\d+)$/;

// The samples of a node's metrics, "name" or "name{labels}" -> value. Every sample has a type, and none comes twice.
export async function metrics(instance, node) {
  const text = await runInNode(instance, node, ["curl", "-s", "-m", "5", `${HEALTH_URL}/metrics`]);
  const typed = new Set([...text.matchAll(/^# TYPE (\S+) (?:counter|gauge)$/gm)].map(([, name]) => name));
  const samples = new Map();
  for (const line of text.trim().split("\n").filter((line) => !line.startsWith("#"))) {
    const { name, labels, value } = SAMPLE.exec(line)?.groups ?? assert.fail(`no sample: ${line}`);
    const key = labels ? `${name}{${labels}}` : name;
    assert.ok(typed.has(name), `${name} has no type`);
    assert.ok(!samples.has(key), `${key} comes twice`);
    samples.set(key, Number(value));
  }
  return samples;
}
