/** The ERC-7677 paymaster service: JSON-RPC `pm_getPaymasterStubData` and `pm_getPaymasterData`. */
import { numberToHex } from "viem";
import type { Config, PaymasterConfig } from "./env";
import { BadRequest, Denied } from "./errors";
import { bearerToken, equalSecrets, parseJson, readBody } from "./http";
import { readAddress, readObject, readQuantity, readString, type Json } from "./parse";
import { POST_OP_GAS, signPaymasterData, stubPaymasterData, VERIFICATION_GAS, type Validity } from "./paymaster";
import { judge, type Request as SponsorshipRequest } from "./policy/policy";
import { REASONS } from "./policy/reasons";
import { readUserOperation } from "./userop";

/** A sponsorship counts for this long: an operation is included within seconds or sent again. */
const VALIDITY_SECONDS = 300;

const DENIED_CODE = -32001;

interface RpcCall {
  id: unknown;
  method: string;
  params: unknown[];
}

function readRpcCall(body: unknown): RpcCall {
  const json = readObject(body, "body");
  const id = json.id ?? null;
  if (!["string", "number"].includes(typeof id) && id !== null) throw new BadRequest("id: not a string or number");
  if (!Array.isArray(json.params)) throw new BadRequest("params: not an array");
  return { id, method: readString(json.method, "method"), params: json.params };
}

function readParams(params: unknown[]): { request: SponsorshipRequest; context: Json } {
  const [op, entryPoint, chainId, context] = params;
  return {
    request: {
      op: readUserOperation(op, "params[0]"),
      entryPoint: readAddress(entryPoint, "params[1]"),
      chainId: readQuantity(chainId, "params[2]", 64),
    },
    context: context === undefined || context === null ? {} : readObject(context, "params[3]"),
  };
}

async function requireToken(request: Request, context: Json, config: Config): Promise<void> {
  const token = typeof context.token === "string" ? context.token : bearerToken(request);
  if (!(await equalSecrets(token, config.token))) throw new Denied("token_wrong");
}

function validityFrom(nowSeconds: number): Validity {
  return { validUntil: nowSeconds + VALIDITY_SECONDS, validAfter: nowSeconds - VALIDITY_SECONDS };
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

async function finalResult(
  { op }: SponsorshipRequest,
  paymaster: PaymasterConfig,
  validity: Validity,
  chainId: bigint,
): Promise<Json> {
  const signed = { ...op, paymasterVerificationGasLimit: op.paymasterVerificationGasLimit || VERIFICATION_GAS };
  return {
    paymaster: paymaster.address,
    paymasterData: await signPaymasterData(signed, paymaster.address, chainId, validity, paymaster.signerKey),
    paymasterVerificationGasLimit: numberToHex(signed.paymasterVerificationGasLimit),
    paymasterPostOpGasLimit: numberToHex(signed.paymasterPostOpGasLimit),
  };
}

async function answer(call: RpcCall, http: Request, config: Config, paymaster: PaymasterConfig): Promise<Json> {
  const { request, context } = readParams(call.params);
  await requireToken(http, context, config);
  judge(request, config);
  const validity = validityFrom(Math.floor(Date.now() / 1000));
  switch (call.method) {
    case "pm_getPaymasterStubData":
      return stubResult(paymaster, validity);
    case "pm_getPaymasterData":
      return finalResult(request, paymaster, validity, config.chainId);
    default:
      throw new BadRequest(`method: ${call.method} is not offered here`);
  }
}

function rpcError(id: unknown, error: unknown): Response {
  const body = (code: number, message: string, data?: Json): Json => ({ jsonrpc: "2.0", id, error: { code, message, data } });
  if (error instanceof Denied) {
    const message = `sponsorship denied: ${REASONS[error.reason]}`;
    const status = error.reason === "token_wrong" ? 401 : 200;
    return Response.json(body(DENIED_CODE, message, { reason: error.reason }), { status });
  }
  if (error instanceof BadRequest) return Response.json(body(-32602, error.message), { status: error.status });
  throw error;
}

export async function handleErc7677(http: Request, config: Config): Promise<Response> {
  let id: unknown = null;
  try {
    const { paymaster } = config;
    if (paymaster === null) throw new BadRequest("this Worker has no paymaster", 404);
    const call = readRpcCall(parseJson(await readBody(http)));
    id = call.id;
    return Response.json({ jsonrpc: "2.0", id, result: await answer(call, http, config, paymaster) });
  } catch (error) {
    return rpcError(id, error);
  }
}
