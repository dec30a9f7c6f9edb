// The devnet that a test file finds running.

import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { deploymentFile } from "../../devnet/lib/deploy.mjs";
import { openInstance, readJson } from "../../devnet/lib/instance.mjs";
import { listNodes } from "../../devnet/lib/node.mjs";

export const instance = openInstance(process.env.DEVNET_INSTANCE ?? "e2e");
export const deployment = readJson(deploymentFile(instance));
export const cluster = deployment?.cluster;
export const nodes = () => listNodes(instance);

export const figuresFile = ({ dir }) => join(dir, "figures");

// A figure is printed with the summary: `name value`.
export function recordFigure({ dir }, name, value) {
  appendFileSync(figuresFile({ dir }), `${name} ${value}\n`);
}
