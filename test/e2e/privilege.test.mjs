// What the daemons have given up once they run, as the kernel tells it.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { agentPid } from "../devnet/lib/node.mjs";
import { servicePid } from "../devnet/lib/services.mjs";
import { instance, nodes, recordFigure } from "./lib/mesh.mjs";

const CAP_NET_ADMIN = 1n << 12n;
const CAP_SYS_PTRACE = 1n << 19n;
const sanitized = Boolean(process.env.ASAN_OPTIONS);
const FOR_SANITIZERS = sanitized ? CAP_SYS_PTRACE : 0n;

const parse = (text) => Object.fromEntries(text.split("\n").map((line) => line.split(/:\s*/, 2)));
const threadsOf = (pid) =>
  readdirSync(`/proc/${pid}/task`).map((task) => parse(readFileSync(`/proc/${pid}/task/${task}/status`, "utf8")));

function assertConfined(status, kept) {
  for (const set of ["CapEff", "CapPrm", "CapBnd"]) assert.equal(BigInt(`0x${status[set]}`), kept, set);
  for (const set of ["CapInh", "CapAmb"]) assert.equal(BigInt(`0x${status[set]}`), 0n, set);
  assert.equal(status.NoNewPrivs, "1");
  assert.equal(status.Groups.trim(), "");
  if (!sanitized) assert.equal(status.Seccomp, "2");
}

for (const node of nodes()) {
  test(`privilege: every thread of ${node.name} may administer its network and nothing else`, async () => {
    const threads = threadsOf(await agentPid(instance, node));
    assert.ok(threads.length > 1, "the transport has a thread of its own");
    for (const status of threads) assertConfined(status, CAP_NET_ADMIN | FOR_SANITIZERS);
  });

  test(`privilege: keys of ${node.name} are locked in memory, and in no core dump`, async () => {
    const pid = await agentPid(instance, node);
    const [{ VmLck }] = threadsOf(pid);
    const locked = Number(VmLck.split(" ")[0]);
    recordFigure(instance, `locked_kb_${node.name}`, locked);
    if (!sanitized) assert.ok(locked > 0); // the address sanitizer has mlock do nothing
    const limits = readFileSync(`/proc/${pid}/limits`, "utf8");
    assert.match(limits, /^Max core file size\s+0\s+0/m);
  });
}

test("privilege: the indexer may do nothing that its user may not", () => {
  for (const status of threadsOf(servicePid(instance, "indexer"))) assertConfined(status, FOR_SANITIZERS);
});
