import { numberToHex } from "viem";

// The bundler estimates as if what waits for the same paymaster came before, which warms up what an operation uses.
export const withCallGasMargin = (callGasLimit) => numberToHex(BigInt(callGasLimit) + 40_000n);
