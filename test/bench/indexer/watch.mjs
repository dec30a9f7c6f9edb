// How many logs per block, at a block per second, the indexer takes in before the next block comes: the real program
// beside a real chain (Anvil), whose factory and cluster are replaced by code that emits as many logs as it is told.
//
//   watch.mjs INDEXER WORK_DIR

import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { emitters } from "../../devnet/lib/emitters.mjs";

const [indexer, workDir] = process.argv.slice(2);
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const ANVIL = at("../../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
const GUEST_AGENT = at("../../devnet/guest-agent.mjs");
const RPC = "http://127.0.0.1:18545", TEE = "127.0.0.1:18546", HEALTH = "127.0.0.1:18547", LISTEN = "127.0.0.1:18548";
const FACTORY = `0x${"fa".repeat(20)}`, CLUSTER = `0x${"c1".repeat(20)}`;
const STEPS = [1000, 2000, 4000, 8000];
const BLOCKS = 4;
const BLOCK_MS = 1000;

const children = [];
function start(program, args, env = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, ...env } });
  children.push(child);
}

async function rpc(method, ...params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const answer = await fetch(RPC, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await answer.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

async function eventually(what, ask) {
  for (const until = Date.now() + 30_000; Date.now() < until; await sleep(50)) {
    const answer = await ask().catch(() => undefined);
    if (answer) return answer;
  }
  throw new Error(`no ${what} within 30 s`);
}

const health = async () => (await fetch(`http://${HEALTH}/healthz`)).json();

const { deploy, emit } = emitters(rpc, FACTORY, CLUSTER);

// Whether every block's logs are stored when the next block comes.
async function keepsUpWith(logs) {
  const before = (await health()).logs;
  for (let block = 1; block <= BLOCKS; block++) {
    const started = Date.now();
    await emit(logs);
    await rpc("anvil_mine");
    await sleep(started + BLOCK_MS - Date.now());
  }
  await sleep(BLOCK_MS);
  return (await health()).logs - before === BLOCKS * logs;
}

try {
  start(ANVIL, ["--silent", "--no-mining", "--port", "18545", "--gas-limit", "100000000"]);
  start(process.execPath, [GUEST_AGENT, "--listen", TEE, "--app-id", `0x${"1d".repeat(20)}`, "--seed", "0x01"]);
  const chainId = await eventually("chain", () => rpc("eth_chainId"));
  start(indexer, [], {
    CHAIN_ID: String(Number(chainId)), RPC_URL: RPC, CLUSTER_FACTORIES: FACTORY, DSTACK_ENDPOINT: `http://${TEE}`,
    STORE_PATH: `${workDir}/watch.db`, LISTEN_ADDR: LISTEN, HEALTH_ADDR: HEALTH, LOG_LEVEL: "error",
  });
  await deploy();
  await rpc("anvil_mine");
  await eventually("cluster", async () => (await health()).clusters === 1);
  let best = 0;
  for (const logs of STEPS) {
    if (!(await keepsUpWith(logs))) break;
    best = logs;
  }
  console.log(`watch_logs_per_block ${best}`);
} finally {
  for (const child of children.reverse()) child.kill();
}
