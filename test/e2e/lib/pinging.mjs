// Traffic between two nodes, and how long it pauses.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { inNode, runInNode } from "../../devnet/lib/node.mjs";
import { instance } from "./mesh.mjs";

const PING_INTERVAL_S = 0.1;

// Pings until it is stopped. Gives the longest pause between two answers, in seconds.
export function pinging(from, address) {
  const argv = inNode(instance, from, ["ping", "-n", "-D", "-i", String(PING_INTERVAL_S), "-W", "10", address]);
  const child = spawn(argv[0], argv.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  const answered = [];
  const ended = new Promise((resolve) => child.on("close", resolve));
  createInterface({ input: child.stdout }).on("line", (line) => {
    const match = /^\[([\d.]+)\] .*icmp_seq=(\d+) .*time=([\d.]+) ms/.exec(line);
    if (match) answered.push(Number(match[1]));
  });
  return async () => {
    await runInNode(instance, from, ["sh", "-c", "kill -INT $(pidof ping) || true"]);
    await ended;
    assert.ok(answered.length > 2, "nothing was answered at all");
    return Math.max(...answered.slice(1).map((time, index) => time - answered[index]));
  };
}
