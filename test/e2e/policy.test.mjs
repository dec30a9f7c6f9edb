// What is not paid for: every reason of the policy, provoked by a request to a real Worker, and a flood of
// registrations that costs the operator nothing.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  concat,
  encodeAbiParameters,
  encodeFunctionData,
  keccak256,
  numberToHex,
  parseAbi,
  zeroAddress,
  zeroHash,
} from "viem";
import { entryPoint07Abi } from "viem/account-abstraction";
import { privateKeyToAccount } from "viem/accounts";
import { REASONS } from "../../worker/src/policy/reasons.ts";
import { ACCOUNTS, ENTRY_POINT, chainClient } from "../devnet/lib/chain.mjs";
import { contractAbi, sendAll } from "../devnet/lib/deploy.mjs";
import { ROOT } from "../devnet/lib/instance.mjs";
import { startGuestAgent, stopGuestAgent } from "../devnet/lib/node-room.mjs";
import { findRoom, inRoom } from "../devnet/lib/room.mjs";
import { run, waitFor } from "../devnet/lib/run.mjs";
import { SPONSOR_TOKEN, STATS_TOKEN } from "../devnet/lib/services.mjs";
import { CHAIN_ID, WORKER_URL, WORLD } from "../devnet/lib/topology.mjs";
import { postJson } from "../devnet/lib/world.mjs";
import { registry } from "./lib/checks.mjs";
import { cluster, deployment, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { openSpare, startWorker, startWrongAgent, stopWorker, withSpare } from "./lib/spare.mjs";
import { accountNonce, nodeKeys, registerCall } from "./lib/witness.mjs";

const FLOOD = 1_000;
const FLOOD_MS = 300_000;
const ALLOWED_MS = 150_000; // what is not allowed is remembered for a minute; then there is the agent's backoff
const INCLUDED = /"operation\.included"/;
const STRICT = { name: "worker-strict", port: 8792 };
const BLIND = { name: "worker-blind", port: 8793 };
const OTHER_CLUSTER = ACCOUNTS.utility.address; // listed at the strict Worker, as clusters of no factory are
const PROOF_OF_NOTHING = `0x${"11".repeat(65)}`;
const ABI = [
  ...["DstackFacet", "MessageFacet", "NetworkFacet", "OperatorFacet"].flatMap(contractAbi),
  ...parseAbi([
    "function execute(address target, uint256 value, bytes data)",
    "function balanceOf(address account) view returns (uint256)",
  ]),
];
const callOf = (functionName, ...args) => encodeFunctionData({ abi: ABI, functionName, args });
const execute = (data, target = cluster, value = 0n) => callOf("execute", target, value, data);
const publishWgKey = callOf("publishWgKey", keccak256("0x01"));

let spare;
let keys;
let strict;
let blind;

before(async () => {
  spare = await openSpare(instance, deployment, 230);
  await startGuestAgent(instance, spare);
  keys = await nodeKeys(instance, spare);
  const caps = { SENDER_DAILY_OPS: 1, CLUSTER_DAILY_OPS: 2, GLOBAL_DAILY_OPS: 3, CLUSTERS: OTHER_CLUSTER };
  [strict, blind] = await Promise.all([
    startWorker(instance, deployment, STRICT.name, STRICT.port, caps),
    startWorker(instance, deployment, BLIND.name, BLIND.port, { RPC_URL: "http://10.99.0.1:9" }),
  ]);
});
after(async () => {
  await stopGuestAgent(instance, spare);
  await Promise.all([STRICT, BLIND].map(({ name }) => stopWorker(instance, name)));
});

function operation(callData, changes = {}) {
  return {
    sender: spare.memberContract,
    nonce: "0x0",
    callData,
    callGasLimit: numberToHex(100_000),
    verificationGasLimit: numberToHex(50_000),
    preVerificationGas: numberToHex(50_000),
    maxFeePerGas: numberToHex(2_000_000_000),
    maxPriorityFeePerGas: numberToHex(1_000_000_000),
    signature: PROOF_OF_NOTHING,
    ...changes,
  };
}

// The Worker's reason, or null when it pays.
async function ask(
  op,
  { url = WORKER_URL, entryPoint = ENTRY_POINT, chainId = CHAIN_ID, token = SPONSOR_TOKEN } = {},
) {
  const { result, error } = await postJson(instance, `${url}/erc7677`, {
    jsonrpc: "2.0",
    id: 1,
    method: "pm_getPaymasterData",
    params: [op, entryPoint, numberToHex(chainId), { token }],
  });
  if (!result) return error.data?.reason ?? error.message;
  assert.equal(result.paymaster.toLowerCase(), deployment.paymaster.toLowerCase());
  return null;
}

const askOf = (callData, changes, question) => () => ask(operation(callData, changes), question);
const askProof = (changes) => async () =>
  ask(operation(execute(await registerCall(cluster, spare, keys, changes))));

async function askVoucher(expiry, spoil = {}) {
  const operator = privateKeyToAccount(ACCOUNTS.stranger.key);
  const owner = ACCOUNTS.owner.address;
  const words = ["string", "address", "address", "bytes32", "bytes32", "bytes32", "address", "uint64"];
  const publicKeys = [keys.xPubKey, keys.wgPubKey, keys.ed25519PubKey];
  const raw = keccak256(
    encodeAbiParameters(
      words.map((type) => ({ type })),
      ["attestmesh.operator.bind.v1", cluster, spare.memberContract, ...publicKeys, owner, expiry],
    ),
  );
  const signature = await operator.signMessage({ message: { raw } });
  const proof = { signer: operator.address, ownerKey: owner, expiry, signature, ...spoil };
  return ask(operation(execute(callOf("operator_register", proof, spare.memberContract, ...publicKeys))));
}

// Of the strict Worker, whose caps are 1 for a sender, 2 for a cluster and 3 in all, each operation is another one.
async function askStrict(...requests) {
  const reasons = [];
  for (const [sender, nonce, target = cluster] of requests) {
    const changes = { sender: sender.memberContract, nonce: numberToHex(nonce) };
    reasons.push(await ask(operation(execute(publishWgKey, target), changes), { url: strict }));
  }
  return reasons.at(-1);
}

const [a, b, c] = nodes();
const FAR_FUTURE = 2n ** 40n;

// In the order of the policy's rules.
const DENIALS = {
  token_missing: askOf(execute(publishWgKey), {}, { token: "" }),
  token_wrong: askOf(execute(publishWgKey), {}, { token: "guess" }),
  signature_wrong: async () => (await postJson(instance, `${WORKER_URL}/pimlico`, { type: "any" })).reason,
  chain_mismatch: askOf(execute(publishWgKey), {}, { chainId: 1 }),
  entry_point_mismatch: askOf(execute(publishWgKey), {}, { entryPoint: zeroAddress }),
  sender_unknown: askOf(execute(publishWgKey), { sender: ACCOUNTS.stranger.address }),
  not_execute: () => ask(operation("0xdeadbeef")),
  value_not_zero: () => ask(operation(execute(publishWgKey, cluster, 1n))),
  target_unknown: () => ask(operation(execute(publishWgKey, zeroAddress))),
  selector_not_allowed: () => ask(operation(execute("0x12345678"))),
  proof_malformed: async () =>
    ask(operation(execute(concat([await registerCall(cluster, spare, keys), "0x00"])))),
  proof_member_mismatch: async () => ask(operation(execute(await registerCall(cluster, a, keys)))),
  proof_code_id: askProof({ codeId: zeroHash }),
  proof_binding: askProof({ messageHash: zeroHash }),
  proof_purpose: askProof({ purpose: "another" }),
  proof_derived_key: askProof({ messageSignature: PROOF_OF_NOTHING }),
  proof_app_key: askProof({ appSignature: PROOF_OF_NOTHING }),
  proof_kms_signature: askProof({ kmsSignature: "0x" }),
  // A signature of something else is one by a key that nobody knows.
  kms_root_unknown: () => askProof({ kmsSignature: keys.binding.chain[0] })(),
  voucher_expired: () => askVoucher(1n),
  voucher_signature: () => askVoucher(FAR_FUTURE, { ownerKey: zeroAddress }),
  operator_unknown: () => askVoucher(FAR_FUTURE),
  calldata_too_large: () =>
    ask(operation(execute(callOf("send", zeroHash, zeroHash, `0x${"00".repeat(8193)}`)))),
  gas_too_high: () => ask(operation(execute(publishWgKey), { callGasLimit: numberToHex(1_000_000) })),
  fee_too_high: () => ask(operation(execute(publishWgKey), { maxFeePerGas: numberToHex(10n ** 12n) })),
  sender_cap: () => askStrict([a, 1000n], [a, 1001n]),
  cluster_cap: () => askStrict([b, 1000n], [c, 1000n]),
  global_cap: () => askStrict([c, 1000n, OTHER_CLUSTER], [spare, 1000n, OTHER_CLUSTER]),
  chain_unavailable: () => ask(operation(execute(publishWgKey)), { url: blind }),
};

const registerOnceAllowed = () =>
  withSpare(instance, deployment, 231, async (late, state) => {
    const root = ACCOUNTS.utility;
    await stopGuestAgent(instance, late);
    await startGuestAgent(instance, late, { rootKey: root.key });
    const agent = await startWrongAgent(instance, late, state, /kms_root_unknown|KMS root/);
    try {
      await sendAll(instance, [{ to: cluster, data: callOf("addAllowedKmsRoot", root.address) }]);
      const allowed = Date.now();
      await waitFor("the registration", () => agent.lines.some((line) => INCLUDED.test(line)), {
        timeoutMs: ALLOWED_MS,
      });
      recordFigure(
        instance,
        "registration_after_root_allowed_seconds",
        ((Date.now() - allowed) / 1000).toFixed(1),
      );
    } finally {
      await agent.stop();
      await sendAll(instance, [{ to: cluster, data: callOf("removeAllowedKmsRoot", root.address) }]);
    }
  });

describe("policy", { concurrency: true }, () => {
  test("policy: a node whose KMS root is allowed later is paid for soon after", () => registerOnceAllowed());

  describe("policy: meanwhile", { concurrency: 1 }, () => {
    for (const [reason, provoke] of Object.entries(DENIALS)) {
      test(`policy: ${reason} is provoked by a request`, async () => assert.equal(await provoke(), reason));
    }

    test("policy: no reason is left out, and what is right is paid for", async () => {
      assert.deepEqual(Object.keys(DENIALS), Object.keys(REASONS));
      recordFigure(instance, "deny_reasons_by_request", Object.keys(DENIALS).length);
      const call = execute(await registerCall(cluster, spare, keys));
      assert.equal(await ask(operation(call, { callGasLimit: numberToHex(400_000) })), null);
    });
  });
});

const deposit = () =>
  chainClient(instance).readContract({
    address: ENTRY_POINT,
    abi: ABI,
    functionName: "balanceOf",
    args: [deployment.paymaster],
  });

// The operations that the operator paid for from a block on.
const paidFrom = (fromBlock) =>
  chainClient(instance).getContractEvents({
    address: ENTRY_POINT,
    abi: entryPoint07Abi,
    eventName: "UserOperationEvent",
    args: { paymaster: deployment.paymaster },
    fromBlock,
  });

async function stats() {
  const curl = ["curl", "-s", "-H", "@-", `${WORKER_URL}/stats`];
  const input = `authorization: Bearer ${STATS_TOKEN}\n`;
  return JSON.parse(await run([...inRoom(findRoom(instance, WORLD), { network: true }), ...curl], { input }));
}

const denialsOf = ({ denials }) => Object.values(denials).reduce((sum, count) => sum + count, 0);

// Seconds from the agent's start to its registration.
async function timeRegistration(newcomer, state) {
  const started = Date.now();
  const agent = await startWrongAgent(instance, newcomer, state, INCLUDED, { timeoutMs: 120_000 });
  const seconds = (Date.now() - started) / 1000;
  await agent.stop();
  assert.equal(await accountNonce(instance, newcomer), 1n);
  return seconds;
}

function flood() {
  const known = [...nodes(), spare].map(({ memberContract }) => memberContract);
  const argv = [`${WORKER_URL}/erc7677`, SPONSOR_TOKEN, CHAIN_ID, cluster, FLOOD, ...known].map(String);
  const command = [process.execPath, join(ROOT, "worker/bench/flood.mjs"), ...argv];
  return run([...inRoom(findRoom(instance, WORLD), { network: true }), ...command], { timeoutMs: FLOOD_MS });
}

test("policy: a thousand registrations by strangers cost nothing, and a real one goes through", async () => {
  await withSpare(instance, deployment, 232, async (newcomer, state) => {
    const seconds = await timeRegistration(newcomer, state);
    recordFigure(instance, "registration_seconds", seconds.toFixed(1));
  });
  await withSpare(instance, deployment, 233, async (newcomer, state) => {
    const start = (await chainClient(instance).getBlockNumber()) + 1n;
    const [depositBefore, before] = [await deposit(), await stats()];
    const deniedSince = async () => denialsOf(await stats()) - denialsOf(before);

    async function registerInFlood() {
      await waitFor("the flood", async () => (await deniedSince()) > 0, { timeoutMs: FLOOD_MS });
      const deniedAtStart = await deniedSince();
      const seconds = await timeRegistration(newcomer, state);
      return { seconds, deniedMeanwhile: (await deniedSince()) - deniedAtStart };
    }

    const [report, real] = await Promise.all([flood(), registerInFlood()]);
    const lines = report.trim().split("\n");
    const figures = Object.fromEntries(lines.map((line) => line.split(" ")));
    for (const [name, value] of Object.entries(figures)) recordFigure(instance, name, value);
    recordFigure(instance, "registration_seconds_in_flood", real.seconds.toFixed(1));

    assert.ok(real.deniedMeanwhile > 0, "the flood goes on during the registration");
    const denied = FLOOD - (figures.flood_unanswered ?? 0);
    await waitFor("the denials to be counted", async () => (await deniedSince()) >= denied);

    // The newcomer's registration, and the endpoints that members tell each other because of it.
    const members = (await registry(instance, cluster)).map(({ memberContract }) => memberContract);
    await waitFor("the bill", async () => {
      const paid = (await paidFrom(start)).map(({ args }) => args);
      for (const { sender } of paid) assert.ok(members.includes(sender), `${sender} is a stranger`);
      const cost = paid.reduce((sum, { actualGasCost }) => sum + actualGasCost, 0n);
      return cost > 0n && depositBefore - (await deposit()) === cost;
    });
  });
});
