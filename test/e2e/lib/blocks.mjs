// The chain's second thoughts, and its pauses.

import assert from "node:assert/strict";
import { chainClient } from "../../devnet/lib/chain.mjs";
import { BLOCK_SECONDS } from "../../devnet/lib/topology.mjs";
import { instance } from "./mesh.mjs";

const DEPTH_MAX = 32; // what a node takes for provisional

const chain = chainClient(instance);
const ask = (method, ...params) => chain.request({ method, params });

export const headBlock = async () => Number(await chain.getBlockNumber());

// Undoes the blocks from one on: what was in them does not come again.
export async function undoFrom(block) {
  const hash = async () => (await chain.getBlock({ blockNumber: BigInt(block) })).hash;
  const before = await hash();
  // A block that comes between the two requests saves the lowest.
  while ((await hash()) === before) {
    const depth = (await headBlock()) - block + 1;
    assert.ok(depth <= DEPTH_MAX, `block ${block} is ${depth} blocks deep`);
    await ask("anvil_reorg", depth, []);
  }
}

// Nothing is included in a block while `body` runs.
export async function withoutBlocks(body) {
  await ask("evm_setIntervalMining", 0);
  try {
    return await body();
  } finally {
    await ask("evm_setIntervalMining", BLOCK_SECONDS);
  }
}
