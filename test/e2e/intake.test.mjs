// A node without the indexer, behind the RPCs that providers offer: it finds the right one, follows the
// registry by its events, and takes back what a reorganisation takes back.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { awaitDaemon, logFile, startDaemon } from "../devnet/lib/daemon.mjs";
import { deployMembers } from "../devnet/lib/deploy.mjs";
import { meshctl } from "../devnet/lib/node.mjs";
import { startAgent, startGuestAgent } from "../devnet/lib/node-room.mjs";
import { createRoom } from "../devnet/lib/room.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { RPC_URL, WORLD, WORLD_ADDRESS } from "../devnet/lib/topology.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { jsonRpc } from "../devnet/lib/world.mjs";
import { undoFrom } from "./lib/blocks.mjs";
import { recordOf, registry, wgPeers } from "./lib/checks.mjs";
import { cluster, deployment, instance, nodes } from "./lib/mesh.mjs";
import { openSpare } from "./lib/spare.mjs";
import { readCluster, register } from "./lib/witness.mjs";

const PROXY = { name: "rpc-proxy", room: WORLD };
const PROXY_PORT = 8546;
const PROXY_URL = `http://${WORLD_ADDRESS}:${PROXY_PORT}`;
const SEEN = { timeoutMs: 60_000 };

let follower;
const status = async (node) => (await meshctl(instance, node, "status"))[0];

// How often the follower asked for something and got it, or did not.
const count = (line) => readFileSync(logFile(instance, PROXY.name), "utf8").split(line).length - 1;
const pagesRead = () => count("membersPage answered");

async function everybody() {
  const members = await registry(instance, cluster);
  return [...nodes(), follower].filter((node) => recordOf(members, node));
}

const awaitAgreement = async () =>
  Promise.all(
    (await everybody()).map((node) =>
      waitFor(`${node.name} to agree with the chain`, async () => {
        const expected = (await registry(instance, cluster)).map(({ wgPubKey }) => wgPubKey);
        const { self, registry_version: version } = await status(node);
        const [found] = await readCluster(instance, cluster, "nodeState", [self.member_id]);
        assert.equal(version, Number(found));
        const peers = (await wgPeers(instance, node)).map(({ publicKey }) => publicKey);
        assert.equal(peers.length, expected.length - 1);
        return peers.every((key) => expected.includes(key));
      }, SEEN),
    ),
  );

test("intake: endpoints of another chain, too busy, or narrow do not keep a node from joining", async () => {
  const script = fileURLToPath(new URL("lib/rpc-proxy.mjs", import.meta.url));
  await startDaemon(instance, PROXY, [process.execPath, script, WORLD_ADDRESS, String(PROXY_PORT), RPC_URL]);
  await awaitDaemon(instance, PROXY, () => jsonRpc(instance, `${PROXY_URL}/plain`, "eth_chainId"), 20_000);

  follower = await openSpare(instance, deployment, 203);
  await startGuestAgent(instance, follower);
  const urls = ["other-chain", "busy", "narrow"].map((path) => `${PROXY_URL}/${path}`);
  await startAgent(instance, follower, { RPC_URL: urls.join(",") });
  await awaitHealthy(instance, [{ ...follower }]);

  const { rpc } = await status(follower);
  assert.deepEqual(rpc.map(({ other_chain: chain }) => chain), [5, 0, 0]);
  assert.deepEqual(rpc.map(({ working }) => working), [false, false, true]);
  assert.ok(rpc[1].rate_limits > 0);
  assert.equal(rpc[2].failures, 0);
  assert.equal(rpc[0].requests, 1, "what serves another chain is never asked again");
  await awaitAgreement();
});

let witness;
test("intake: a new member costs its events and its own page, in ranges that the provider gives", async () => {
  const [refused, pages] = [count("/narrow eth_getLogs refused"), pagesRead()];
  const [memberContract] = await deployMembers(instance, deployment, [204]);
  witness = { name: "n204", index: 204, memberContract };
  await createRoom(instance, witness.name);
  await startGuestAgent(instance, witness);
  witness.receipt = (await register(instance, cluster, witness)).receipt;
  assert.equal(witness.receipt.success, true);
  await awaitAgreement();
  assert.ok(count("/narrow eth_getLogs answered") > 0);
  assert.ok(count("/narrow eth_getLogs refused") >= refused);
  assert.equal(pagesRead(), pages + 1);
});

test("intake: a member whose registration a reorganisation undoes leaves every device", async () => {
  const members = async () => (await registry(instance, cluster)).length;
  const [before, pages] = [await members(), pagesRead()];
  await undoFrom(Number(witness.receipt.receipt.blockNumber));
  await waitFor("the chain to forget it", async () => (await members()) === before - 1);
  await awaitAgreement();
  assert.equal(pagesRead(), pages, "events alone told of it");
  assert.equal((await status(follower)).phase, "healthy");
});
