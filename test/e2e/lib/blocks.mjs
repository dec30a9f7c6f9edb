// The chain's second thoughts, and its pauses.

import assert from "node:assert/strict";
import { numberToHex } from "viem";
import { RPC_URL } from "../../devnet/lib/topology.mjs";
import { jsonRpc } from "../../devnet/lib/world.mjs";
import { instance } from "./mesh.mjs";

const DEPTH_MAX = 32; // what a node takes for provisional
const BLOCK_SECONDS = 1;

const ask = (method, ...params) => jsonRpc(instance, RPC_URL, method, params);

export const headBlock = async () => Number(await ask("eth_blockNumber"));

// Undoes the blocks from one on, and `atLeast` so many: what was in them does not come again.
export async function undoFrom(block, atLeast = 1) {
  const hash = async () => (await ask("eth_getBlockByNumber", numberToHex(block), false)).hash;
  const before = await hash();
  // A block that comes between the two requests saves the lowest.
  while ((await hash()) === before) {
    const depth = Math.max((await headBlock()) - block + 1, atLeast);
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
