import { size } from "viem";
import { describe, expect, it } from "vitest";
import { clusterAbi } from "../src/abi";
import { checkCeilings, costAtMost, PAID_BY_SELECTOR, type PaidFunctionName } from "../src/policy/functions";
import { readUserOperation } from "../src/userop";
import {
  dstackRegister,
  execute,
  operation,
  operatorRegister,
  publishWgKey,
  send,
  voucher,
} from "./support/mesh";

const PRICES = { feePerGas: 2_000_000_000n, preVerificationGas: 50_000n };

function paid(name: PaidFunctionName): NonNullable<ReturnType<typeof PAID_BY_SELECTOR.get>> {
  return [...PAID_BY_SELECTOR.values()].find((entry) => entry.name === name)!;
}

const wgKey = paid("publishWgKey");
const op = (changes = {}): ReturnType<typeof readUserOperation> =>
  readUserOperation(operation(execute(publishWgKey), changes), "op");

describe("the table of paid functions", () => {
  it("holds every function by which a node or an owner changes a cluster", () => {
    const changing = clusterAbi
      .filter((item) => item.type === "function")
      .filter(({ name, stateMutability }) => stateMutability === "nonpayable" && !name.startsWith("_"))
      // What the factory calls once when it adds an attestor.
      .filter(({ name }) => name !== "initAttestor")
      .map(({ name }) => name);
    expect([...PAID_BY_SELECTOR.values()].map(({ name }) => name).sort()).toEqual(
      [...new Set<string>(changing)].sort(),
    );
  });

  it("knows the selectors by which others call them", () => {
    expect(PAID_BY_SELECTOR.get("0x" as never)).toBeUndefined();
    expect(PAID_BY_SELECTOR.get(publishWgKey.slice(0, 10) as `0x${string}`)).toBe(wgKey);
  });

  it("leaves room for exactly what a call needs", () => {
    expect(size(publishWgKey)).toBe(wgKey.bytes);
    expect(size(send(8_192))).toBe(paid("send").bytes);
    expect(paid("dstack_register").bytes - size(dstackRegister())).toBeLessThan(150);
    expect(paid("dstack_register").bytes).toBeGreaterThanOrEqual(size(dstackRegister()));
    const vouched = size(operatorRegister(voucher(1n)));
    expect(paid("operator_register").bytes - vouched).toBeLessThan(150);
    expect(paid("operator_register").bytes).toBeGreaterThanOrEqual(vouched);
  });
});

describe("checkCeilings", () => {
  it("lets pass what is at every ceiling", () => {
    const highest = {
      callGasLimit: wgKey.callGas,
      verificationGasLimit: wgKey.verificationGas,
      preVerificationGas: PRICES.preVerificationGas,
      maxFeePerGas: PRICES.feePerGas,
    };
    expect(checkCeilings({ ...op(), ...highest }, wgKey.bytes, wgKey, PRICES)).toBeNull();
  });

  it.each([
    ["callGasLimit", wgKey.callGas],
    ["verificationGasLimit", wgKey.verificationGas],
    ["preVerificationGas", PRICES.preVerificationGas],
    ["paymasterVerificationGasLimit", 150_000n],
    ["paymasterPostOpGasLimit", 150_000n],
  ])("refuses %s above its ceiling", (field, ceiling) => {
    expect(checkCeilings({ ...op(), [field]: ceiling }, 36, wgKey, PRICES)).toBeNull();
    expect(checkCeilings({ ...op(), [field]: ceiling + 1n }, 36, wgKey, PRICES)).toBe("gas_too_high");
  });

  it("refuses a fee and a size above theirs", () => {
    expect(checkCeilings({ ...op(), maxFeePerGas: PRICES.feePerGas + 1n }, 36, wgKey, PRICES)).toBe(
      "fee_too_high",
    );
    expect(checkCeilings(op(), 37, wgKey, PRICES)).toBe("calldata_too_large");
  });
});

describe("costAtMost", () => {
  it("is all gas at the maximum fee", () => {
    expect(costAtMost(op(), wgKey, PRICES)).toBe((100_000n + 40_000n + 50_000n + 40_000n) * 2_000_000_000n);
  });

  it("takes the ceiling for what is not known yet", () => {
    const open = op({
      callGasLimit: "0x0",
      verificationGasLimit: null,
      preVerificationGas: "0x",
      maxFeePerGas: "0x0",
    });
    const gas = wgKey.callGas + wgKey.verificationGas + PRICES.preVerificationGas + 40_000n;
    expect(costAtMost(open, wgKey, PRICES)).toBe(gas * PRICES.feePerGas);
  });
});
