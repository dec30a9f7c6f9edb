// Who pays: every kind of sponsor gets a node registered with one operation, an outage or a crash in the
// middle loses nothing and pays nothing twice, and who is denied reads why.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, test } from "node:test";
import { encodeFunctionData, numberToHex, parseAbi, zeroAddress } from "viem";
import { ACCOUNTS, ENTRY_POINT } from "../devnet/lib/chain.mjs";
import { meshctl } from "../devnet/lib/node.mjs";
import { startGuestAgent, stopGuestAgent } from "../devnet/lib/node-room.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { SPONSOR_TOKEN } from "../devnet/lib/services.mjs";
import { CHAIN_ID, WORKER_URL } from "../devnet/lib/topology.mjs";
import { jsonRpc } from "../devnet/lib/world.mjs";
import { cluster, deployment, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { openSpare, startVendor, startWrongAgent, stopVendor, vendorRequests } from "./lib/spare.mjs";
import { accountNonce, nodeKeys, readCluster, registerCall } from "./lib/witness.mjs";

const VENDOR_PORT = 8789;
const INCLUDED = /"operation\.included"/;
const WEBHOOK_DATA = JSON.stringify({ webhookData: SPONSOR_TOKEN });
let vendor;
let index = 210;

before(async () => {
  vendor = await startVendor(instance, deployment, VENDOR_PORT);
});
after(() => stopVendor(instance));

// A spare node with a guest agent and a folder for its state.
async function withSpare(body) {
  const spare = await openSpare(instance, deployment, index++);
  const state = join(instance.nodes, `${spare.name}-state`);
  mkdirSync(state, { mode: 0o700 });
  await startGuestAgent(instance, spare);
  try {
    await body(spare, { STATE_DIR: state });
  } finally {
    await stopGuestAgent(instance, spare);
  }
}

const isMember = ({ memberContract }) => readCluster(instance, cluster, "isClusterMember", [memberContract]);

async function assertRegisteredOnce(spare) {
  assert.equal(await isMember(spare), true);
  assert.equal(await accountNonce(instance, spare), 1n);
}

const KINDS = [
  ["erc7677", () => ({})],
  ["alchemy", () => ({ BUNDLER_URL: vendor, SPONSOR: `alchemy=policy-1#${WEBHOOK_DATA}` })],
  ["pimlico", () => ({ BUNDLER_URL: vendor, SPONSOR: "pimlico=sp_test" })],
];
for (const [kind, overrides] of KINDS) {
  test(`sponsor: ${kind} gets a node registered, with one operation that meshctl shows`, () =>
    withSpare(async (spare, state) => {
      const agent = await startWrongAgent(instance, spare, { ...state, ...overrides() }, INCLUDED);
      try {
        await assertRegisteredOnce(spare);
        const [operation, ...others] = await meshctl(instance, spare, "ops");
        assert.deepEqual(others, []);
        assert.equal(operation.purpose, "registration");
        assert.equal(operation.outcome, "included");
        assert.equal(operation.sends, 1);
        assert.match(operation.sponsor, new RegExp(`^${kind} `));
        assert.ok(operation.gas_used > 100_000 && BigInt(operation.cost_wei) > 0n);
        recordFigure(instance, `registration_gas_${kind}`, operation.gas_used);
      } finally {
        assert.equal(await agent.stop(), 0);
      }
    }));
}

test("sponsor: one that fails is passed over for the next", () =>
  withSpare(async (spare, state) => {
    const overrides = { BUNDLER_URL: vendor, SPONSOR: "erc7677=http://10.99.0.1:9,pimlico=sp_test" };
    const agent = await startWrongAgent(instance, spare, { ...state, ...overrides }, INCLUDED);
    await agent.stop();
    assert.match(agent.line, /pimlico sp_test/);
    await assertRegisteredOnce(spare);
  }));

test("sponsor: one that denies for good is not asked again at once, and the reason is shown", () =>
  withSpare(async (spare, state) => {
    const overrides = { BUNDLER_URL: vendor, SPONSOR: 'alchemy=policy-1#{"webhookData":"wrong"}' };
    const asked = () => vendorRequests(instance).filter((method) => method.startsWith("alchemy_")).length;
    const asksBefore = asked();
    const agent = await startWrongAgent(instance, spare, { ...state, ...overrides }, /token_wrong/);
    try {
      await sleep(8_000);
      const [operation] = await meshctl(instance, spare, "ops");
      assert.equal(operation.outcome, "denied");
      assert.match(operation.problem, /token_wrong/);
      assert.ok(operation.attempts > 1, "the node goes on trying");
      assert.equal(asked() - asksBefore, 1, "the sponsor is left alone");
    } finally {
      await agent.stop();
    }
  }));

test("sponsor: an outage of sponsor and bundler during registration loses nothing", () =>
  withSpare(async (spare, state) => {
    const overrides = { BUNDLER_URL: vendor, SPONSOR: "pimlico=sp_test" };
    await stopVendor(instance);
    const agent = await startWrongAgent(instance, spare, { ...state, ...overrides }, /"operation\.failed"/);
    try {
      await sleep(6_000);
      await startVendor(instance, deployment, VENDOR_PORT);
      const back = Date.now();
      await waitFor("the registration", () => agent.lines.find((line) => INCLUDED.test(line)), {
        timeoutMs: 60_000,
      });
      recordFigure(instance, "registration_after_outage_seconds", ((Date.now() - back) / 1000).toFixed(1));
    } finally {
      await agent.stop();
    }
    await assertRegisteredOnce(spare);
  }));

test("sponsor: an agent that is killed before its receipt finds it and sends nothing", () =>
  withSpare(async (spare, state) => {
    const killed = await startWrongAgent(instance, spare, state, /"step":"waiting"/);
    await killed.stop("KILL");
    assert.ok(!killed.lines.some((line) => INCLUDED.test(line)), "it was killed before the receipt");
    const agent = await startWrongAgent(instance, spare, state, INCLUDED);
    await agent.stop();
    assert.ok(
      !agent.lines.some((line) => /"step":"(sponsoring|sending)"/.test(line)),
      agent.lines.join("\n"),
    );
    await assertRegisteredOnce(spare);
  }));

test("sponsor: a node's life is one operation, and one more for each shared key it commits to", async () => {
  const made = await Promise.all(nodes().map((node) => accountNonce(instance, node)));
  const total = made.reduce((sum, count) => sum + count, 0n);
  const commitments = (await readCluster(instance, cluster, "cskGeneration")) + 1n;
  recordFigure(instance, "operations_per_node", (Number(total) / made.length).toFixed(2));
  // A registration whose gas was estimated before another one changed the registry may run out of it and be repeated.
  const needed = BigInt(made.length) + commitments;
  assert.ok(total >= needed && total < needed + BigInt(made.length), `${made} operations, ${commitments} commitments`);
});

// A registration that is paid for, and what is wrong about the others.
async function goodOperation(spare) {
  const keys = await nodeKeys(instance, spare);
  return {
    sender: spare.memberContract,
    nonce: "0x0",
    callData: execute(cluster, 0n, await registerCall(cluster, spare, keys)),
    maxFeePerGas: numberToHex(2_000_000_000),
    maxPriorityFeePerGas: numberToHex(1_000_000_000),
    signature: `0x${"11".repeat(65)}`,
  };
}

const ABI = parseAbi(["function execute(address target, uint256 value, bytes data)"]);
const execute = (...args) => encodeFunctionData({ abi: ABI, functionName: "execute", args });
const argumentsOf = (spare) => [spare, ENTRY_POINT, numberToHex(CHAIN_ID), { token: SPONSOR_TOKEN }];

const DENIALS = [
  ["token_missing", ([op, entryPoint, chainId]) => [op, entryPoint, chainId, {}]],
  ["token_wrong", ([op, entryPoint, chainId]) => [op, entryPoint, chainId, { token: "guess" }]],
  ["chain_mismatch", ([op, entryPoint, , context]) => [op, entryPoint, "0x1", context]],
  ["entry_point_mismatch", ([op, , chainId, context]) => [op, zeroAddress, chainId, context]],
  ["sender_unknown", ([op, ...rest]) => [{ ...op, sender: ACCOUNTS.stranger.address }, ...rest]],
  ["not_execute", ([op, ...rest]) => [{ ...op, callData: "0xdeadbeef" }, ...rest]],
  ["value_not_zero", ([op, ...rest]) => [{ ...op, callData: execute(cluster, 1n, "0x") }, ...rest]],
  [
    "target_unknown",
    ([op, ...rest]) => [{ ...op, callData: execute(zeroAddress, 0n, "0x12345678") }, ...rest],
  ],
  [
    "selector_not_allowed",
    ([op, ...rest]) => [{ ...op, callData: execute(cluster, 0n, "0x12345678") }, ...rest],
  ],
  ["fee_too_high", ([op, ...rest]) => [{ ...op, maxFeePerGas: numberToHex(10n ** 12n) }, ...rest]],
  ["proof_member_mismatch", ([op, ...rest], other) => [{ ...op, callData: other.callData }, ...rest]],
];

test("sponsor: each wrong request is denied with its reason, and the right one is not", () =>
  withSpare(async (spare) => {
    const good = argumentsOf(await goodOperation(spare));
    const other = await goodOperation({ ...spare, memberContract: nodes()[0].memberContract });
    for (const [reason, spoil] of DENIALS) {
      await assert.rejects(
        jsonRpc(instance, `${WORKER_URL}/erc7677`, "pm_getPaymasterStubData", spoil(good, other)),
        ({ data }) => assert.equal(data?.reason, reason) === undefined,
        reason,
      );
    }
    const { paymaster } = await jsonRpc(instance, `${WORKER_URL}/erc7677`, "pm_getPaymasterStubData", good);
    assert.equal(paymaster.toLowerCase(), deployment.paymaster.toLowerCase());
    recordFigure(instance, "deny_reasons_by_request", DENIALS.length);
  }));
