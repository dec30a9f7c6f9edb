// Addresses, ports and names: one bridge for the world, one isolated port on it for each node.
//
//   10.99.0.1     the world: chain, bundler, worker, name server, gateway
//   10.99.1.<i>   node i
//   10.99.2.<i>   where node i's name leads: the gateway again, with an address of its own for each node, so
//                 that what two nodes say to each other can be told apart and cut (devnet partition)

export const WORLD = "world";
export const WORLD_ADDRESS = "10.99.0.1";
export const PREFIX_LENGTH = 16;
export const BRIDGE = "br0";
export const MAX_NODES = 250;

export const PORTS = {
  chain: 8545,
  bundler: 4337,
  worker: 8787,
  gateway: 443,
  ingress: 51900,
  indexer: 51902,
  "indexer-tee": 20000,
  indexerHealth: 9091,
  guestAgent: 20000,
  guestControl: 1,
};

export const CHAIN_ID = 31337;
export const BLOCK_SECONDS = 1;
export const RPC_URL = `http://${WORLD_ADDRESS}:${PORTS.chain}`;
export const BUNDLER_URL = `http://${WORLD_ADDRESS}:${PORTS.bundler}`;
export const WORKER_URL = `http://${WORLD_ADDRESS}:${PORTS.worker}`;
export const INDEXER_ENDPOINT = `${WORLD_ADDRESS}:${PORTS.indexer}`;
export const INDEXER_HEALTH_URL = `http://${WORLD_ADDRESS}:${PORTS.indexerHealth}`;
export const GATEWAY_DOMAIN = "gw.attestmesh.test";
export const NODE_DOMAIN = "node.attestmesh.test";

export const nodeAddress = (index) => `10.99.1.${index}`;
export const gatewayAddress = (index) => `10.99.2.${index}`;
export const nodeLink = (index) => `node${index}`;

export function nodeIndex(name) {
  const index = Number(/^n([1-9]\d{0,2})$/.exec(name)?.[1]);
  return index <= MAX_NODES ? index : 0;
}

export const nodeName = (index) => `n${index}`;
