// Runs test files on one devnet, for test/e2e and test/kernel.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { run as runTests } from "node:test";
import { spec as Spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { down } from "../../devnet/lib/down.mjs";
import { openInstance } from "../../devnet/lib/instance.mjs";
import { listNodes, stopNode } from "../../devnet/lib/node.mjs";
import { up } from "../../devnet/lib/up.mjs";
import { figuresFile, recordFigure } from "./mesh.mjs";

export const SCENARIOS_DIR = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

async function execute(files) {
  const tests = runTests({ files, concurrency: 1 });
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const count =
    (name) =>
    ({ details, skip }) => {
      if (details.type === "suite") return;
      counts[skip === undefined ? name : "skipped"] += 1;
    };
  tests.on("test:pass", count("passed"));
  tests.on("test:fail", count("failed"));
  await finished(tests.compose(new Spec()).on("data", (text) => process.stdout.write(text)));
  return counts;
}

// Politely, since leaks are looked for when a program ends by itself.
async function endNodes(instance) {
  for (const node of listNodes(instance)) await stopNode(instance, node, "TERM");
}

const FINDING = /(ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|process\.call_refused).*/;

// What must be in no log of an instance: a sanitizer's finding, a system call that a daemon may not make.
function findings(instance) {
  return readdirSync(instance.logs).flatMap((file) => {
    const match = FINDING.exec(readFileSync(join(instance.logs, file), "utf8"));
    return match ? [`${file}: ${match[0]}`] : [];
  });
}

// Gives the exit code.
export async function runScenarios({ suite, files, options }) {
  process.env.DEVNET_INSTANCE ||= suite; // the test files, which are processes of their own, read it too
  const instance = openInstance(process.env.DEVNET_INSTANCE);
  const say = (subject, text) => console.log(`${suite}: ${subject.padEnd(10)} ${text}`);
  const started = Date.now();
  let counts = { passed: 0, failed: 1, skipped: 0 };
  let figures = "";
  try {
    await down(instance, {});
    await up(instance, options, say);
    recordFigure(instance, `${suite}_mesh_seconds`, ((Date.now() - started) / 1000).toFixed(1));
    counts = await execute(files);
    await endNodes(instance);
    for (const finding of findings(instance)) {
      counts.failed += 1;
      console.error(`${suite}: ${finding}`);
    }
    figures = readFileSync(figuresFile(instance), "utf8");
  } catch (error) {
    console.error(`${suite}: ${error.message}`);
  }
  if (!process.env.KEEP) await down(instance, { keepLogs: counts.failed > 0 });
  if (counts.failed > 0) console.log(`${suite}: the logs are in ${instance.logs}`);
  process.stdout.write(figures);
  const skipped = counts.skipped ? `, ${counts.skipped} skipped` : "";
  console.log(`${suite}: ${counts.passed} passed, ${counts.failed} failed${skipped}`);
  return counts.failed > 0 ? 1 : 0;
}
