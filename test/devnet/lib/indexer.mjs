// Announces the indexer's key and place in the registry, where the members' agents look it up.

import { encodeFunctionData, zeroHash } from "viem";
import { chainClient } from "./chain.mjs";
import { contractAbi, sendAll } from "./deploy.mjs";
import { INDEXER_ENDPOINT, INDEXER_HEALTH_URL, WORLD } from "./topology.mjs";
import { httpGet } from "./world.mjs";

export const indexerHealth = async (instance) =>
  JSON.parse(await httpGet(instance, WORLD, `${INDEXER_HEALTH_URL}/healthz`));

// A number from its metrics, named without the prefix that all have.
export async function indexerMetric(instance, name) {
  const text = await httpGet(instance, WORLD, `${INDEXER_HEALTH_URL}/metrics`);
  return Number(new RegExp(`^attestmesh_indexer_${name} (\\d+)$`, "m").exec(text)[1]);
}

export async function announceKey(instance, { indexerRegistry }, endpoint, key) {
  const abi = contractAbi("IndexerRegistry");
  const [current, , currentKey] = await chainClient(instance).readContract({
    address: indexerRegistry, abi, functionName: "current",
  });
  if (current === endpoint && currentKey === key) return;
  const args = [endpoint, zeroHash, key];
  await sendAll(instance, [{ to: indexerRegistry, data: encodeFunctionData({ abi, functionName: "setIndexer", args }) }]);
}

export async function announceIndexer(instance, deployment) {
  await announceKey(instance, deployment, INDEXER_ENDPOINT, (await indexerHealth(instance)).key);
}
