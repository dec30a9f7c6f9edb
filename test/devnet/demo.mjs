// make demo: a mesh forms, then shows itself: a live table, WireGuard's own view, pings, and the events an
// application reads.

import { setTimeout as sleep } from "node:timers/promises";
import { down } from "./lib/down.mjs";
import { openInstance } from "./lib/instance.mjs";
import { inNode, listNodes, runInNode } from "./lib/node.mjs";
import { DevnetError, runAttached } from "./lib/run.mjs";
import { formatNodes, observeNode } from "./lib/status.mjs";
import { up } from "./lib/up.mjs";

const instance = openInstance("demo");
const nodes = Number(process.env.NODES || 3);
const backend = process.env.BACKEND || "auto";
const once = Boolean(process.env.ONCE);
const started = Date.now();
const seconds = () => ((Date.now() - started) / 1000).toFixed(1);

const heading = (text) => console.log(`\n== ${text}`);
const say = (subject, text) => console.log(`${seconds().padStart(6)} s  ${subject.padEnd(10)} ${text}`);

// Draws a table over its previous self on a terminal; elsewhere prints it when something has changed.
function liveTable() {
  let drawn = 0;
  let last = "";
  return (views) => {
    const table = formatNodes(views);
    if (process.stdout.isTTY) {
      // A wrapped line would be two, and the way back up is counted in lines.
      const lines = table.split("\n").map((line) => line.slice(0, process.stdout.columns - 1));
      if (drawn) process.stdout.write(`\x1b[${drawn}F\x1b[J`);
      drawn = lines.length;
      console.log(lines.join("\n"));
    } else if (table !== last) {
      console.log(`${table}\n`);
    }
    last = table;
  };
}

async function showPings(all) {
  const views = await Promise.all(all.map((node) => observeNode(instance, node)));
  for (const from of all) {
    for (const to of views.filter((view) => view.name !== from.name)) {
      const answer = await runInNode(instance, from, ["ping", "-c", "1", "-W", "5", to.meshAddress]);
      const time = /time=(\S+ ?ms)/.exec(answer)?.[1] ?? "no time";
      console.log(`${from.name} -> ${to.name}  ${to.meshAddress}  ${time}`);
    }
  }
}

// The present state as events; unless it is shown once, then every change from now on.
function followEvents(node) {
  return runAttached(inNode(instance, node, ["meshctl", "events", ...(once ? [] : ["--follow"])]));
}

async function demonstrate() {
  heading(`a mesh of ${nodes} nodes forms (backend ${backend})`);
  await up(instance, { nodes, backend, watch: liveTable() }, say);
  console.log(`\nall healthy after ${seconds()} s`);

  const all = listNodes(instance);
  heading(`${all[0].name}: wg show`);
  await runAttached(inNode(instance, all[0], ["wg", "show"]));
  heading("pings over the mesh");
  await showPings(all);
  heading(`${all[0].name}: peer events, as an application reads them from the agent's socket`);
  if (!once) {
    console.log(`It stays up until Ctrl-C. Make something happen, in another terminal:
  test/devnet/devnet --name demo stop n2      and start it again
  test/devnet/devnet --name demo partition n1 n3    and heal
  test/devnet/devnet --name demo status\n`);
  }
  await followEvents(all[0]);
}

let ending = false;
async function end(code) {
  if (ending) return;
  ending = true;
  say("demo", "taking everything down");
  await down(instance, {});
  process.exit(code);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => end(once ? 1 : 0));

try {
  await demonstrate();
  if (once) {
    console.log(`\ndemo_seconds ${seconds()}`);
    await end(0);
  }
  for (;;) await sleep(3_600_000); // the agent whose events were shown has ended; the mesh stays
} catch (error) {
  if (ending) await sleep(60_000);
  console.error(
    `demo: ${error instanceof DevnetError ? error.message : (error.shortMessage ?? error.stack)}`,
  );
  await end(1);
}
