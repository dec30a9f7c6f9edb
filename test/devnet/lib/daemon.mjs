// Long-running programs inside rooms. A daemon {name, room} has one log and one pid file; the file holds the
// pid as the room counts, so that what it names can only ever be a process of that room.

import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findRoom, findRooms, inRoom } from "./room.mjs";
import { DevnetError, lastLinesOf, run, waitFor } from "./run.mjs";

const STOP_TIMEOUT_MS = 10_000;

export const logFile = (instance, name) => join(instance.logs, `${name}.log`);
const pidFile = (instance, daemon) => join(instance.pids, daemon.name);

function isProcessOfRoom(entry, holder, pid) {
  try {
    const status = readFileSync(`/proc/${entry}/status`, "utf8");
    const pids = /^NSpid:\t(.*)$/m.exec(status)[1].split("\t"); // outermost first
    if (pids.length < 2 || Number(pids.at(-1)) !== pid || /^State:\tZ/m.test(status)) return false;
    return readlinkSync(`/proc/${entry}/ns/pid`) === readlinkSync(`/proc/${holder}/ns/pid`);
  } catch {
    return false; // it ended meanwhile
  }
}

// The pid outside of a room's process, or 0.
export function findProcess(instance, room, pid) {
  const holder = findRooms(instance).get(room);
  if (!holder) return 0;
  return Number(
    readdirSync("/proc").find((entry) => /^\d+$/.test(entry) && isProcessOfRoom(entry, holder, pid)) ?? 0,
  );
}

// The pid outside of a running daemon, or 0.
export function daemonPid(instance, daemon) {
  const path = pidFile(instance, daemon);
  return existsSync(path) ? findProcess(instance, daemon.room, Number(readFileSync(path, "utf8"))) : 0;
}

// Lets a failure to come up end with what the daemon said last.
async function withLastWords(instance, daemon, awaited) {
  try {
    await awaited;
  } catch (error) {
    throw new DevnetError(
      `${error.message}\n--- ${daemon.name}:\n${lastLinesOf(logFile(instance, daemon.name))}`,
    );
  }
}

// Starts a program unless it runs already. Its environment is `env` and nothing else.
export async function startDaemon(instance, daemon, argv, env = {}) {
  if (daemonPid(instance, daemon)) return;
  const file = pidFile(instance, daemon);
  rmSync(file, { force: true });
  const log = openSync(logFile(instance, daemon.name), "a");
  const record = ["setsid", "sh", "-c", 'echo $$ >"$0"; exec "$@"', file];
  const child = spawn("nsenter", [...inRoom(findRoom(instance, daemon.room)).slice(1), ...record, ...argv], {
    cwd: "/",
    env: { PATH: process.env.PATH, HOME: instance.home, TMPDIR: instance.tmp, ...env },
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let failure;
  child.on("error", (error) => (failure = error));
  child.unref();
  const started = waitFor(
    `${daemon.name} to start`,
    () => {
      if (failure) throw Object.assign(failure, { fatal: true });
      return existsSync(file) && readFileSync(file, "utf8").endsWith("\n");
    },
    { everyMs: 10 },
  );
  await withLastWords(instance, daemon, started);
}

// A signal to the daemon and what it started in its session, from inside the room: the pid is the room's.
export async function signalDaemon(instance, daemon, signal) {
  if (!daemonPid(instance, daemon)) return;
  const pid = readFileSync(pidFile(instance, daemon), "utf8").trim();
  await run([...inRoom(findRoom(instance, daemon.room)), "kill", `-${signal}`, "--", `-${pid}`]);
}

export async function stopDaemon(instance, daemon, signal = "TERM") {
  await signalDaemon(instance, daemon, signal);
  await waitFor(`${daemon.name} to end`, () => !daemonPid(instance, daemon), { timeoutMs: STOP_TIMEOUT_MS });
  rmSync(pidFile(instance, daemon), { force: true });
}

// Waits until a daemon answers `probe`; one that ends instead, or stays silent, is reported with its last
// words.
export async function awaitDaemon(instance, daemon, probe, timeoutMs) {
  const answered = waitFor(
    daemon.name,
    async () => {
      if (existsSync(pidFile(instance, daemon)) && !daemonPid(instance, daemon)) {
        throw Object.assign(new DevnetError(`${daemon.name} ended`), { fatal: true });
      }
      return probe();
    },
    { timeoutMs },
  );
  await withLastWords(instance, daemon, answered);
}
