// A headless Chromium inside the world's network looks at one page.

import { fileURLToPath } from "node:url";
import { WORLD } from "../../devnet/lib/topology.mjs";
import { findRoom, inRoom } from "../../devnet/lib/room.mjs";
import { run } from "../../devnet/lib/run.mjs";

const VISIT = fileURLToPath(new URL("visit.mjs", import.meta.url));

// Leaves a screenshot in `file`; gives what visit.mjs saw.
export const photograph = async (instance, chromium, url, file) =>
  JSON.parse(await run([...inRoom(findRoom(instance, WORLD), { network: true }), process.execPath, VISIT, chromium, url, file],
    { timeoutMs: 120_000 }));
