// The UserOperations of nodes as the chain keeps them.

import { decodeFunctionData } from "viem";
import { entryPoint07Abi } from "viem/account-abstraction";
import { ENTRY_POINT, chainClient } from "../../devnet/lib/chain.mjs";
import { contractAbi } from "../../devnet/lib/deploy.mjs";

function calledFunction(transaction, { sender, nonce }, abi) {
  const { args } = decodeFunctionData({ abi: entryPoint07Abi, data: transaction.input });
  const { callData } = args[0].find((operation) => operation.sender === sender && operation.nonce === nonce);
  const [, , data] = decodeFunctionData({ abi: contractAbi("ClusterMember"), data: callData }).args;
  return decodeFunctionData({ abi, data }).functionName;
}

// Up to `toBlock`: which function of the cluster, `abi`, each called, and whether it succeeded.
export async function operationsOnChain(instance, nodes, abi, toBlock) {
  const client = chainClient(instance);
  const events = await client.getContractEvents({
    address: ENTRY_POINT,
    abi: entryPoint07Abi,
    eventName: "UserOperationEvent",
    args: { sender: nodes.map(({ memberContract }) => memberContract) },
    fromBlock: 0n,
    toBlock,
  });
  return Promise.all(
    events.map(async ({ args, transactionHash: hash }) => ({
      hash,
      success: args.success,
      functionName: calledFunction(await client.getTransaction({ hash }), args, abi),
    })),
  );
}
