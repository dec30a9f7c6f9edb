// How the agent and its guest agent are run, wherever they run.

import { join } from "node:path";
import { ACCOUNTS } from "./chain.mjs";
import { BUILD, ROOT } from "./instance.mjs";
import { SPONSOR_TOKEN } from "./services.mjs";
import { BUNDLER_URL, CHAIN_ID, GATEWAY_DOMAIN, RPC_URL, WORKER_URL } from "./topology.mjs";

export const AGENT = join(BUILD, "agent/cluster-mesh-agent");
export const MESHCTL = join(BUILD, "agent/meshctl/meshctl");

// Sanitizers read their options from the environment of whoever runs the tests.
const sanitizerOptions = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => /^[A-Z]+SAN_OPTIONS$/.test(name)));

export function agentEnvironment(node) {
  return {
    ...sanitizerOptions(),
    CHAIN_ID: String(CHAIN_ID),
    RPC_URL,
    BUNDLER_URL,
    SPONSOR: `erc7677=${WORKER_URL}/erc7677#{"token":"${SPONSOR_TOKEN}"}`,
    GATEWAY_DOMAIN,
    WG_BACKEND: node.backend,
    LOG_FORMAT: "text",
  };
}

// The guest-agent simulator that speaks for a node; `options` make it say something wrong.
export function guestAgentCommand(node, listen, options = {}) {
  const { rootKey = ACCOUNTS.kmsRoot.key, appId = node.memberContract, fault } = options;
  return [
    process.execPath,
    join(ROOT, "test/devnet/guest-agent.mjs"),
    "--listen",
    listen,
    "--app-id",
    appId,
    "--kms-root-key",
    rootKey,
    ...(fault ? ["--fault", fault] : []),
  ];
}
