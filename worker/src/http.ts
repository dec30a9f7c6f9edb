import { BadRequest } from "./errors";

/** The largest body that is read; the largest honest one, an 8 KiB message, is half of it. */
export const MAX_BODY_BYTES = 64 * 1024;

/** Reads at most MAX_BODY_BYTES of UTF-8, whatever Content-Length claims. */
export async function readBody({ body }: Request | Response): Promise<string> {
  if (body === null) throw new BadRequest("body: empty");
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let length = 0;
  let text = "";
  for await (const chunk of body as ReadableStream<Uint8Array>) {
    length += chunk.byteLength;
    if (length > MAX_BODY_BYTES) throw new BadRequest(`body: more than ${MAX_BODY_BYTES} bytes`, 413);
    text += decode(decoder, chunk);
  }
  return text + decode(decoder);
}

/** Without a chunk: the end of the text. */
function decode(decoder: TextDecoder, chunk?: Uint8Array): string {
  try {
    return decoder.decode(chunk, { stream: chunk !== undefined });
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
  const digest = (text: string): Promise<ArrayBuffer> =>
    crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return crypto.subtle.timingSafeEqual(await digest(a), await digest(b));
}

/** The token of an `Authorization: Bearer` header, or "". */
export function bearerToken(request: Request): string {
  return /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
}
