// Rooms: the namespaces of the world and of each node, held by one process each (see room.sh). Rooms are
// found by that process's command line, never by a recorded pid, so nothing can be left behind or mistaken
// for ours.

import { spawn } from "node:child_process";
import { existsSync, openSync, closeSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DevnetError, lastLinesOf, run, waitFor } from "./run.mjs";
import { WORLD_ADDRESS } from "./topology.mjs";

const ROOM_SCRIPT = fileURLToPath(new URL("room.sh", import.meta.url));

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return []; // it ended meanwhile
  }
}

// The pids of the first processes of an instance's rooms, by room name.
export function findRooms(instance) {
  const rooms = new Map();
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const [shell, script, dir, room] = commandLine(pid);
    if (shell === "bash" && script === ROOM_SCRIPT && dir === instance.dir) rooms.set(room, Number(pid));
  }
  return rooms;
}

export function findRoom(instance, room) {
  const pid = findRooms(instance).get(room);
  if (!pid) throw new DevnetError(`${room} is not there: devnet up starts it`);
  return pid;
}

// The words that put a command into a room; `network` alone leaves files and processes as they are outside.
export function inRoom(pid, { network = false } = {}) {
  return ["nsenter", "-t", String(pid), ...(network ? ["-n"] : ["-m", "-u", "-n", "-p"]), "--"];
}

export async function createRoom(instance, room) {
  const present = findRooms(instance).get(room);
  if (present) return present;

  const resolvConf = join(instance.dir, "resolv.conf");
  const readyFile = join(instance.dir, `${room}.ready`);
  const logFile = join(instance.logs, `${room}.room.log`);
  writeFileSync(resolvConf, `nameserver ${WORLD_ADDRESS}\noptions timeout:1 attempts:2\n`);
  rmSync(readyFile, { force: true });

  const log = openSync(logFile, "w");
  const argv = ["--mount", "--uts", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--"];
  const holder = spawn("unshare", [...argv, "bash", ROOM_SCRIPT, instance.dir, room, resolvConf, readyFile], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let ended = false;
  holder.on("error", () => (ended = true));
  holder.on("exit", () => (ended = true));
  await waitFor(
    `room ${room}`,
    () => {
      if (ended) {
        const reason = lastLinesOf(logFile) || "no unshare";
        throw Object.assign(new DevnetError(`room ${room} did not open: ${reason}`), { fatal: true });
      }
      return existsSync(readyFile);
    },
    { everyMs: 10 },
  );
  holder.unref();
  rmSync(readyFile);
  rmSync(logFile);
  return findRoom(instance, room);
}

export async function destroyRooms(instance) {
  for (const pid of findRooms(instance).values()) process.kill(pid, "SIGKILL");
  await waitFor("the rooms' end", () => findRooms(instance).size === 0, { everyMs: 20 });
}

// Runs a shell script of `ip` and the like in a room's network only, where pids are those of the outside.
export function configureNetwork(pid, script) {
  return run([...inRoom(pid, { network: true }), "sh", "-ec", script]);
}
