import { BadRequest } from "./errors";

/** The largest body that is read; the largest honest one, an 8 KiB message, is half of it. */
export const MAX_BODY_BYTES = 64 * 1024;

/** Reads at most MAX_BODY_BYTES, whatever Content-Length claims. */
export async function readBody(request: Request): Promise<string> {
  const reader = request.body?.getReader();
  if (!reader) throw new BadRequest("body: empty");
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > MAX_BODY_BYTES) {
      await reader.cancel();
      throw new BadRequest(`body: more than ${MAX_BODY_BYTES} bytes`, 413);
    }
    chunks.push(value);
  }
  return decodeUtf8(await new Blob(chunks).arrayBuffer());
}

function decodeUtf8(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new BadRequest("body: not UTF-8");
  }
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadRequest("body: not JSON");
  }
}

/** Compares in a time that depends on neither text, nor on whether their lengths agree. */
export async function equalSecrets(a: string, b: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const [hashA, hashB] = await Promise.all(
    [a, b].map((text) => crypto.subtle.digest("SHA-256", encoder.encode(text))),
  );
  return crypto.subtle.timingSafeEqual(hashA!, hashB!);
}

/** The token of an `Authorization: Bearer` header, or "". */
export function bearerToken(request: Request): string {
  return /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
}
