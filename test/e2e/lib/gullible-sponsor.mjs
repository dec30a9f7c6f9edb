// A sponsor that looks at nothing, so that it is the contract that refuses. What the contract refuses fails
// when its gas is estimated, before a sponsor has to sign for good: this one only ever gives the stub.
//
//   gullible-sponsor.mjs HOST PORT PAYMASTER SIGNER_KEY

import { createServer } from "node:http";
import { concat, encodeAbiParameters, numberToHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [host, port, paymaster, signerKey] = process.argv.slice(2);
const validity = encodeAbiParameters([{ type: "uint48" }, { type: "uint48" }], [2 ** 40, 0]);
const signature = await privateKeyToAccount(signerKey).signMessage({
  message: "any signature of the right shape",
});

const stub = {
  paymaster,
  paymasterData: concat([validity, signature]),
  paymasterVerificationGasLimit: numberToHex(60_000),
  paymasterPostOpGasLimit: "0x0",
};

createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { id, method } = JSON.parse(body);
  const outcome =
    method === "pm_getPaymasterStubData"
      ? { result: stub }
      : { error: { code: -32601, message: `no ${method}` } };
  response
    .setHeader("content-type", "application/json")
    .end(JSON.stringify({ jsonrpc: "2.0", id, ...outcome }));
}).listen(Number(port), host);
