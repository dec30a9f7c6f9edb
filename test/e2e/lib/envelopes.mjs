// What members have told each other about where they are.

import { encodeEventTopics } from "viem";
import { chainClient } from "../../devnet/lib/chain.mjs";
import { contractAbi } from "../../devnet/lib/deploy.mjs";
import { waitFor } from "../../devnet/lib/run.mjs";
import { recordOf, registry } from "./checks.mjs";
import { cluster, instance, nodes } from "./mesh.mjs";

const isApplication = (id) => /^0x0{16}/.test(id);

// The endpoints on chain, oldest first.
async function endpoints() {
  const abi = contractAbi("MessageFacet");
  const [topic] = encodeEventTopics({ abi, eventName: "MessageSent" });
  const logs = await chainClient(instance).request({
    method: "eth_getLogs",
    params: [{ address: cluster, fromBlock: "0x0", toBlock: "latest", topics: [topic] }],
  });
  return logs.filter(({ topics }) => !isApplication(topics[3]));
}

export const lastEndpointBlock = async () => Number((await endpoints()).at(-1).blockNumber);

// How many each ordered pair of members has: "sender recipient" -> count.
export async function countEndpoints() {
  const counts = new Map();
  for (const { topics } of await endpoints()) {
    const pair = `${topics[1]} ${topics[2]}`;
    counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  return counts;
}

// Resolves once every node has told every live member; nothing is sent from then on.
export async function awaitAllTold({ timeoutMs = 120_000 } = {}) {
  const members = await registry(instance, cluster);
  const senders = nodes().map((node) => recordOf(members, node).memberId);
  const pairs = senders.flatMap((from) =>
    members.filter(({ memberId }) => memberId !== from).map(({ memberId }) => `${from} ${memberId}`),
  );
  const allTold = async () => {
    const counts = await countEndpoints();
    return pairs.every((pair) => counts.has(pair)) && counts;
  };
  return waitFor("every node to have told every member", allTold, { timeoutMs });
}
