import { dashboard } from "./dashboard";
import { readConfig, type Env } from "./env";
import { BadRequest, ConfigError } from "./errors";
import { bearerToken, equalSecrets } from "./http";
import { readAddress } from "./parse";
import { statusOf } from "./policy/reasons";
import { Provenance } from "./provenance";
import { checkToken, type Services } from "./sponsor";
import { handleAlchemy } from "./vendors/alchemy";
import { handleErc7677 } from "./vendors/erc7677";
import { handlePimlico } from "./vendors/pimlico";

export { Ledger } from "./ledger";

function services(env: Env, ctx: ExecutionContext): Services {
  const config = readConfig(env);
  const defer = (work: Promise<unknown>): void =>
    ctx.waitUntil(work.catch((error: unknown) => console.error("deferred:", error)));
  return {
    config,
    facts: new Provenance(config, env.PROVENANCE, defer),
    ledger: env.LEDGER.get(env.LEDGER.idFromName("ledger")),
    defer,
    nowMs: Date.now(),
  };
}

const notFound = (): Response => Response.json({ error: "not_found" }, { status: 404 });

function health({ config }: Services): Response {
  const { chainId, entryPoint } = config.policy;
  return Response.json({ ok: true, release: config.release, chainId: chainId.toString(), entryPoint });
}

/** Whether operations into this cluster are paid for, and which. */
async function check(request: Request, url: URL, given: Services): Promise<Response> {
  const reason = await checkToken(bearerToken(request), given);
  if (reason !== null) return Response.json({ error: reason }, { status: statusOf(reason) });
  const cluster = readAddress(url.searchParams.get("cluster"), "cluster");
  const { policy, caps } = given.config;
  const isListed = policy.clusters.has(cluster);
  const { ops, wei } = caps.cluster;
  return Response.json({
    cluster,
    sponsored: isListed || (await given.facts.isCluster(cluster)),
    listed: isListed,
    groups: [...policy.groups],
    dailyCap: { ops, wei: wei.toString() },
  });
}

async function stats(request: Request, { config, ledger, nowMs }: Services): Promise<Response> {
  if (config.statsToken === null) return notFound();
  if (!(await equalSecrets(bearerToken(request), config.statsToken))) {
    return Response.json({ error: "token_wrong" }, { status: 401 });
  }
  const report = { ...(await ledger.report(nowMs)), caps: config.caps };
  const text = JSON.stringify(report, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  return new Response(text, { headers: { "content-type": "application/json", "cache-control": "no-store" } });
}

async function route(request: Request, given: Services): Promise<Response> {
  const url = new URL(request.url);
  switch (`${request.method} ${url.pathname}`) {
    case "POST /erc7677":
      return handleErc7677(request, given);
    case "POST /alchemy":
      return handleAlchemy(request, given);
    case "POST /pimlico":
      return given.config.pimlicoSecret
        ? handlePimlico(request, given.config.pimlicoSecret, given)
        : notFound();
    case "GET /healthz":
      return health(given);
    case "GET /check":
      return check(request, url, given);
    case "GET /stats":
      return stats(request, given);
    case "GET /dashboard":
      return dashboard();
    default:
      return notFound();
  }
}

function failure(error: unknown): Response {
  if (error instanceof BadRequest) {
    return Response.json({ error: "bad_request", message: error.message }, { status: error.status });
  }
  // Neither kind's text goes out: it is the operator's, in the log.
  console.error(error);
  return Response.json(
    { error: error instanceof ConfigError ? "misconfigured" : "internal" },
    { status: 500 },
  );
}

export default {
  async fetch(request, env, ctx): Promise<Response> {
    try {
      return await route(request, services(env, ctx));
    } catch (error) {
      return failure(error);
    }
  },
} satisfies ExportedHandler<Env>;
