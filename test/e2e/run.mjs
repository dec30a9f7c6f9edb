// Starts the devnet that all scenarios share, runs them one after the other, looks for findings in the logs, and
// ends with a summary and the figures.

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

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !SCENARIOS.includes(name));
if (unknown.length > 0) {
  console.error(`e2e: no such scenario: ${unknown.join(" ")} (${SCENARIOS.join(" ")})`);
  process.exit(2);
}
const files = SCENARIOS.filter((name) => wanted.length === 0 || wanted.includes(name));
process.exit(
  await runScenarios({
    suite: "e2e",
    files: files.map((name) => `${SCENARIOS_DIR}/${name}.test.mjs`),
    options: { nodes: 3, backend: process.env.DEVNET_BACKEND ?? "auto" },
  }),
);
