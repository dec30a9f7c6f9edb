// Applications on a node: the examples, in three languages, with stock protobuf runtimes or the client library.

import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { BUILD, ROOT } from "../devnet/lib/instance.mjs";
import { findRoom } from "../devnet/lib/room.mjs";
import { run, waitFor } from "../devnet/lib/run.mjs";
import { recordOf, registry } from "./lib/checks.mjs";
import { cluster, instance, nodes } from "./lib/mesh.mjs";

const EXAMPLES = join(ROOT, "agent/client/examples");
const API = join(ROOT, "agent/api");
const folder = join(instance.tmp, "examples");
const binary = join(folder, "example");
const PKG_CONFIG_PATH = join(BUILD, "meson-uninstalled");
const sanitize = process.env.ASAN_OPTIONS ? "-fsanitize=address,undefined" : "";

before(async () => {
  mkdirSync(folder, { recursive: true });
  const compile = `cc ${sanitize} "$0" $(pkg-config --cflags --libs attestmesh-client) -o "$1"`;
  await run(["sh", "-ec", compile, join(EXAMPLES, "example.c"), binary], {
    env: { ...process.env, PKG_CONFIG_PATH },
  });
  await run(["protoc", `-I${API}`, `--python_out=${folder}`, "agent.proto"]);
  symlinkSync(join(ROOT, "test/node_modules"), join(folder, "node_modules"));
  await run(["cp", join(EXAMPLES, "example.ts"), folder]);
});

const LANGUAGES = {
  C: [binary],
  Python: ["/usr/bin/python3", join(EXAMPLES, "example.py")],
  TypeScript: [process.execPath, join(folder, "example.ts")],
};

async function runExample(node, argv, ...words) {
  const output = await run([...argv, "--once", ...words], {
    env: {
      ...process.env,
      AGENT_SOCKET: `/proc/${findRoom(instance, node.name)}/root/run/attestmesh/agent.sock`,
      AGENT_PROTO: join(API, "agent.proto"),
      LD_LIBRARY_PATH: join(BUILD, "agent/client"),
      PYTHONPATH: folder,
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  return output.trim().split("\n");
}

for (const [language, argv] of Object.entries(LANGUAGES)) {
  test(`client: the example in ${language} reads status, key and peers of every node`, async () => {
    const members = await registry(instance, cluster);
    for (const node of nodes()) {
      const others = members.filter((member) => member !== recordOf(members, node));
      const [status, key, ...rest] = await runExample(node, argv);
      assert.equal(status, `status healthy, ${members.length} live members`);
      assert.match(key, /^key generation \d+, 32 bytes$/);
      assert.deepEqual(rest.filter((line) => line.startsWith("event")), [
        ...others.map(({ meshIpv4 }) => `event present ${meshIpv4} up`),
        "event synced",
      ]);
    }
  });
}

test("client: what one example sends, another reads", async () => {
  const members = await registry(instance, cluster);
  const ring = Object.entries(LANGUAGES).map(([language, argv], i) => ({
    argv,
    node: nodes()[i],
    next: nodes()[(i + 1) % nodes().length],
    text: `hello from ${language}`,
  }));
  const send = ({ node, argv, next, text }) => runExample(node, argv, recordOf(members, next).index, text);
  for (const lines of await Promise.all(ring.map(send))) assert.ok(lines.includes("sent"), lines.join("\n"));
  const awaitRead = ({ node, next, text }, i) => {
    const line = `message from ${recordOf(members, node).memberId.slice(2, 10)}: ${text}`;
    const { argv } = ring[(i + 1) % ring.length];
    const read = async () => (await runExample(next, argv)).includes(line);
    return waitFor(`${next.name} to read "${text}"`, read, { timeoutMs: 60_000, everyMs: 1000 });
  };
  await Promise.all(ring.map(awaitRead));
});
