import fc from "fast-check";
import { concatHex, getAddress, hexToBytes, toHex, type Hex } from "viem";
import { expect, it } from "vitest";
import { decodeExecute } from "../src/policy/call";
import { CLUSTER, execute, publishWgKey } from "./support/mesh";

const bytes = (length: number): fc.Arbitrary<Hex> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => toHex(array));

it("decodes what was encoded", () => {
  const data = fc.uint8Array({ maxLength: 300 }).map((array) => toHex(array));
  fc.assert(
    fc.property(bytes(20), fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }), data, (target, value, inner) => {
      const selector = inner.length < 10 ? "0x" : inner.slice(0, 10);
      expect(decodeExecute(execute(inner, target, value))).toEqual({
        target: getAddress(target),
        value,
        data: inner,
        selector,
      });
    }),
    { seed: 1, numRuns: 200 },
  );
});

it("refuses other functions, cut calls and trailing bytes", () => {
  const callData = execute(publishWgKey);
  expect(decodeExecute("0x")).toBeNull();
  expect(decodeExecute("0xb61d27f6")).toBeNull();
  expect(decodeExecute(publishWgKey)).toBeNull();
  expect(decodeExecute(`0x8da5cb5b${callData.slice(10)}`)).toBeNull();
  expect(decodeExecute(concatHex([callData, "0x00"]))).toBeNull();
  expect(decodeExecute(callData.slice(0, -64) as Hex)).toBeNull();
});

it("refuses dirty bits above an address and an offset that overlaps the head", () => {
  const callData = execute(publishWgKey);
  const word = (index: number, value: string): Hex =>
    `${callData.slice(0, 10 + index * 64)}${value}${callData.slice(74 + index * 64)}` as Hex;
  expect(decodeExecute(word(0, `${"00".repeat(11)}01${CLUSTER.slice(2)}`))).toBeNull();
  expect(decodeExecute(word(2, "40".padStart(64, "0")))).toBeNull();
  expect(decodeExecute(word(2, "f".repeat(64)))).toBeNull();
});

it("reads every changed byte as the contract would, or not at all", () => {
  const original = hexToBytes(execute(publishWgKey));
  fc.assert(
    fc.property(fc.nat(original.length - 1), fc.nat(255), (offset, value) => {
      const changed = original.slice();
      changed[offset] = value;
      const call = decodeExecute(toHex(changed));
      if (call !== null) expect(execute(call.data, call.target, call.value)).toBe(toHex(changed));
    }),
    { seed: 1, numRuns: 500 },
  );
});

it("never throws on random bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (array) => {
      expect(decodeExecute(toHex(array))).toBeNull();
      expect(() => decodeExecute(concatHex(["0xb61d27f6", toHex(array)]))).not.toThrow();
    }),
    { seed: 1, numRuns: 300 },
  );
});
