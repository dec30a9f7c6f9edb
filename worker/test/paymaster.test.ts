import { hashMessage, size, slice, type Hex } from "viem";
import { expect, it } from "vitest";
import { hashForPaymaster, signPaymasterData, stubPaymasterData } from "../src/paymaster";
import { recoverSigner } from "../src/signature";
import { readUserOperation } from "../src/userop";
import { execute, operation, publishWgKey } from "./support/mesh";
import { PAYMASTER, SIGNER_KEY } from "./support/worker";

const VALIDITY = { validUntil: 1_800_000_300, validAfter: 1_799_999_700 };
const GAS = { verificationGasLimit: "0x186a0", paymasterPostOpGasLimit: "0x1" };
const op = readUserOperation(operation(execute(publishWgKey), GAS), "op");

// By VerifyingPaymaster.getHash of @account-abstraction/contracts 0.7.0 on chain 31337, at PAYMASTER.
const HASH: Hex = "0x4c2af5639dd2d2033468bb89cadd58671689a1c81270a738657848bb34eea4d0";

const SIGNER = "0xd8291E50E2e68fb2c70d77cCDc707D291a89f209";

it("hashes an operation as the contract does", () => {
  expect(hashForPaymaster(op, PAYMASTER, 31337n, VALIDITY)).toBe(HASH);
});

it("signs the hash as a personal message", () => {
  const data = signPaymasterData(op, PAYMASTER, 31337n, VALIDITY, SIGNER_KEY);
  expect(recoverSigner(hashMessage({ raw: HASH }), slice(data, 64))).toBe(SIGNER);
});

it("gives a stub of the same size, whose signature recovers for every hash", () => {
  const stub = stubPaymasterData(VALIDITY);
  expect(size(stub)).toBe(64 + 65);
  expect(slice(stub, 64)).not.toMatch(/^0x(..)*00/);
  for (const hash of [HASH, hashMessage("a"), hashMessage("b")]) {
    expect(recoverSigner(hash, slice(stub, 64))).not.toBeNull();
  }
});
