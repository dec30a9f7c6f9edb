// Who pays: every kind of sponsor pays for everything that a member does, an outage or a crash in the middle
// loses nothing and pays nothing twice, and who is denied reads why.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { encodeFunctionData, keccak256, toHex } from "viem";
import { chainClient } from "../devnet/lib/chain.mjs";
import { contractAbi, sendAll } from "../devnet/lib/deploy.mjs";
import { meshctl, startNode, stopNode } from "../devnet/lib/node.mjs";
import { startAgent } from "../devnet/lib/node-room.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { SPONSOR_TOKEN } from "../devnet/lib/services.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { withoutBlocks } from "./lib/blocks.mjs";
import { keyholderFirst } from "./lib/checks.mjs";
import { cluster, deployment, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { operationsOnChain } from "./lib/operations.mjs";
import { payByAlchemy, payByPimlico, payByWorker } from "./lib/payers.mjs";
import { startVendor, startWrongAgent, stopVendor, vendorRequests, withSpare } from "./lib/spare.mjs";
import { accountNonce, nodeKeys, readCluster, sendUserOperation } from "./lib/witness.mjs";

const VENDOR_PORT = 8789;
const FAILING_PORT = 8790;
const OUTAGE_MS = 60_000;
const COMMITTED_MS = 60_000;
const INCLUDED = /"operation\.included"/;
const WEBHOOK_DATA = JSON.stringify({ webhookData: SPONSOR_TOKEN });
const ABI = ["AttestFacet", "DstackFacet", "MessageFacet", "NetworkFacet"].flatMap(contractAbi);
let vendor;
let index = 210;

before(async () => {
  vendor = await startVendor(instance, deployment, VENDOR_PORT);
});
after(() => stopVendor(instance, VENDOR_PORT));

const aSpare = (body) => withSpare(instance, deployment, index++, body);
const callOf = (functionName, ...args) => encodeFunctionData({ abi: ABI, functionName, args });

async function assertRegisteredOnce(spare) {
  assert.equal(await readCluster(instance, cluster, "isClusterMember", [spare.memberContract]), true);
  assert.equal(await accountNonce(instance, spare), 1n);
}

async function includedCommitments(node) {
  const operations = await meshctl(instance, node, "ops");
  return operations.filter(({ purpose, outcome }) => purpose === "CSK commitment" && outcome === "included");
}

// How an agent, and how the witness, has its operations paid for by each kind.
const KINDS = [
  ["erc7677", () => ({}), () => payByWorker],
  ["alchemy", () => ({ BUNDLER_URL: vendor, SPONSOR: `alchemy=policy-1#${WEBHOOK_DATA}` }), payByAlchemy],
  ["pimlico", () => ({ BUNDLER_URL: vendor, SPONSOR: "pimlico=sp_test" }), payByPimlico],
];

async function outlastOutage() {
  const bundler = await startVendor(instance, deployment, FAILING_PORT);
  await aSpare(async (spare, state) => {
    const overrides = { BUNDLER_URL: bundler, SPONSOR: "pimlico=sp_test" };
    const agent = await startWrongAgent(instance, spare, { ...state, ...overrides }, /"step":"sponsoring"/);
    try {
      await stopVendor(instance, FAILING_PORT);
      await sleep(OUTAGE_MS);
      assert.ok(!agent.lines.some((line) => INCLUDED.test(line)), "not included while nobody was there");
      await startVendor(instance, deployment, FAILING_PORT);
      const back = Date.now();
      await waitFor("the registration", () => agent.lines.find((line) => INCLUDED.test(line)), {
        timeoutMs: 90_000,
      });
      recordFigure(instance, "registration_after_outage_seconds", ((Date.now() - back) / 1000).toFixed(1));
    } finally {
      await agent.stop();
      await stopVendor(instance, FAILING_PORT);
    }
    await assertRegisteredOnce(spare);
  });
}

async function assertPaysForKeyAndEnvelope(spare, pay) {
  const keys = await nodeKeys(instance, spare);
  const memberId = await readCluster(instance, cluster, "memberIdOf", [spare.memberContract]);
  const wgPubKey = keccak256(keys.wgPubKey);
  const calls = [
    callOf("publishWgKey", wgPubKey),
    callOf("send", memberId, keccak256(toHex("an envelope")), toHex("to itself")),
  ];
  for (const call of calls) {
    const { success } = await sendUserOperation(instance, spare, keys.binding.key, cluster, call, pay);
    assert.equal(success, true);
  }
  const { wgPubKey: published } = await readCluster(instance, cluster, "memberOf", [spare.memberContract]);
  assert.equal(published, wgPubKey);
}

describe("sponsor", { concurrency: true }, () => {
  test("sponsor: a minute without sponsor and bundler, in the middle of a registration, loses nothing", () =>
    outlastOutage());

  describe("sponsor: meanwhile", { concurrency: 1 }, () => {
    for (const [kind, overrides, payer] of KINDS) {
      test(`sponsor: ${kind} pays for a registration, a key and an envelope`, () =>
        aSpare(async (spare, state) => {
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
          await assertPaysForKeyAndEnvelope(spare, payer(vendor));
        }));

      test(`sponsor: ${kind} pays for the commitment to a new shared key`, async () => {
        const [keyholder] = await keyholderFirst(instance, cluster, nodes());
        const before = new Set((await includedCommitments(keyholder)).map(({ hash }) => hash));
        await stopNode(instance, keyholder);
        await startAgent(instance, keyholder, overrides());
        await sendAll(instance, [{ to: cluster, data: callOf("rotateCsk") }]);
        const operation = await waitFor(
          "the commitment",
          async () => (await includedCommitments(keyholder)).find(({ hash }) => !before.has(hash)),
          { timeoutMs: COMMITTED_MS },
        );
        assert.match(operation.sponsor, new RegExp(`^${kind} `));
        assert.notEqual(BigInt(await readCluster(instance, cluster, "cskCommitment")), 0n);
        await stopNode(instance, keyholder);
        await startNode(instance, keyholder);
        await awaitHealthy(instance, nodes(), { timeoutMs: COMMITTED_MS });
      });
    }

    test("sponsor: one that fails is passed over for the next", () =>
      aSpare(async (spare, state) => {
        const overrides = { BUNDLER_URL: vendor, SPONSOR: "erc7677=http://10.99.0.1:9,pimlico=sp_test" };
        const agent = await startWrongAgent(instance, spare, { ...state, ...overrides }, INCLUDED);
        await agent.stop();
        assert.match(agent.line, /pimlico sp_test/);
        await assertRegisteredOnce(spare);
      }));

    test("sponsor: one that denies for good is not asked again at once, and the reason is shown", () =>
      aSpare(async (spare, state) => {
        const overrides = { BUNDLER_URL: vendor, SPONSOR: 'alchemy=policy-1#{"webhookData":"wrong"}' };
        const asked = () =>
          vendorRequests(instance, VENDOR_PORT).filter((method) => method.startsWith("alchemy_")).length;
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

    test("sponsor: an agent that is killed before its receipt finds it and sends nothing", () =>
      aSpare(async (spare, state) => {
        await withoutBlocks(async () => {
          const killed = await startWrongAgent(instance, spare, state, /"step":"waiting"/);
          await killed.stop("KILL");
        });
        const agent = await startWrongAgent(instance, spare, state, INCLUDED);
        await agent.stop();
        assert.ok(
          !agent.lines.some((line) => /"step":"(sponsoring|sending)"/.test(line)),
          agent.lines.join("\n"),
        );
        await assertRegisteredOnce(spare);
      }));
  });
});

// Whatever a node does on chain, and the event that each success leaves there.
const DEEDS = {
  dstack_register: "MemberRegistered",
  publishWgKey: "WgKeyPublished",
  send: "MessageSent",
  setCskCommitment: "CskCommitmentSet",
};
// What may come too late when it is included: the recipient was removed, another generation was opened.
const MAY_BE_LATE = ["send", "setCskCommitment"];

async function countEvents(eventName, memberIds, toBlock) {
  const logs = await chainClient(instance).getContractEvents({
    address: cluster,
    abi: ABI,
    eventName,
    fromBlock: 0n,
    toBlock,
  });
  const doer = ({ memberId, senderMemberId }) => memberId ?? senderMemberId;
  return logs.filter(({ args }) => doer(args) === undefined || memberIds.includes(doer(args))).length;
}

test("sponsor: a node's life is one operation, and one more for each shared key it commits to", async () => {
  const toBlock = await chainClient(instance).getBlockNumber();
  const made = await operationsOnChain(instance, nodes(), ABI, toBlock);
  recordFigure(instance, "operations_per_node", (made.length / nodes().length).toFixed(2));
  const ids = await Promise.all(
    nodes().map((node) => readCluster(instance, cluster, "memberIdOf", [node.memberContract])),
  );
  for (const [functionName, eventName] of Object.entries(DEEDS)) {
    const done = made.filter((operation) => operation.success && operation.functionName === functionName);
    assert.equal(done.length, await countEvents(eventName, ids, toBlock), functionName);
  }
  const registrations = made.filter(({ functionName }) => functionName === "dstack_register");
  assert.equal(registrations.length, nodes().length);
  const unexpected = made.filter(
    ({ success, functionName }) => !(success ? functionName in DEEDS : MAY_BE_LATE.includes(functionName)),
  );
  assert.deepEqual(unexpected, []);
});
