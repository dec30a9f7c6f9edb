// The chain's actors and how to talk to it. Its port exists only in the world's network, so requests are made
// there.

import { join } from "node:path";
import { createPublicClient, createWalletClient, custom, defineChain, toHex } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { CHAIN_ID, RPC_URL } from "./topology.mjs";
import { jsonRpc } from "./world.mjs";

export const ENTRY_POINT = "0x0000000071727De22E5E9d8BAf0edAc6f37da032";

// Anvil's own well-known, funded accounts; their keys are worth nothing elsewhere.
const MNEMONIC = "test test test test test test test test test test test junk";
function anvilAccount(addressIndex) {
  const account = mnemonicToAccount(MNEMONIC, { addressIndex });
  return { address: account.address, account, key: toHex(account.getHdKey().privateKey) };
}

export const ACCOUNTS = {
  owner: anvilAccount(0), // deploys everything, owns the cluster
  executor: anvilAccount(1), // the bundler's
  utility: anvilAccount(2), // the bundler's
  sponsor: anvilAccount(3), // signs for the paymaster
  kmsRoot: anvilAccount(4), // the root of the simulated KMS
  stranger: anvilAccount(5), // allowed nowhere
};

export const chainStateFile = (instance) => join(instance.dir, "chain.json");

const CHAIN = defineChain({
  id: CHAIN_ID,
  name: "devnet",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [RPC_URL] } },
});

const transport = (instance) =>
  custom({ request: ({ method, params }) => jsonRpc(instance, RPC_URL, method, params) }, { retryCount: 0 });

export const chainClient = (instance) =>
  createPublicClient({ chain: CHAIN, transport: transport(instance), pollingInterval: 200, cacheTime: 0 });

export const walletClient = (instance, actor) =>
  createWalletClient({ chain: CHAIN, transport: transport(instance), account: actor.account });
