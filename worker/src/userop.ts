import { concatHex, type Address, type Hex } from "viem";
import { readAddress, readBytes, readObject, readQuantity } from "./parse";

/**
 * A UserOperation of EntryPoint v0.7 as bundlers and paymasters exchange it. A gas field of 0 is not known
 * yet.
 */
export interface UserOperation {
  sender: Address;
  nonce: bigint;
  initCode: Hex;
  callData: Hex;
  callGasLimit: bigint;
  verificationGasLimit: bigint;
  preVerificationGas: bigint;
  maxFeePerGas: bigint;
  maxPriorityFeePerGas: bigint;
  paymasterVerificationGasLimit: bigint;
  paymasterPostOpGasLimit: bigint;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === "0x";
}

export function readUserOperation(value: unknown, name: string): UserOperation {
  const json = readObject(value, name);
  const gas = (field: string): bigint =>
    isAbsent(json[field]) ? 0n : readQuantity(json[field], `${name}.${field}`, 120);
  return {
    sender: readAddress(json.sender, `${name}.sender`),
    nonce: readQuantity(json.nonce, `${name}.nonce`, 256),
    initCode: isAbsent(json.factory)
      ? "0x"
      : concatHex([
          readAddress(json.factory, `${name}.factory`),
          isAbsent(json.factoryData) ? "0x" : readBytes(json.factoryData, `${name}.factoryData`),
        ]),
    callData: readBytes(json.callData, `${name}.callData`),
    callGasLimit: gas("callGasLimit"),
    verificationGasLimit: gas("verificationGasLimit"),
    preVerificationGas: gas("preVerificationGas"),
    maxFeePerGas: gas("maxFeePerGas"),
    maxPriorityFeePerGas: gas("maxPriorityFeePerGas"),
    paymasterVerificationGasLimit: gas("paymasterVerificationGasLimit"),
    paymasterPostOpGasLimit: gas("paymasterPostOpGasLimit"),
  };
}
