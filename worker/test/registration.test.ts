import fc from "fast-check";
import { concatHex, hexToBytes, toHex, type Hex } from "viem";
import { describe, expect, it } from "vitest";
import {
  checkDstackProof,
  checkVoucher,
  decodeDstackRegistration,
  decodeOperatorRegistration,
  type ProofResult,
} from "../src/policy/registration";
import { recoverSigner } from "../src/signature";
import {
  CLUSTER,
  DSTACK_PROOF,
  dstackRegister,
  KEYS,
  KMS_ROOT,
  MEMBER,
  OPERATOR,
  operatorRegister,
  send,
  STRANGER,
  voucher,
  type DstackProof,
} from "./support/mesh";

const SECP256K1_N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

function checkProof(changes: Partial<DstackProof>): ProofResult {
  return checkDstackProof([{ ...DSTACK_PROOF, ...changes }, MEMBER, ...KEYS], MEMBER, CLUSTER);
}

function flipBit(bytes: Hex, bit: number): Hex {
  const flipped = hexToBytes(bytes);
  const index = Math.floor(bit / 8) % flipped.length;
  flipped[index]! ^= 1 << bit % 8;
  return toHex(flipped);
}

/** The other, equally valid signature of the same signer, which the contracts refuse. */
function withHighS(signature: Hex): Hex {
  const bytes = hexToBytes(signature);
  const s = SECP256K1_N - BigInt(toHex(bytes.subarray(32, 64)));
  return concatHex([
    toHex(bytes.subarray(0, 32)),
    toHex(s, { size: 32 }),
    toHex(1 - bytes[64]!, { size: 1 }),
  ]);
}

describe("dstack proof", () => {
  it("of the vectors leads to its KMS root", () => {
    expect(checkProof({})).toEqual({ root: KMS_ROOT });
  });

  it("holds with recovery ids 27 and 28 as with 0 and 1", () => {
    const shifted = (signature: Hex): Hex =>
      concatHex([
        signature.slice(0, 130) as Hex,
        toHex(Number(`0x${signature.slice(130)}`) + 27, { size: 1 }),
      ]);
    const { messageSignature, appSignature, kmsSignature } = DSTACK_PROOF;
    expect(
      checkProof({
        messageSignature: shifted(messageSignature),
        appSignature: shifted(appSignature),
        kmsSignature: shifted(kmsSignature),
      }),
    ).toEqual({ root: KMS_ROOT });
  });

  it.each<[string, Partial<DstackProof>]>([
    ["proof_code_id", { codeId: `0x${"22".repeat(20)}${"00".repeat(12)}` }],
    ["proof_code_id", { codeId: `${DSTACK_PROOF.codeId.slice(0, -2)}01` as Hex }],
    ["proof_binding", { messageHash: KEYS[0] }],
    ["proof_purpose", { purpose: "attestmesh.binding.v2" }],
    ["proof_derived_key", { messageSignature: withHighS(DSTACK_PROOF.messageSignature) }],
    ["proof_derived_key", { messageSignature: "0x" }],
    ["proof_derived_key", { derivedCompressedPubkey: "0x" }],
    ["proof_derived_key", { derivedCompressedPubkey: `0x02${"ff".repeat(32)}` }],
    ["proof_app_key", { appSignature: withHighS(DSTACK_PROOF.appSignature) }],
    ["proof_app_key", { appCompressedPubkey: DSTACK_PROOF.derivedCompressedPubkey }],
    ["proof_kms_signature", { kmsSignature: withHighS(DSTACK_PROOF.kmsSignature) }],
    ["proof_kms_signature", { kmsSignature: `0x${"00".repeat(65)}` }],
    ["proof_kms_signature", { kmsSignature: DSTACK_PROOF.kmsSignature.slice(0, 130) as Hex }],
  ])("fails with %s", (reason, changes) => {
    expect(checkProof(changes)).toEqual({ reason });
  });

  it("fails for a sender that it does not name", () => {
    const args = [DSTACK_PROOF, MEMBER, ...KEYS] as const;
    expect(checkDstackProof(args, STRANGER, CLUSTER)).toEqual({ reason: "proof_member_mismatch" });
  });

  it("binds every key", () => {
    for (const changed of [0, 1, 2]) {
      const [x, wg, ed] = KEYS.map((key, index) => (index === changed ? flipBit(key, 9) : key));
      expect(checkDstackProof([DSTACK_PROOF, MEMBER, x!, wg!, ed!], MEMBER, CLUSTER)).toEqual({
        reason: "proof_binding",
      });
    }
  });

  it("never leads to the root after any one bit of it flips", () => {
    const fields = ["codeId", "messageHash", "messageSignature", "appSignature", "kmsSignature"] as const;
    const keys = ["derivedCompressedPubkey", "appCompressedPubkey"] as const;
    fc.assert(
      fc.property(fc.constantFrom(...fields, ...keys), fc.nat(65 * 8), (field, bit) => {
        expect(checkProof({ [field]: flipBit(DSTACK_PROOF[field], bit) })).not.toEqual({ root: KMS_ROOT });
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});

describe("recoverSigner", () => {
  it("answers null or an address for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 60, maxLength: 70 }), (bytes) => {
        const signer = recoverSigner(KEYS[0], toHex(bytes));
        expect(signer === null || signer.length === 42).toBe(true);
        if (bytes.length !== 65) expect(signer).toBeNull();
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});

describe("voucher", () => {
  it("leads to the operator who signed it, up to its last second", () => {
    const proof = voucher(1_000n);
    expect(checkVoucher([proof, MEMBER, ...KEYS], MEMBER, CLUSTER, 1_000)).toEqual({ root: OPERATOR });
    expect(checkVoucher([proof, MEMBER, ...KEYS], MEMBER, CLUSTER, 1_001)).toEqual({
      reason: "voucher_expired",
    });
  });

  it("fails when another is named as its signer, its member or its cluster", () => {
    const proof = voucher(1_000n);
    const check = (args: Parameters<typeof checkVoucher>[0], cluster = CLUSTER): ProofResult =>
      checkVoucher(args, MEMBER, cluster, 0);
    expect(check([{ ...proof, signer: STRANGER }, MEMBER, ...KEYS])).toEqual({ reason: "voucher_signature" });
    expect(check([proof, STRANGER, ...KEYS])).toEqual({ reason: "proof_member_mismatch" });
    expect(check([proof, MEMBER, ...KEYS], STRANGER)).toEqual({ reason: "voucher_signature" });
    expect(check([{ ...proof, expiry: 2_000n }, MEMBER, ...KEYS])).toEqual({ reason: "voucher_signature" });
  });
});

describe("decoding a registration", () => {
  it("gives back what was encoded", () => {
    expect(decodeDstackRegistration(dstackRegister())).toEqual([DSTACK_PROOF, MEMBER, ...KEYS]);
    const proof = voucher(5n);
    expect(decodeOperatorRegistration(operatorRegister(proof))).toEqual([proof, MEMBER, ...KEYS]);
  });

  it("refuses another function, and every encoding but the canonical one", () => {
    const data = dstackRegister();
    expect(decodeDstackRegistration(send(1))).toBeNull();
    expect(decodeOperatorRegistration(data)).toBeNull();
    expect(decodeDstackRegistration(concatHex([data, "0x00"]))).toBeNull();
    expect(decodeDstackRegistration(data.slice(0, -64) as Hex)).toBeNull();
    expect(decodeOperatorRegistration(concatHex([operatorRegister(voucher(5n)), "0x00"]))).toBeNull();
  });

  it("never throws, whatever byte is changed", () => {
    const data = hexToBytes(dstackRegister());
    fc.assert(
      fc.property(fc.nat(data.length - 5), fc.nat(255), (offset, value) => {
        const changed = data.slice();
        changed[4 + offset] = value;
        const args = decodeDstackRegistration(toHex(changed));
        if (args !== null) expect(() => checkDstackProof(args, MEMBER, CLUSTER)).not.toThrow();
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});
