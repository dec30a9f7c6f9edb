// An instance of the devnet: where it keeps its files. Two instances share nothing but the cache.

import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { DevnetError } from "./run.mjs";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
export const BUILD = resolve(ROOT, process.env.DEVNET_BUILD ?? "build");

export function openInstance(name = "dev") {
  if (!/^[a-z][a-z0-9-]{0,15}$/.test(name)) {
    throw new DevnetError(
      `instance name "${name}": a lower-case letter, then at most 15 letters, digits or -`,
    );
  }
  const base = resolve(process.env.DEVNET_DIR ?? join(ROOT, ".devnet"));
  const dir = join(base, name);
  const part = (folder) => join(dir, folder);
  return {
    name,
    dir,
    cache: join(base, "cache"),
    logs: part("logs"),
    pids: part("pids"),
    nodes: part("nodes"),
    home: part("home"),
    tmp: part("tmp"),
  };
}

export function createFolders(instance) {
  for (const folder of ["cache", "logs", "pids", "nodes", "home", "tmp"]) {
    mkdirSync(instance[folder], { recursive: true });
  }
}

export function removeFolders(instance, { keepLogs = false } = {}) {
  if (!existsSync(instance.dir)) return;
  for (const entry of readdirSync(instance.dir)) {
    if (keepLogs && entry === "logs") continue;
    rmSync(join(instance.dir, entry), { recursive: true, force: true });
  }
  if (!keepLogs) rmSync(instance.dir, { recursive: true, force: true });
}

export function writeJson(path, value) {
  writeFileSync(`${path}.new`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

export const readJson = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined);
