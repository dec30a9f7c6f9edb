// An image, run by runc as a container manager would run it: from its own files, which it can not change, with the
// capabilities that it needs, in the network of a room of the devnet.

import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { logFile } from "../../devnet/lib/daemon.mjs";
import { findRoom, inRoom } from "../../devnet/lib/room.mjs";
import { run } from "../../devnet/lib/run.mjs";

const TUN = { path: "/dev/net/tun", type: "c", major: 10, minor: 200, fileMode: 0o666 };

// Unpacks an OCI archive; gives its configuration.
export async function unpackImage(archive, rootfs) {
  const layout = `${rootfs}.oci`;
  for (const folder of [layout, rootfs]) mkdirSync(folder, { recursive: true });
  await run(["tar", "-xf", archive, "-C", layout]);
  const blob = ({ digest }) => join(layout, "blobs", digest.replace(":", "/"));
  const read = (path) => JSON.parse(readFileSync(path, "utf8"));
  const manifest = read(blob(read(join(layout, "index.json")).manifests[0]));
  for (const layer of manifest.layers) await run(["tar", "-xf", blob(layer), "-C", rootfs]);
  return read(blob(manifest.config)).config;
}

export const bind = (source, destination, access = "rw") => ({
  type: "bind",
  source,
  destination,
  options: ["bind", access],
});

// A bundle that shares its network with whoever starts it.
function writeBundle(bundle, { image, env, capabilities, mounts }) {
  const spec = {
    ociVersion: "1.0.2",
    hostname: "container",
    root: { path: "rootfs", readonly: true },
    process: {
      user: { uid: 0, gid: 0 },
      cwd: "/",
      args: image.Entrypoint,
      env: [...image.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      { destination: "/run", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=755"] },
      ...mounts,
    ],
    linux: {
      namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
      devices: [TUN],
      resources: { devices: [{ allow: false, access: "rwm" }, { allow: true, ...TUN, access: "rw" }] },
    },
  };
  writeFileSync(join(bundle, "config.json"), JSON.stringify(spec, null, 2));
}

// Starts the container of an unpacked image in a room.
export function startContainer(instance, { name, room = name }, { bundle, ...options }) {
  writeBundle(bundle, options);
  const id = `${instance.name}-${name}`;
  const log = openSync(logFile(instance, name), "a");
  const runc = ["runc", "--root", join(instance.tmp, "runc")];
  const [command, ...words] = inRoom(findRoom(instance, room), { network: true });
  const child = spawn(command, [...words, ...runc, "run", "--bundle", bundle, id], {
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const ended = new Promise((resolve) => child.on("close", resolve));
  return {
    exec: (...argv) => run([...runc, "exec", id, ...argv]),
    pid: async () => JSON.parse(await run([...runc, "state", id])).pid,
    stop: async () => {
      await run([...runc, "kill", id, "TERM"]).catch(() => {}); // it has ended by itself
      return ended;
    },
  };
}
