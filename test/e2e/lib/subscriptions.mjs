// The nodes' subscriptions to the indexer, and something for it to push.

import { encodeFunctionData, numberToHex } from "viem";
import { contractAbi, sendAll } from "../../devnet/lib/deploy.mjs";
import { meshctl } from "../../devnet/lib/node.mjs";
import { waitFor } from "../../devnet/lib/run.mjs";
import { cluster, instance, nodes } from "./mesh.mjs";

export const askAll = (what) => Promise.all(nodes().map((node) => meshctl(instance, node, what).then(([answer]) => answer)));
export const subscriptions = () => askAll("indexer");

export const awaitCaughtUp = () => waitFor("all nodes to be caught up", async () =>
  (await subscriptions()).every(({ state }) => state === "caught up"), { timeoutMs: 90_000 });

// The cluster's owner allows a code: an event that changes nothing for the mesh.
let codes = Date.now();
export const allowCodes = (count) => sendAll(instance, Array.from({ length: count }, () => ({
  to: cluster,
  data: encodeFunctionData({
    abi: contractAbi("DstackFacet"), functionName: "addComposeHash", args: [numberToHex(codes++, { size: 32 })],
  }),
})));

export const pushesGrewBy = (before, count) => waitFor(`${count} pushes to each node`, async () =>
  (await subscriptions()).every(({ pushes }, i) => pushes >= before[i].pushes + count), { timeoutMs: 60_000 });
