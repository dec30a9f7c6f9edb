// Starts the devnet that all scenarios share, runs them one after the other, looks for findings in the logs, and
// ends with a summary and the figures. Without a name, runs all but those of the night, which take many minutes.

import { SCENARIOS_DIR, runScenarios } from "./lib/runner.mjs";

// In this order: the later ones change the cluster more.
const SCENARIOS = [
  "mesh",
  "client",
  "privilege",
  "restart",
  "device",
  "drift",
  "gateway",
  "join",
  "witness",
  "endpoint",
  "message",
  "sponsor",
  "policy",
  "indexer",
  "distrust",
  "page",
  "flood",
  "rotation",
  "operator",
  "refusal",
  "key",
  "container",
  "intake",
];

const NIGHTLY = ["outage"];

const wanted = process.argv.slice(2);
const known = [...SCENARIOS, ...NIGHTLY];
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`e2e: no such scenario: ${unknown.join(" ")} (${known.join(" ")})`);
  process.exit(2);
}
const files = wanted.length === 0 ? SCENARIOS : known.filter((name) => wanted.includes(name));
process.exit(
  await runScenarios({
    suite: "e2e",
    files: files.map((name) => `${SCENARIOS_DIR}/${name}.test.mjs`),
    options: { nodes: Number(process.env.NODES ?? 3), backend: process.env.DEVNET_BACKEND ?? "auto" },
  }),
);
