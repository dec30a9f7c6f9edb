/** secp256k1 as Ethereum and dstack's KMS use it. */
import { secp256k1 } from "@noble/curves/secp256k1";
import {
  concatHex,
  getAddress,
  hexToBytes,
  keccak256,
  size,
  slice,
  toHex,
  type Address,
  type Hex,
} from "viem";

/** The address of an uncompressed public key. */
function addressOf(publicKey: Uint8Array): Address {
  return getAddress(slice(keccak256(publicKey.subarray(1)), 12));
}

/** The address that signed, or null: 65 bytes, recovery id 0, 1, 27 or 28, s in the lower half. */
export function recoverSigner(hash: Hex, signature: Hex): Address | null {
  if (size(signature) !== 65) return null;
  const bytes = hexToBytes(signature);
  const recovery = bytes[64]! >= 27 ? bytes[64]! - 27 : bytes[64]!;
  if (recovery > 1) return null;
  try {
    const parsed = secp256k1.Signature.fromCompact(bytes.subarray(0, 64)).addRecoveryBit(recovery);
    if (parsed.hasHighS()) return null;
    return addressOf(parsed.recoverPublicKey(hash.slice(2)).toRawBytes(false));
  } catch {
    return null;
  }
}

/** The address of a 33-byte SEC1 public key, or null when it is not one. */
export function compressedKeyToAddress(key: Hex): Address | null {
  if (size(key) !== 33) return null;
  try {
    return addressOf(secp256k1.ProjectivePoint.fromHex(key.slice(2)).toRawBytes(false));
  } catch {
    return null;
  }
}

/** Signs a hash: 65 bytes with recovery id 27 or 28. */
export function signHash(hash: Hex, key: Hex): Hex {
  const signature = secp256k1.sign(hash.slice(2), key.slice(2), { lowS: true });
  return concatHex([`0x${signature.toCompactHex()}`, toHex(27 + signature.recovery, { size: 1 })]);
}
