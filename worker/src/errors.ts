/**
 * The request is not of the shape its endpoint takes. The message names the field and is safe to send back.
 */
export class BadRequest extends Error {
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** A variable is missing or malformed. The message names it and never shows its value. */
export class ConfigError extends Error {}

/** No RPC gave a usable answer. */
export class ChainUnavailable extends Error {}
