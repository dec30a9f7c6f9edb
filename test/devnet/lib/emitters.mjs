// Code for Anvil's anvil_setCode that stands in for a cluster factory and a cluster and emits what it is told, so that
// a chain has as many clusters and logs as a test wants.

import { concat, encodeAbiParameters, numberToHex, pad, toEventSelector } from "viem";

const CLUSTER_DEPLOYED = toEventSelector("ClusterDeployed(address,address,bytes32)");
const DEVICE_ADDED = toEventSelector("DeviceAdded(bytes32)");

// LOG3 of the call's three words.
const FACTORY_CODE = "0x6040356020355f3560205fa300";
// for (n = the call's first word; n > 0; n--) emit DeviceAdded(n)
const CLUSTER_CODE = concat(["0x5f355b8015603757805f527f", DEVICE_ADDED, "0x60205fa160019003600256", "0x5b00"]);

// `rpc(method, ...params)` asks the chain, which mines by itself or is told to.
export function emitters(rpc, factory, cluster) {
  const call = async (to, data) => {
    const [from] = await rpc("eth_accounts");
    await rpc("eth_sendTransaction", { from, to, data, gas: numberToHex(25_000_000) });
  };
  return {
    async deploy() {
      await rpc("anvil_setCode", factory, FACTORY_CODE);
      await rpc("anvil_setCode", cluster, CLUSTER_CODE);
      await call(factory, concat([CLUSTER_DEPLOYED, pad(cluster), pad("0x01")]));
    },
    emit: (logs) => call(cluster, encodeAbiParameters([{ type: "uint256" }], [BigInt(logs)])),
  };
}
