import { numberToHex } from "viem";
import { ENTRY_POINT } from "../../devnet/lib/chain.mjs";

// The bundler estimates as if what waits for the same paymaster came before, which warms up what an operation uses;
// so the chain is asked (`rpc(method, params)`) what the call takes when nothing comes before it.
export async function callGasLimit(rpc, { sender, callData }, estimated) {
  const alone = await rpc("eth_estimateGas", [{ from: ENTRY_POINT, to: sender, data: callData }]);
  return numberToHex(Math.max(Number(estimated), Number(alone)));
}
