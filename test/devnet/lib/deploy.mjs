// Puts everything on a new chain that a mesh needs before its first node, once: the result is kept as a snapshot and
// loaded from then on, until a contract, a deploy script or this tool changes.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { concat } from "viem";
import { ACCOUNTS, ENTRY_POINT, chainClient, chainStateFile, walletClient } from "./chain.mjs";
import { ROOT, readJson, writeJson } from "./instance.mjs";
import { DevnetError } from "./run.mjs";
import { startService, stopService } from "./services.mjs";

const CONTRACTS = join(ROOT, "contracts");
const DETERMINISTIC_DEPLOYER = "0x4e59b44847b379578588920cA78FbF26c0B4956C";
const ENTRY_POINT_SALT = "0x90d8084deab30c2a37c45e8d47f49f2f7965183cb6990a98943ef94940681de3";

export async function deployEntryPoint(instance) {
  const artifact = join(CONTRACTS, "node_modules/@account-abstraction/contracts/artifacts/EntryPoint.json");
  const client = chainClient(instance);
  const hash = await walletClient(instance, ACCOUNTS.owner).sendTransaction({
    to: DETERMINISTIC_DEPLOYER,
    data: concat([ENTRY_POINT_SALT, readJson(artifact).bytecode]),
  });
  await client.waitForTransactionReceipt({ hash });
  if (!(await client.getCode({ address: ENTRY_POINT }))) {
    throw new DevnetError(`the EntryPoint did not land on ${ENTRY_POINT}`);
  }
}
