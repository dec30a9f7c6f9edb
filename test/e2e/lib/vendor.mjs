// Stands in for Alchemy's and Pimlico's bundler endpoints, which can not run here: their sponsorship methods in
// the shapes that they publish, asking the operator's webhook as they do; every other method is the real
// bundler's.
//
//   vendor.mjs HOST PORT BUNDLER_URL RPC_URL WEBHOOK_URL PAYMASTER SIGNER_KEY PIMLICO_KEY (base64)
//
// Each request's method is a line on stdout.

import { createHmac, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { concat, createPublicClient, encodeAbiParameters, http, numberToHex, parseAbi } from "viem";
import { toPackedUserOperation } from "viem/account-abstraction";
import { privateKeyToAccount } from "viem/accounts";
import { callGasLimit } from "./gas.mjs";

const [host, port, bundlerUrl, rpcUrl, webhookUrl, paymaster, signerKey, pimlicoKey] = process.argv.slice(2);
const signer = privateKeyToAccount(signerKey);
const chain = createPublicClient({ transport: http(rpcUrl) });
const chainId = numberToHex(await chain.getChainId());

const PACKED =
  "(address sender, uint256 nonce, bytes initCode, bytes callData, bytes32 accountGasLimits, " +
  "uint256 preVerificationGas, bytes32 gasFees, bytes paymasterAndData, bytes signature)";
const ABI = parseAbi([
  `function getHash(${PACKED} userOp, uint48 validUntil, uint48 validAfter) view returns (bytes32)`,
]);
const VALID_UNTIL = 2 ** 40;
const VALIDITY = encodeAbiParameters([{ type: "uint48" }, { type: "uint48" }], [VALID_UNTIL, 0]);
const PAYMASTER_GAS = { paymasterVerificationGasLimit: numberToHex(40_000), paymasterPostOpGasLimit: "0x0" };

// An error as the services send it.
class Refusal extends Error {
  constructor(code, message, data) {
    super(message);
    this.error = { code, message, data };
  }
}

async function post(url, body, headers = {}) {
  const init = { method: "POST", headers: { "content-type": "application/json", ...headers }, body };
  return (await fetch(url, init)).json();
}

async function askBundler(method, params) {
  const answer = await post(bundlerUrl, JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }));
  if (answer.error) throw new Refusal(answer.error.code, answer.error.message, answer.error.data);
  return answer.result;
}

const NUMBERS = /Gas|nonce/;
const withNumbers = (operation) =>
  Object.fromEntries(
    Object.entries(operation).map(([name, value]) => [name, NUMBERS.test(name) ? BigInt(value) : value]),
  );

async function signPaymasterData(operation) {
  const shape = { ...operation, paymasterData: concat([VALIDITY, `0x${"00".repeat(65)}`]) };
  const raw = await chain.readContract({
    address: paymaster,
    abi: ABI,
    functionName: "getHash",
    args: [toPackedUserOperation(withNumbers(shape)), VALID_UNTIL, 0],
  });
  return concat([VALIDITY, await signer.signMessage({ message: { raw } })]);
}

// The operation with gas limits and a paymaster that `isApproved` agrees to.
async function sponsor(operation, entryPoint, isApproved) {
  const stub = concat([VALIDITY, await signer.signMessage({ message: "any signature of the right shape" })]);
  const complete = { ...operation, paymaster, paymasterData: stub, ...PAYMASTER_GAS };
  const estimate = await askBundler("eth_estimateUserOperationGas", [complete, entryPoint]);
  for (const name of ["verificationGasLimit", "preVerificationGas"]) complete[name] = estimate[name];
  const askChain = (method, params) => chain.request({ method, params });
  complete.callGasLimit = await callGasLimit(askChain, operation, estimate.callGasLimit);
  const verdict = await isApproved(complete);
  if (!verdict.approved)
    throw new Refusal(-32000, `sponsorship denied by the policy's webhook: ${verdict.reason}`);
  complete.paymasterData = await signPaymasterData(complete);
  return complete;
}

const pick = (object, ...names) => Object.fromEntries(names.map((name) => [name, object[name]]));
const GAS = ["callGasLimit", "verificationGasLimit", "preVerificationGas"];
const PAYMASTER = ["paymaster", "paymasterData", "paymasterVerificationGasLimit", "paymasterPostOpGasLimit"];
const FEES = ["maxFeePerGas", "maxPriorityFeePerGas"];

// https://www.alchemy.com/docs/wallets/api-reference/gas-manager-admin-api/gas-abstraction-api-endpoints
async function alchemy([
  { policyId, entryPoint, dummySignature, userOperation, overrides = {}, webhookData },
]) {
  if (!policyId || !dummySignature) throw new Refusal(-32602, "policyId and dummySignature are required");
  if (userOperation.signature) throw new Refusal(-32602, "userOperation: unexpected signature");
  const { fast } = await askBundler("pimlico_getUserOperationGasPrice", []);
  const fees = { ...fast, ...pick(overrides, ...FEES.filter((name) => name in overrides)) };
  const complete = await sponsor({ ...userOperation, ...fees, signature: dummySignature }, entryPoint, (op) =>
    post(`${webhookUrl}/alchemy`, JSON.stringify({ userOperation: op, policyId, chainId, webhookData })),
  );
  return pick(complete, ...GAS, ...FEES, ...PAYMASTER);
}

// https://docs.pimlico.io/references/paymaster/verifying-paymaster
async function pimlico([operation, entryPoint, { sponsorshipPolicyId } = {}]) {
  if (!sponsorshipPolicyId) throw new Refusal(-32602, "sponsorshipPolicyId is required");
  const complete = await sponsor(operation, entryPoint, async (userOperation) => {
    const object = { userOperation, entryPoint, chainId: Number(chainId), sponsorshipPolicyId };
    const body = JSON.stringify({ type: "user_operation.sponsorship.requested", data: { object } });
    const [id, timestamp] = [`msg_${randomUUID()}`, String(Math.floor(Date.now() / 1000))];
    const mac = createHmac("sha256", Buffer.from(pimlicoKey, "base64")).update(`${id}.${timestamp}.${body}`);
    const headers = {
      "svix-id": id,
      "svix-timestamp": timestamp,
      "svix-signature": `v1,${mac.digest("base64")}`,
    };
    const answer = await post(`${webhookUrl}/pimlico`, body, headers);
    return { approved: answer.sponsor, reason: answer.reason };
  });
  return pick(complete, ...GAS, ...PAYMASTER);
}

const METHODS = { alchemy_requestGasAndPaymasterAndData: alchemy, pm_sponsorUserOperation: pimlico };

async function answer(text) {
  const { id, method, params } = JSON.parse(text);
  console.log(method);
  if (!METHODS[method]) return post(bundlerUrl, text);
  try {
    return { jsonrpc: "2.0", id, result: await METHODS[method](params) };
  } catch (failure) {
    return { jsonrpc: "2.0", id, error: failure.error ?? { code: -32603, message: String(failure) } };
  }
}

createServer(async (request, response) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  response.setHeader("content-type", "application/json").end(JSON.stringify(await answer(text)));
}).listen(Number(port), host);
