// deploy/webhook.sh against a stand-in for Cloudflare's API and for the deployed Worker.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const RELEASE = "1a2b3c4";
const NAME = "attestmesh-sponsorship";
const HOST = "sponsor.example.org";
const STARTING_SECONDS = 120;

// What is deployed; each test changes it.
let cloud;
const folder = mkdtempSync(join(tmpdir(), "webhook-"));
const config = join(folder, "webhook.env");

function answer({ url, headers }) {
  const token = headers.authorization?.replace("Bearer ", "");
  if (url.startsWith("/api/") && token !== "api-token")
    return [403, { errors: [{ message: "Authentication error" }] }];
  if (url === `/api/accounts/acc/workers/domains?hostname=${HOST}`) return [200, { result: cloud.domains }];
  if (url === "/api/zones/zone/workers/routes") return [200, { result: cloud.routes }];
  if (url === "/healthz") return cloud.health;
  if (url.startsWith("/check?")) return [token === undefined ? 401 : token === cloud.token ? 200 : 403, {}];
  return [404, {}];
}

const server = createServer((request, response) => {
  const [status, body] = answer(request);
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
});

function run(args, env = {}) {
  const base = `http://127.0.0.1:${server.address().port}`;
  const variables = {
    PATH: process.env.PATH,
    WEBHOOK_HOST: HOST,
    WEBHOOK_CONFIG: config,
    WEBHOOK_URL: base,
    WEBHOOK_RELEASE: RELEASE,
    CLOUDFLARE_API_BASE_URL: `${base}/api`,
    CLOUDFLARE_ACCOUNT_ID: "acc",
    CLOUDFLARE_API_TOKEN: "api-token",
    ...env,
  };
  return new Promise((resolve) => {
    execFile(join(ROOT, "deploy/webhook.sh"), args, { env: variables }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, text: stdout + stderr }),
    );
  });
}

before(() => new Promise((resolve) => server.listen(0, "127.0.0.1", resolve)));
after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

test.beforeEach(() => {
  writeFileSync(config, "CHAIN_ID=1\nTOKEN=the-token\n");
  cloud = {
    domains: [{ hostname: HOST, service: NAME, zone_id: "zone" }],
    routes: [
      { pattern: "other.example.org/*", script: "other" },
      { pattern: `${HOST}/*`, script: NAME },
    ],
    health: [200, { ok: true, release: RELEASE }],
    token: "the-token",
  };
});

test("route: a domain of this Worker is fine", async () => {
  const { code, text } = await run(["route"]);
  assert.equal(code, 0, text);
  assert.match(text, /sponsor\.example\.org belongs to attestmesh-sponsorship/);
});

test("route: a domain of another Worker, of none, and a shadowing route are named with a remedy", async () => {
  cloud.routes.push({ pattern: "*.example.org/*", script: "stale" });
  let result = await run(["route"]);
  assert.equal(result.code, 1);
  assert.match(
    result.text,
    /WRONG: the route \*\.example\.org\/\* sends requests for .* to stale\n +mend: delete that route/,
  );
  cloud.domains[0].service = "stale";
  result = await run(["route"]);
  assert.match(result.text, /WRONG: .* belongs to the Worker stale\n +mend: remove the domain from stale/);
  cloud.domains = [];
  result = await run(["route"]);
  assert.equal(result.code, 1);
  assert.match(result.text, /is no Worker's custom domain\n +mend: deploy\/webhook\.sh deploy/);
});

test("route: a refused API token and a missing account are named, the token is not shown", async () => {
  let result = await run(["route"], { CLOUDFLARE_API_TOKEN: "secret" });
  assert.equal(result.code, 1);
  assert.match(result.text, /answers 403 .*Authentication error/);
  assert.doesNotMatch(result.text, /secret/);
  result = await run(["route"], { CLOUDFLARE_ACCOUNT_ID: "" });
  assert.match(result.text, /CLOUDFLARE_ACCOUNT_ID is not set/);
});

test("verify: the running release and the three right answers", async () => {
  const { code, text } = await run(["verify"]);
  assert.equal(code, 0, text);
  for (const line of ["without a token: 401", "with a wrong token: 403", "with the right token: 200"])
    assert.ok(text.includes(line));
});

test("verify: a stale release, another token, a wrong variable and no answer are told apart", async () => {
  cloud.health[1].release = "0000000";
  cloud.token = "another";
  let result = await run(["verify"]);
  assert.equal(result.code, 1);
  assert.match(result.text, /WRONG: release 0000000 is running/);
  assert.match(result.text, /WRONG: with the right token: 403 instead of 200\n +mend: .* has another TOKEN/);
  assert.doesNotMatch(result.text, /the-token/);
  cloud.health = [500, { error: "misconfigured" }];
  result = await run(["verify"]);
  assert.match(result.text, /healthz answers 500: misconfigured\n +mend: .* names the variable/);
  result = await run(["verify"], { WEBHOOK_URL: "http://127.0.0.1:1" });
  assert.match(result.text, /healthz answers 000\n +mend: deploy\/webhook\.sh route/);
});

// The Worker itself, as `wrangler dev` runs it on this machine.
async function startWorker(port) {
  const worker = spawn(
    join(ROOT, "worker/node_modules/.bin/wrangler"),
    [
      ...[
        "dev",
        "--local",
        "--show-interactive-dev-session=false",
        "--ip",
        "127.0.0.1",
        "--port",
        String(port),
      ],
      ...["--inspector-port", String(port + 1), "--persist-to", join(folder, "state")],
      ...["--env-file", config, "--var", `RELEASE:${RELEASE}`],
    ],
    {
      cwd: join(ROOT, "worker"),
      env: { ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", CI: "1" },
      detached: true,
      stdio: "ignore",
    },
  );
  const answers = () => fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null);
  for (let i = 0; i < STARTING_SECONDS && !(await answers()); i++) await sleep(1_000);
  return () => process.kill(-worker.pid, "SIGTERM");
}

test("verify: the real Worker gives the three right answers", async () => {
  const port = 20_000 + (process.pid % 10_000) * 2;
  writeFileSync(config, "CHAIN_ID=1\nRPC_URL=http://127.0.0.1:1\nTOKEN=the-token\n");
  const stop = await startWorker(port);
  try {
    const { code, text } = await run(["verify"], { WEBHOOK_URL: `http://127.0.0.1:${port}` });
    assert.equal(code, 0, text);
    assert.match(text, new RegExp(`release ${RELEASE} is running`));
  } finally {
    stop();
  }
});

test("deploy --dry-run bundles the Worker and says what it would ask, without an account", async () => {
  const { code, text } = await run(["--dry-run", "deploy"], {
    CLOUDFLARE_ACCOUNT_ID: "",
    CLOUDFLARE_API_TOKEN: "",
  });
  assert.equal(code, 0, text);
  assert.match(text, /--dry-run: exiting now/);
  assert.match(text, /would ask GET \/accounts\/ACCOUNT\/workers\/domains/);
  assert.doesNotMatch(text, /the-token/);
});

test("a call without a command explains itself", async () => {
  const { code, text } = await run([]);
  assert.equal(code, 2);
  assert.match(text, /deploy\|route\|verify/);
});
