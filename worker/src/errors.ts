import type { Reason } from "./policy/reasons";

/** The request is not of the shape its endpoint takes. The message names the field and is safe to send back. */
export class BadRequest extends Error {
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** The operator does not pay for this operation. */
export class Denied extends Error {
  readonly reason: Reason;

  constructor(reason: Reason) {
    super(reason);
    this.reason = reason;
  }
}
