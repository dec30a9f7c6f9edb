// Strangers at the indexer's port are bounded, counted and refused with a code, and the members notice nothing.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { indexerMetric } from "../devnet/lib/indexer.mjs";
import { findRoom, inRoom } from "../devnet/lib/room.mjs";
import { run, waitFor } from "../devnet/lib/run.mjs";
import { servicePid } from "../devnet/lib/services.mjs";
import { PORTS, WORLD, WORLD_ADDRESS } from "../devnet/lib/topology.mjs";
import { instance } from "./lib/mesh.mjs";
import { allowCodes, awaitCaughtUp, pushesGrewBy, subscriptions } from "./lib/subscriptions.mjs";

const FLOOD = fileURLToPath(new URL("lib/flood.mjs", import.meta.url));
const SILENT = 10_000;
const STRANGERS_MAX = 1024;
const GROWTH_MAX_KB = 100_000; // a thousand TLS handshakes under way
const [BAD_FRAME, NOT_A_MEMBER] = [1, 3];

const residentKb = () =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${servicePid(instance, "indexer")}/status`, "utf8"))[1]);

test("flood: ten thousand strangers are bounded, counted and refused", async () => {
  await awaitCaughtUp();
  const before = { each: await subscriptions(), kb: residentKb(), refused: await indexerMetric(instance, "refused_total") };
  const flood = run([...inRoom(findRoom(instance, WORLD), { network: true }), process.execPath, FLOOD,
    WORLD_ADDRESS, String(PORTS.indexer), String(SILENT)], { timeoutMs: 240_000 });
  await waitFor("the crowd", async () => (await indexerMetric(instance, "strangers")) > STRANGERS_MAX / 2, { timeoutMs: 60_000 });
  await allowCodes(1);
  await pushesGrewBy(before.each, 1);
  assert.ok((await indexerMetric(instance, "strangers")) <= STRANGERS_MAX);
  const { opened, codes } = JSON.parse(await flood);
  assert.deepEqual(codes, { garbage: BAD_FRAME, tooLong: BAD_FRAME, nobody: NOT_A_MEMBER });
  assert.ok(opened > STRANGERS_MAX, `${opened} connections were opened`);
  const refused = (await indexerMetric(instance, "refused_total")) - before.refused;
  assert.ok(refused >= opened, `each is counted: ${opened} opened, ${refused} refused`);
  // The sanitizers keep what is freed.
  if (!process.env.ASAN_OPTIONS)
    assert.ok(residentKb() < before.kb + GROWTH_MAX_KB, `${before.kb} kB before, ${residentKb()} kB after`);
  await awaitCaughtUp();
  (await subscriptions()).forEach(({ alarms }, i) => assert.equal(alarms, before.each[i].alarms));
});
