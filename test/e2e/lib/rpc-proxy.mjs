// RPC endpoints as providers have them, before the devnet's chain; prints one line for each request.
//
//   rpc-proxy.mjs HOST PORT RPC_URL
//   /other-chain   serves another chain
//   /busy          has no time for anybody
//   /narrow        gives logs of few blocks at once
//   /plain         only counts

import { createServer } from "node:http";

const OTHER_CHAIN_ID = "0x5";
const NARROW_BLOCKS = 5;
const MEMBERS_PAGE = "0x9c337f9c";

const [host, port, rpcUrl] = process.argv.slice(2);

const blocksOf = ([{ fromBlock, toBlock }]) => Number(toBlock) - Number(fromBlock) + 1;

// What an endpoint answers by itself; nothing for what it hands on.
const ENDPOINTS = {
  "/other-chain": ({ method }) => method === "eth_chainId" && { result: OTHER_CHAIN_ID },
  "/busy": () => ({ status: 429 }),
  "/narrow": ({ method, params }) =>
    method === "eth_getLogs" &&
    blocksOf(params) > NARROW_BLOCKS && {
      error: { code: -32602, message: `at most ${NARROW_BLOCKS} blocks` },
    },
  "/plain": () => undefined,
};

async function forward(body) {
  const headers = { "content-type": "application/json" };
  return (await fetch(rpcUrl, { method: "POST", headers, body })).text();
}

const nameOf = ({ method, params }) =>
  method === "eth_call" && params[0].data.startsWith(MEMBERS_PAGE) ? "membersPage" : method;

createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const call = JSON.parse(body);
  const { status = 200, ...own } = ENDPOINTS[request.url](call) || {};
  console.log(`${request.url} ${nameOf(call)} ${status !== 200 || own.error ? "refused" : "answered"}`);
  response.writeHead(status, { "content-type": "application/json" });
  const answers = status !== 200 || own.result || own.error;
  response.end(answers ? JSON.stringify({ jsonrpc: "2.0", id: call.id, ...own }) : await forward(body));
}).listen(Number(port), host);
