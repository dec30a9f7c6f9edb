// What an indexer says changes nothing: neither one that lies nor one that serves another chain.

import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { encodeFunctionData } from "viem";
import { awaitDaemon, startDaemon, stopDaemon } from "../devnet/lib/daemon.mjs";
import { contractAbi, sendAll } from "../devnet/lib/deploy.mjs";
import { emitters } from "../devnet/lib/emitters.mjs";
import { announceIndexer, announceKey, indexerHealth } from "../devnet/lib/indexer.mjs";
import { meshctl, startNode, stopNode } from "../devnet/lib/node.mjs";
import { run, waitFor } from "../devnet/lib/run.mjs";
import { SERVICES } from "../devnet/lib/services.mjs";
import { CHAIN_ID, RPC_URL, WORLD, WORLD_ADDRESS } from "../devnet/lib/topology.mjs";
import { httpGet, jsonRpc } from "../devnet/lib/world.mjs";
import { assertAllPing, assertDeviceAgrees } from "./lib/checks.mjs";
import { cluster, deployment, instance, nodes } from "./lib/mesh.mjs";
import { readCluster } from "./lib/witness.mjs";

const [node, other] = nodes();
const FORGER = fileURLToPath(new URL("lib/forging-indexer.mjs", import.meta.url));
const FORGER_PORT = 51910;
const forger = { name: "forging-indexer", room: WORLD };
const subscription = () => meshctl(instance, node, "indexer").then(([answer]) => answer);
const status = () => meshctl(instance, node, "status").then(([answer]) => answer);

async function restart() {
  await stopNode(instance, node);
  await startNode(instance, node);
}

async function memberIdOf({ memberContract }) {
  const [members] = await readCluster(instance, cluster, "membersPage", [0n, 100n]);
  return members.find(({ record }) => record.memberContract.toLowerCase() === memberContract.toLowerCase()).memberId;
}

// Puts the liar in the registry and has the node find it.
async function trustForger(lie) {
  const [key, certificate] = ["forger.key", "forger.pem"].map((file) => join(instance.dir, file));
  await run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=forger",
    "-keyout", key, "-out", certificate]);
  await startDaemon(instance, forger, [process.execPath, FORGER, WORLD_ADDRESS, String(FORGER_PORT), lie, key, certificate,
    RPC_URL, String(CHAIN_ID), cluster, await memberIdOf(other)]);
  const publicKey = createPublicKey(readFileSync(key)).export({ type: "spki", format: "der" }).subarray(-32);
  await announceKey(instance, deployment, `${WORLD_ADDRESS}:${FORGER_PORT}`, `0x${publicKey.toString("hex")}`);
  await restart();
}

const alarm = (timeoutMs = 60_000) =>
  waitFor("an alarm", async () => (await subscription()).alarms === 1 && subscription(), { timeoutMs });

after(async () => {
  await stopDaemon(instance, forger);
  await announceIndexer(instance, deployment);
  await restart();
  await waitFor("the node to be caught up", async () => (await subscription()).state === "caught up", { timeoutMs: 60_000 });
});

for (const [lie, reason] of [
  ["signature", /signature/],
  ["event", /our RPC does not have/],
]) {
  test(`distrust: a forged ${lie} changes nothing and ends the session`, async () => {
    const version = (await status()).registry_version;
    await trustForger(lie);
    assert.match((await alarm()).error, reason);
    await waitFor("health", async () => (await status()).phase === "healthy", { timeoutMs: 60_000 });
    assert.equal((await status()).registry_version, version);
    await assertDeviceAgrees(instance, cluster, node);
    await assertAllPing(instance, cluster, nodes());
    await stopDaemon(instance, forger);
  });
}

test("distrust: a withheld event is found out within one poll", async () => {
  await trustForger("silence");
  await waitFor("the liar's word", async () => (await subscription()).state === "caught up", { timeoutMs: 60_000 });
  await waitFor("health", async () => (await status()).phase === "healthy", { timeoutMs: 60_000 });
  const version = (await status()).registry_version;
  // What a session that is just beginning leaves out is excused; what follows is not.
  const rotateCsk = () =>
    sendAll(instance, [{
      to: cluster, data: encodeFunctionData({ abi: contractAbi("AttestFacet"), functionName: "rotateCsk" }),
    }]);
  await rotateCsk();
  const found = await alarm(60_000).catch(() => rotateCsk().then(() => alarm(160_000)));
  assert.match(found.error, /did not tell/);
  assert.ok((await status()).registry_version > version);
  await stopDaemon(instance, forger);
});

// The same key and the same addresses on another chain, as when one indexer's enclave serves two.
test("distrust: two chains do not mix", async () => {
  const [chain, indexer] = ["other-chain", "other-indexer"].map((name) => ({ name, room: WORLD }));
  const [rpc, listen, health] = [8546, 51911, 9092].map((port) => `${WORLD_ADDRESS}:${port}`);
  const otherId = CHAIN_ID + 1;
  const [anvil] = SERVICES.chain.argv(instance);
  const healthOf = async () => JSON.parse(await httpGet(instance, WORLD, `http://${health}/healthz`));
  const { key, logs } = await indexerHealth(instance);
  try {
    await startDaemon(instance, chain, [anvil, "--host", WORLD_ADDRESS, "--port", "8546", "--chain-id", String(otherId)]);
    await awaitDaemon(instance, chain, () => jsonRpc(instance, `http://${rpc}`, "eth_chainId"), 30_000);
    const { deploy, emit } = emitters((method, ...params) => jsonRpc(instance, `http://${rpc}`, method, params),
      deployment.clusterFactory, cluster);
    await deploy();
    await emit(1000);
    await startDaemon(instance, indexer, SERVICES.indexer.argv(), {
      ...SERVICES.indexer.env(instance, deployment),
      CHAIN_ID: String(otherId), RPC_URL: `http://${rpc}`, INDEXER_REGISTRY: "",
      STORE_PATH: join(instance.dir, "other-indexer.db"), LISTEN_ADDR: listen, HEALTH_ADDR: health,
    });
    await awaitDaemon(instance, indexer, async () => (await healthOf()).logs === 1000, 30_000);
    assert.equal((await healthOf()).key, key);
    assert.ok((await indexerHealth(instance)).logs < logs + 1000, "the first chain's store has none of them");
    await announceKey(instance, deployment, listen, key);
    await restart();
    const refused = await waitFor("the refusal", async () =>
      /another protocol or chain/.test((await subscription()).error ?? "") && subscription(), { timeoutMs: 60_000 });
    assert.deepEqual({ pushes: refused.pushes, alarms: refused.alarms }, { pushes: 0, alarms: 0 });
    await waitFor("health", async () => (await status()).phase === "healthy", { timeoutMs: 60_000 });
  } finally {
    await stopDaemon(instance, indexer);
    await stopDaemon(instance, chain);
  }
});
