import { decodeFunctionData, parseAbi, slice, size, type Address, type Hex } from "viem";

export const executeAbi = parseAbi(["function execute(address target, uint256 value, bytes data)"]);

/** What a member contract is asked to do. */
export interface Call {
  target: Address;
  value: bigint;
  data: Hex;
  /** The first four bytes of `data`, or "0x" when there are fewer. */
  selector: Hex;
}

/** Null when the call data is not a well-formed `execute`. */
export function decodeExecute(callData: Hex): Call | null {
  try {
    const [target, value, data] = decodeFunctionData({ abi: executeAbi, data: callData }).args;
    return { target, value, data, selector: size(data) < 4 ? "0x" : slice(data, 0, 4) };
  } catch {
    return null;
  }
}
