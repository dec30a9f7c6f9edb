// Running programs, and the one error type whose message is all that a user has to see.

import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export class DevnetError extends Error {}

const LAST_LINES = 12;
const LINE_LENGTH = 400;

export function lastLines(text, count = LAST_LINES) {
  const short = (line) => (line.length > LINE_LENGTH ? `${line.slice(0, LINE_LENGTH)}…` : line);
  return text.trimEnd().split("\n").slice(-count).map(short).join("\n");
}

export const lastLinesOf = (file, count) =>
  existsSync(file) ? lastLines(readFileSync(file, "utf8"), count) : "";

// Runs a program to its end and gives what it wrote to stdout; a failure carries the end of what it said.
export function run(argv, { cwd, env, input, timeoutMs = 60_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { cwd, env, timeout: timeoutMs, killSignal: "SIGKILL" });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => (stdout += chunk));
    child.stderr.on("data", (chunk) => (stderr += chunk));
    child.on("error", (error) => reject(new DevnetError(`${argv[0]}: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(stdout);
      const reason = signal ? `was ended by ${signal} (limit ${timeoutMs / 1000} s)` : `exited with ${code}`;
      const error = new DevnetError(`${argv.join(" ")}\n${reason}\n${lastLines(stderr + stdout)}`);
      reject(Object.assign(error, { code, stdout, stderr }));
    });
    child.stdin.on("error", () => {}); // a program may end without reading its input
    child.stdin.end(input ?? "");
  });
}

// Runs a program on this terminal and gives its exit code.
export function runAttached(argv, { env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { stdio: "inherit", env });
    child.on("error", (error) => reject(new DevnetError(`${argv[0]}: ${error.message}`)));
    child.on("close", (code, signal) => resolve(signal ? 128 : code));
  });
}

// Asks `probe` until it gives something; what it throws in between is the reason that the time-out names.
export async function waitFor(what, probe, { timeoutMs = 30_000, everyMs = 100 } = {}) {
  const deadline = Date.now() + timeoutMs;
  let reason = "";
  for (;;) {
    try {
      const answer = await probe();
      if (answer) return answer;
    } catch (error) {
      if (error.fatal) throw error;
      reason = `: ${error.message}`;
    }
    if (Date.now() >= deadline) throw new DevnetError(`${what}: not within ${timeoutMs / 1000} s${reason}`);
    await sleep(everyMs);
  }
}
