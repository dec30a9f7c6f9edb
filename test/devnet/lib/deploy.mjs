// Puts everything on a new chain that a mesh needs before its first node, once: the result is kept as a
// snapshot and loaded from then on, until a contract, a deploy script or this tool changes.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { concat, encodeFunctionData, numberToHex } from "viem";
import { ACCOUNTS, ENTRY_POINT, chainClient, chainStateFile, walletClient } from "./chain.mjs";
import { ROOT, readJson, writeJson } from "./instance.mjs";
import { findRoom, inRoom } from "./room.mjs";
import { DevnetError, lastLines, run } from "./run.mjs";
import { startService, stopService } from "./services.mjs";
import { RPC_URL, WORLD } from "./topology.mjs";

const CONTRACTS = join(ROOT, "contracts");
const DETERMINISTIC_DEPLOYER = "0x4e59b44847b379578588920cA78FbF26c0B4956C";
const ENTRY_POINT_SALT = "0x90d8084deab30c2a37c45e8d47f49f2f7965183cb6990a98943ef94940681de3";
const FORGE_MS = 600_000; // includes compiling everything with a compiler in JavaScript

export const deploymentFile = (instance) => join(instance.dir, "deployment.json");

export const contractArtifact = (name) => readJson(join(CONTRACTS, `out/${name}.sol/${name}.json`));
export const contractAbi = (name) => contractArtifact(name).abi;

// Sends transactions of the owner, all at once, and waits for their receipts.
export async function sendAll(instance, requests) {
  const client = chainClient(instance);
  const owner = walletClient(instance, ACCOUNTS.owner);
  const hashes = [];
  for (const request of requests) hashes.push(await owner.sendTransaction(request));
  const receipts = await Promise.all(hashes.map((hash) => client.waitForTransactionReceipt({ hash })));
  if (receipts.some(({ status }) => status !== "success"))
    throw new DevnetError("a transaction was reverted");
  return receipts;
}

async function deployEntryPoint(instance) {
  const artifact = join(CONTRACTS, "node_modules/@account-abstraction/contracts/artifacts/EntryPoint.json");
  const data = concat([ENTRY_POINT_SALT, readJson(artifact).bytecode]);
  await sendAll(instance, [{ to: DETERMINISTIC_DEPLOYER, data }]);
  if (!(await chainClient(instance).getCode({ address: ENTRY_POINT }))) {
    throw new DevnetError(`the EntryPoint did not land on ${ENTRY_POINT}`);
  }
}

const allow = (access, path) => `{access="${access}",path="${path}"}`;

// Runs one of the contracts' own deploy scripts; gives its receipt.
async function runScript(instance, script, receipt, env = {}) {
  const folder = join(instance.dir, "receipts");
  mkdirSync(folder, { recursive: true });
  const forge = [
    join(CONTRACTS, "node_modules/.bin/forge"),
    "script",
    `script/${script}.s.sol`,
    "--rpc-url",
    RPC_URL,
    "--private-key",
    ACCOUNTS.owner.key,
    "--broadcast",
    "--slow",
  ];
  const output = await run([...inRoom(findRoom(instance, WORLD), { network: true }), ...forge], {
    cwd: CONTRACTS,
    timeoutMs: FORGE_MS,
    env: {
      PATH: process.env.PATH,
      HOME: instance.home,
      RECEIPTS_DIR: folder,
      FOUNDRY_BROADCAST: join(instance.dir, "broadcast"),
      FOUNDRY_FS_PERMISSIONS: `[${allow("read", CONTRACTS)},${allow("read-write", instance.dir)}]`,
      ...env,
    },
  });
  const written = readJson(join(folder, `${receipt}.json`));
  if (!written)
    throw new DevnetError(`forge script ${script} left no receipt ${receipt}.json:\n${lastLines(output)}`);
  return written;
}

async function deployContracts(instance) {
  await deployEntryPoint(instance);
  const infra = await runScript(instance, "DeployInfra", "infra");
  const config = join(instance.dir, "cluster.json");
  writeJson(config, {
    owner: ACCOUNTS.owner.address,
    network: "10.13.0.0/16",
    dstack: { kmsRoots: [ACCOUNTS.kmsRoot.address], allowAnyDevice: true },
  });
  const { cluster } = await runScript(instance, "DeployCluster", "cluster-default", {
    CLUSTER_CONFIG: config,
  });
  const { paymaster } = await runScript(instance, "DeployPaymaster", "paymaster", {
    PAYMASTER_SIGNER: ACCOUNTS.sponsor.address,
    DEPOSIT: String(100n * 10n ** 18n),
  });
  const { memberFactory, memberImplementation, clusterFactory } = infra;
  return { cluster, paymaster, memberFactory, memberImplementation, clusterFactory };
}

function hashFolder(hash, folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  for (const path of entries.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    hash.update(path).update(readFileSync(path));
  }
}

// Everything that the snapshot follows from.
function snapshotFolder(instance) {
  const hash = createHash("sha256");
  for (const folder of ["src", "script"]) hashFolder(hash, join(CONTRACTS, folder));
  for (const file of [
    "contracts/foundry.toml",
    "contracts/package-lock.json",
    "test/package-lock.json",
    "test/devnet/lib/deploy.mjs",
    "test/devnet/lib/chain.mjs",
  ])
    hash.update(readFileSync(join(ROOT, file)));
  return join(instance.cache, `chain-${hash.digest("hex").slice(0, 16)}`);
}

function replaceSnapshots(instance, folder, built) {
  for (const entry of readdirSync(instance.cache).filter((name) => /^chain-[0-9a-f]{16}$/.test(name))) {
    rmSync(join(instance.cache, entry), { recursive: true });
  }
  renameSync(built, folder);
}

async function buildSnapshot(instance, folder) {
  await stopService(instance, "chain"); // an attempt that failed half-way may have left it
  rmSync(chainStateFile(instance), { force: true });
  await startService(instance, "chain", { instant: true });
  const deployment = await deployContracts(instance);
  await startService(instance, "bundler"); // puts its simulation contracts on the chain
  await stopService(instance, "bundler");
  await stopService(instance, "chain"); // writes its state

  const built = `${folder}.${instance.name}`;
  mkdirSync(built, { recursive: true });
  copyFileSync(chainStateFile(instance), join(built, "chain.json"));
  writeJson(join(built, "deployment.json"), deployment);
  replaceSnapshots(instance, folder, built);
}

// Leaves the chain's state where its service will find it; gives the addresses on it.
export async function ensureDeployment(instance, step) {
  const present = readJson(deploymentFile(instance));
  if (present) return present;
  const folder = snapshotFolder(instance);
  if (!existsSync(folder))
    await step("contracts", "deploying; kept for the next time", () => buildSnapshot(instance, folder));
  copyFileSync(join(folder, "chain.json"), chainStateFile(instance));
  copyFileSync(join(folder, "deployment.json"), deploymentFile(instance));
  return readJson(deploymentFile(instance));
}

// Member contracts of the cluster, one per salt, deployed where they are missing.
export async function deployMembers(instance, { cluster, memberFactory }, salts) {
  const client = chainClient(instance);
  const factory = { address: memberFactory, abi: contractAbi("ClusterMemberFactory") };
  const ask = (functionName, args) => client.readContract({ ...factory, functionName, args });
  const members = await Promise.all(
    salts.map(async (number) => {
      const salt = numberToHex(number, { size: 32 });
      const address = await ask("predictMemberAddress", [cluster, salt]);
      return { salt, address, deployed: await ask("isOurMember", [address]) };
    }),
  );
  const missing = members.filter((member) => !member.deployed);
  await sendAll(
    instance,
    missing.map(({ salt }) => ({
      to: memberFactory,
      data: encodeFunctionData({ abi: factory.abi, functionName: "deployMember", args: [cluster, salt] }),
    })),
  );
  return members.map(({ address }) => address);
}
