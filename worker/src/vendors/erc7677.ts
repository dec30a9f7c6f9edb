/** The operator's own ERC-7677 paymaster service: `pm_getPaymasterStubData` and `pm_getPaymasterData`. */
import { numberToHex } from "viem";
import type { PaymasterConfig } from "../env";
import { BadRequest } from "../errors";
import { bearerToken, parseJson, readBody } from "../http";
import { readAddress, readObject, readQuantity, readString, type Json } from "../parse";
import {
  POST_OP_GAS,
  signPaymasterData,
  stubPaymasterData,
  VERIFICATION_GAS,
  type Validity,
} from "../paymaster";
import type { SponsorshipRequest } from "../policy/policy";
import { REASONS, retryAfterSeconds, statusOf, type Reason } from "../policy/reasons";
import { checkToken, decide, type Services } from "../sponsor";
import { readUserOperation } from "../userop";

/** A sponsorship counts for this long: an operation is included within seconds or sent again. */
const VALIDITY_SECONDS = 300;

/** Denied by the operator's policy. JSON-RPC leaves -32000 to -32099 to the server. */
const DENIED_CODE = -32001;
const INVALID_REQUEST_CODE = -32602;

const METHODS = ["pm_getPaymasterStubData", "pm_getPaymasterData"] as const;

interface PaymasterCall {
  method: (typeof METHODS)[number];
  request: SponsorshipRequest;
  /** The token in the context, or "". */
  token: string;
}

/** The id to answer under; null as long as the request has none that makes sense. */
function readId({ id }: Json): string | number | null {
  return typeof id === "string" || typeof id === "number" ? id : null;
}

function readCall(json: Json): PaymasterCall {
  const method = METHODS.find((known) => known === json.method);
  if (!method) throw new BadRequest(`method: none of ${METHODS.join(", ")}`);
  if (!Array.isArray(json.params)) throw new BadRequest("params: not an array");
  const [op, entryPoint, chainId, context] = json.params as unknown[];
  const { token } = readObject(context ?? {}, "params[3]");
  const given = readUserOperation(op, "params[0]");
  const paymasterVerificationGasLimit = given.paymasterVerificationGasLimit || VERIFICATION_GAS;
  return {
    method,
    request: {
      op: { ...given, paymasterVerificationGasLimit },
      entryPoint: readAddress(entryPoint, "params[1]"),
      chainId: readQuantity(chainId, "params[2]", 64),
    },
    token: readString(token ?? "", "params[3].token"),
  };
}

function validityAt(nowMs: number): Validity {
  const now = Math.floor(nowMs / 1000);
  return { validUntil: now + VALIDITY_SECONDS, validAfter: now - VALIDITY_SECONDS };
}

function stubResult(paymaster: PaymasterConfig, validity: Validity): Json {
  return {
    sponsor: { name: "AttestMesh operator" },
    paymaster: paymaster.address,
    paymasterData: stubPaymasterData(validity),
    paymasterVerificationGasLimit: numberToHex(VERIFICATION_GAS),
    paymasterPostOpGasLimit: numberToHex(POST_OP_GAS),
  };
}

function signedResult(
  { op, chainId }: SponsorshipRequest,
  paymaster: PaymasterConfig,
  validity: Validity,
): Json {
  return {
    paymaster: paymaster.address,
    paymasterData: signPaymasterData(op, paymaster.address, chainId, validity, paymaster.signerKey),
    paymasterVerificationGasLimit: numberToHex(op.paymasterVerificationGasLimit),
    paymasterPostOpGasLimit: numberToHex(op.paymasterPostOpGasLimit),
  };
}

function denied(id: string | number | null, reason: Reason, nowMs: number): Response {
  const { text, final } = REASONS[reason];
  const error = { code: DENIED_CODE, message: `sponsorship denied: ${text}`, data: { reason, final } };
  const seconds = retryAfterSeconds(reason, nowMs);
  const headers = seconds === null ? {} : { "retry-after": String(seconds) };
  return Response.json({ jsonrpc: "2.0", id, error }, { status: statusOf(reason), headers });
}

export async function handleErc7677(http: Request, services: Services): Promise<Response> {
  let id: string | number | null = null;
  try {
    const { paymaster } = services.config;
    if (paymaster === null) throw new BadRequest("this operator has no paymaster", 404);
    const json = readObject(parseJson(await readBody(http)), "body");
    id = readId(json);
    const { method, request, token } = readCall(json);

    const isFinal = method === "pm_getPaymasterData";
    const reason =
      (await checkToken(token || bearerToken(http), services)) ?? (await decide(request, isFinal, services));
    if (reason !== null) return denied(id, reason, services.nowMs);

    const validity = validityAt(services.nowMs);
    const result = isFinal ? signedResult(request, paymaster, validity) : stubResult(paymaster, validity);
    return Response.json({ jsonrpc: "2.0", id, result });
  } catch (error) {
    if (!(error instanceof BadRequest)) throw error;
    const { message, status } = error;
    return Response.json({ jsonrpc: "2.0", id, error: { code: INVALID_REQUEST_CODE, message } }, { status });
  }
}
