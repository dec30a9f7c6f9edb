// Who pays for an operation of the witness: each gives the fields that the sponsor fills in.

import { numberToHex } from "viem";
import { ENTRY_POINT } from "../../devnet/lib/chain.mjs";
import { SPONSOR_TOKEN } from "../../devnet/lib/services.mjs";
import { BUNDLER_URL, CHAIN_ID, RPC_URL, WORKER_URL } from "../../devnet/lib/topology.mjs";
import { jsonRpc } from "../../devnet/lib/world.mjs";
import { callGasLimit } from "./gas.mjs";

export async function payByWorker(instance, operation) {
  const zero = { callGasLimit: "0x0", verificationGasLimit: "0x0", preVerificationGas: "0x0" };
  const parameters = [ENTRY_POINT, numberToHex(CHAIN_ID), { token: SPONSOR_TOKEN }];
  const ask = (method, known) =>
    jsonRpc(instance, `${WORKER_URL}/erc7677`, method, [{ ...operation, ...known }, ...parameters]);
  const { sponsor: _name, ...stub } = await ask("pm_getPaymasterStubData", zero);
  const { verificationGasLimit, preVerificationGas, ...estimate } = await jsonRpc(
    instance,
    BUNDLER_URL,
    "eth_estimateUserOperationGas",
    [{ ...operation, ...zero, ...stub }, ENTRY_POINT],
  );
  const chain = (method, params) => jsonRpc(instance, RPC_URL, method, params);
  const callGas = await callGasLimit(chain, operation, estimate.callGasLimit);
  const known = { ...stub, callGasLimit: callGas, verificationGasLimit, preVerificationGas };
  return { ...known, ...(await ask("pm_getPaymasterData", known)) };
}

export const payByAlchemy =
  (vendor) =>
  (instance, { signature, ...userOperation }) =>
    jsonRpc(instance, vendor, "alchemy_requestGasAndPaymasterAndData", [
      {
        policyId: "policy-1",
        entryPoint: ENTRY_POINT,
        dummySignature: signature,
        userOperation,
        webhookData: SPONSOR_TOKEN,
      },
    ]);

export const payByPimlico = (vendor) => (instance, operation) =>
  jsonRpc(instance, vendor, "pm_sponsorUserOperation", [
    operation,
    ENTRY_POINT,
    { sponsorshipPolicyId: "sp_test" },
  ]);
