// The world's services, in the order in which they start. Each has a command and a question that it answers
// once it is up. All of them are the real programs.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ACCOUNTS, ENTRY_POINT, chainStateFile } from "./chain.mjs";
import { awaitDaemon, daemonPid, signalDaemon, startDaemon, stopDaemon } from "./daemon.mjs";
import { BUILD, ROOT, sanitizerOptions } from "./instance.mjs";
import { httpGet, jsonRpc } from "./world.mjs";
import {
  BLOCK_SECONDS,
  BUNDLER_URL,
  CHAIN_ID,
  GATEWAY_DOMAIN,
  INDEXER_ENDPOINT,
  INDEXER_HEALTH_URL,
  NODE_DOMAIN,
  PORTS,
  RPC_URL,
  WORKER_URL,
  WORLD,
  WORLD_ADDRESS,
} from "./topology.mjs";

const INDEXER = join(BUILD, "indexer/attestmesh-indexer");
const INDEXER_APP_ID = `0x${"1d".repeat(20)}`;
const INDEXER_TEE_URL = `http://${WORLD_ADDRESS}:${PORTS["indexer-tee"]}`;
const BIN = join(ROOT, "test/node_modules/.bin");
const ANVIL = join(ROOT, "test/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
const WRANGLER = join(ROOT, "worker/node_modules/.bin/wrangler");
export const SPONSOR_TOKEN = "devnet";
export const STATS_TOKEN = "devnet-stats";
// The secret of Pimlico's webhooks as Pimlico writes it, and the key (base64) that it stands for: digits either way.
const PIMLICO_SECRET = "pim_whsec_132xhqfBs1FWqCxTuhU2snMTUp1ndXDD";
export const PIMLICO_KEY = "000102030405060708090a0b0c0d0e0f1011121314151617";

const flags = (options) => Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);

const namesFolder = (instance) => join(instance.dir, "names");

// Exact names come from the folder, one file per node (see publishNode); any other ingress name leads to the
// gateway all the same, as a wildcard record would.
const names = {
  argv: (instance) => {
    mkdirSync(namesFolder(instance), { recursive: true });
    return [
      "dnsmasq",
      "--keep-in-foreground",
      "--conf-file=/dev/null",
      "--user=root",
      "--pid-file=",
      "--log-facility=-",
      "--no-resolv",
      "--no-hosts",
      "--cache-size=0",
      `--listen-address=${WORLD_ADDRESS}`,
      "--bind-interfaces",
      `--local=/${NODE_DOMAIN}/`,
      `--address=/${GATEWAY_DOMAIN}/${WORLD_ADDRESS}`,
      `--hostsdir=${namesFolder(instance)}`,
    ];
  },
  probe: (instance) => daemonPid(instance, { name: "names", room: WORLD }),
};

const chain = {
  argv: (instance, { instant } = {}) => [
    ANVIL,
    ...flags({
      host: WORLD_ADDRESS,
      port: PORTS.chain,
      "chain-id": CHAIN_ID,
      state: chainStateFile(instance),
    }),
    ...(instant ? [] : flags({ "block-time": BLOCK_SECONDS })),
  ],
  probe: (instance) => jsonRpc(instance, RPC_URL, "eth_chainId"),
};

const bundler = {
  argv: () => [
    join(BIN, "alto"),
    "run",
    ...flags({
      entrypoints: ENTRY_POINT,
      "executor-private-keys": ACCOUNTS.executor.key,
      "utility-private-key": ACCOUNTS.utility.key,
      "min-executor-balance": 0,
      "safe-mode": false, // Anvil lacks the tracer that it needs
      "rpc-url": RPC_URL,
      port: PORTS.bundler,
      "log-level": "warn",
    }),
  ],
  probe: (instance) => jsonRpc(instance, BUNDLER_URL, "eth_supportedEntryPoints"),
};

export const workerVariables = ({ clusterFactory, memberFactory, paymaster }) => ({
  CHAIN_ID,
  RPC_URL,
  CLUSTER_FACTORIES: clusterFactory,
  MEMBER_FACTORIES: memberFactory,
  PAYMASTER: paymaster,
  PAYMASTER_SIGNER_KEY: ACCOUNTS.sponsor.key,
  PIMLICO_WEBHOOK_SECRET: PIMLICO_SECRET,
  TOKEN: SPONSOR_TOKEN,
  STATS_TOKEN,
});

export function workerCommand(instance, { name, port, inspectorPort }, variables) {
  const file = join(instance.dir, `${name}.env`);
  const lines = Object.entries(variables).map(([variable, value]) => `${variable}=${value}\n`);
  writeFileSync(file, lines.join(""), { mode: 0o600 });
  return [
    WRANGLER,
    "dev",
    "--local",
    "--show-interactive-dev-session=false",
    ...flags({
      cwd: join(ROOT, "worker"),
      ip: WORLD_ADDRESS,
      port,
      "inspector-port": inspectorPort,
      "persist-to": join(instance.dir, name),
      "env-file": file,
    }),
  ];
}

export const WORKER_ENV = { WRANGLER_SEND_METRICS: "false", CI: "1", NO_COLOR: "1" };

const worker = {
  argv: (instance, deployment) =>
    workerCommand(
      instance,
      { name: "worker", port: PORTS.worker, inspectorPort: 9229 },
      workerVariables(deployment),
    ),
  env: WORKER_ENV,
  probe: (instance) => httpGet(instance, WORLD, `${WORKER_URL}/healthz`),
};

// Routes by the ClientHello's server name, as the platform's gateway does, and passes bytes through.
const INGRESS_NAME = `^(?<app>[0-9a-f]{40})-${PORTS.ingress}s\\.${GATEWAY_DOMAIN.replaceAll(".", "\\.")}$`;

const gatewayConfig = `
daemon off;
master_process off;
user root;
pid /run/gateway.pid;
error_log stderr info;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events { worker_connections 4096; }
stream {
  log_format session '$time_iso8601 $remote_addr $ssl_preread_server_name to $upstream_addr: $status, '
                     '$bytes_received in, $bytes_sent out, $session_time s';
  access_log /dev/stdout session;
  resolver ${WORLD_ADDRESS} valid=1s ipv6=off;
  map $ssl_preread_server_name $node {
    default "";
    "~${INGRESS_NAME}" $app.${NODE_DOMAIN}:${PORTS.ingress};
  }
  server {
    listen ${PORTS.gateway};
    ssl_preread on;
    preread_buffer_size 4k;
    proxy_pass $node;
    proxy_connect_timeout 5s;
    proxy_timeout 10m;
  }
}
`;

const gateway = {
  argv: (instance) => {
    const file = join(instance.dir, "gateway.conf");
    writeFileSync(file, gatewayConfig);
    return ["nginx", "-p", instance.dir, "-e", "stderr", "-c", file];
  },
  probe: (instance) =>
    httpGet(instance, WORLD, `http://${WORLD_ADDRESS}:${PORTS.gateway}/`).then(
      () => true,
      (error) => error.code === 52 /* it answers, with nothing: a server of TLS only */,
    ),
};

const indexerTee = {
  argv: () => [process.execPath, join(ROOT, "test/devnet/guest-agent.mjs"),
    "--listen", `${WORLD_ADDRESS}:${PORTS["indexer-tee"]}`, "--app-id", INDEXER_APP_ID, "--kms-root-key", ACCOUNTS.kmsRoot.key],
  probe: (instance) => httpGet(instance, WORLD, `${INDEXER_TEE_URL}/Info`),
};

// Its key comes from its guest agent; lib/indexer.mjs announces it.
const indexer = {
  argv: () => [INDEXER],
  env: (instance, deployment) => ({
    ...sanitizerOptions(),
    CHAIN_ID: String(CHAIN_ID),
    RPC_URL,
    CLUSTER_FACTORIES: deployment.clusterFactory,
    INDEXER_REGISTRY: deployment.indexerRegistry,
    DSTACK_ENDPOINT: INDEXER_TEE_URL,
    STORE_PATH: join(instance.dir, "indexer.db"),
    LISTEN_ADDR: INDEXER_ENDPOINT,
    HEALTH_ADDR: INDEXER_HEALTH_URL.replace("http://", ""),
    LOG_FORMAT: "text",
  }),
  probe: async (instance) => JSON.parse(await httpGet(instance, WORLD, `${INDEXER_HEALTH_URL}/healthz`)).key,
};

export const SERVICES = { names, chain, bundler, worker, gateway, "indexer-tee": indexerTee, indexer };
export const INDEXER_SERVICES = ["indexer-tee", "indexer"];

const READY_MS = 120_000;
export const serviceDaemon = (name) => ({ name, room: WORLD });
export const servicePid = (instance, name) => daemonPid(instance, serviceDaemon(name));

export async function startService(instance, name, deployment) {
  const service = SERVICES[name];
  const daemon = serviceDaemon(name);
  const env = typeof service.env === "function" ? service.env(instance, deployment) : service.env;
  await startDaemon(instance, daemon, service.argv(instance, deployment), env);
  await awaitDaemon(instance, daemon, () => service.probe(instance), READY_MS);
}

// The chain writes its state only when it ends politely; to everybody else that end looks the same.
export const stopService = (instance, name, signal) =>
  stopDaemon(instance, serviceDaemon(name), name === "chain" ? "TERM" : signal);

// Stands still, with every connection that it has and gets, until it is thawed.
export const freezeService = (instance, name) => signalDaemon(instance, serviceDaemon(name), "STOP");
export async function thawService(instance, name) {
  // nsenter, which waits for it outside, has stopped with it.
  const status = readFileSync(`/proc/${servicePid(instance, name)}/status`, "utf8");
  const [, waiting] = /^PPid:\t(\d+)$/m.exec(status);
  await signalDaemon(instance, serviceDaemon(name), "CONT");
  process.kill(Number(waiting), "SIGCONT");
}

// Makes a node's names known: where the gateway finds it, and the gateway's address for it.
export function publishNode(instance, node) {
  const app = node.memberContract.slice(2).toLowerCase();
  writeFileSync(
    join(namesFolder(instance), node.name),
    `${node.address} ${app}.${NODE_DOMAIN}\n` +
      `${node.gatewayAddress} ${app}-${PORTS.ingress}s.${GATEWAY_DOMAIN}\n`,
  );
}
