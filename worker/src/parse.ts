/**
 * Readers for values from outside. Each takes a value and its name, and returns the value with its type
 * proven or throws a BadRequest that names it.
 */
import { getAddress, isAddress, isHex, type Address, type Hex } from "viem";
import { BadRequest } from "./errors";

export type Json = Record<string, unknown>;

export function readObject(value: unknown, name: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new BadRequest(`${name}: not an object`);
  }
  return value as Json;
}

export function readString(value: unknown, name: string): string {
  if (typeof value !== "string") throw new BadRequest(`${name}: not a string`);
  return value;
}

/** A 20-byte address in any letter case. */
export function readAddress(value: unknown, name: string): Address {
  if (typeof value !== "string" || !isAddress(value, { strict: false })) {
    throw new BadRequest(`${name}: not an address`);
  }
  return getAddress(value);
}

/** Whole bytes as 0x-prefixed hexadecimal, normalised to lower case. */
export function readBytes(value: unknown, name: string): Hex {
  if (!isHex(value) || value.length % 2 !== 0) throw new BadRequest(`${name}: not hexadecimal bytes`);
  return value.toLowerCase() as Hex;
}

/** An unsigned quantity below 2^bits as a 0x-prefixed number, or a decimal string, or a JSON number. */
export function readQuantity(value: unknown, name: string, bits: number): bigint {
  const isText = typeof value === "string" && /^(0x[0-9a-fA-F]{1,64}|[0-9]{1,78})$/.test(value);
  const isNumber = typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
  if (!isText && !isNumber) throw new BadRequest(`${name}: not a quantity`);
  const quantity = BigInt(value);
  if (quantity >> BigInt(bits) !== 0n) throw new BadRequest(`${name}: more than ${bits} bits`);
  return quantity;
}
