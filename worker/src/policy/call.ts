import { decodeFunctionData, encodeFunctionData, size, slice, type Address, type Hex } from "viem";
import { memberAbi } from "../abi";

/** What a member contract is asked to do. */
export interface Call {
  target: Address;
  value: bigint;
  data: Hex;
  /** The first four bytes of `data`, or "0x" when there are fewer. */
  selector: Hex;
}

/**
 * Null when the call data is not an `execute`, or not in the one encoding that every decoder reads alike:
 * what is judged here is then what the contract does.
 */
export function decodeExecute(callData: Hex): Call | null {
  try {
    const { functionName, args } = decodeFunctionData({ abi: memberAbi, data: callData });
    if (functionName !== "execute") return null;
    if (encodeFunctionData({ abi: memberAbi, functionName, args }) !== callData) return null;
    const [target, value, data] = args;
    return { target, value, data, selector: size(data) < 4 ? "0x" : slice(data, 0, 4) };
  } catch {
    return null;
  }
}
