/**
 * The signature on Pimlico's webhooks, as `@pimlico/webhook` checks it: HMAC-SHA-256 over
 * `id.timestamp.body`. The secret's key is unusual: the text after the prefix read in base 57, written as
 * hexadecimal digits, and these read as base64.
 */
const SECRET_PREFIX = "pim_whsec_";

/** The digits of base58 without w. */
const DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvxyz";

const TOLERANCE_SECONDS = 300;

/**
 * Whole bytes as hexadecimal, a leading zero digit being a zero byte; null when a character is not a digit.
 */
function digitsToHex(text: string): string | null {
  let value = 0n;
  for (const character of text) {
    const digit = DIGITS.indexOf(character);
    if (digit < 0) return null;
    value = value * BigInt(DIGITS.length) + BigInt(digit);
  }
  const hex = value === 0n ? "" : value.toString(16);
  const leadingZeros = /^1*/.exec(text)![0].length;
  return "00".repeat(leadingZeros) + (hex.length % 2 === 1 ? "0" : "") + hex;
}

function fromBase64(text: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

/** Null when the secret is not of Pimlico's form. */
async function importSecret(secret: string): Promise<CryptoKey | null> {
  const hex = secret.startsWith(SECRET_PREFIX) ? digitsToHex(secret.slice(SECRET_PREFIX.length)) : null;
  const key = hex === null ? null : fromBase64(hex);
  if (key === null || key.length === 0) return null;
  return crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
}

/** Whether one of the signatures in the headers is over this body and recent. */
export async function isSignedByPimlico(
  headers: Headers,
  body: string,
  secret: string,
  nowMs: number,
): Promise<boolean> {
  const header = (name: string): string =>
    headers.get(`svix-${name}`) ?? headers.get(`webhook-${name}`) ?? "";
  const timestamp = header("timestamp");
  const age = Math.floor(nowMs / 1000) - Number(timestamp || NaN);
  if (!(Math.abs(age) <= TOLERANCE_SECONDS)) return false;

  const key = await importSecret(secret);
  if (key === null) return false;
  const signed = new TextEncoder().encode(`${header("id")}.${timestamp}.${body}`);
  for (const part of header("signature").split(" ")) {
    const signature = part.startsWith("v1,") ? fromBase64(part.slice(3)) : null;
    if (signature !== null && (await crypto.subtle.verify("HMAC", key, signature, signed))) return true;
  }
  return false;
}
