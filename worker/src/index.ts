import { ConfigError, readConfig, type Env } from "./env";
import { handleErc7677 } from "./erc7677";

async function route(request: Request, env: Env): Promise<Response> {
  const { pathname } = new URL(request.url);
  const config = readConfig(env);
  switch (`${request.method} ${pathname}`) {
    case "GET /healthz":
      return Response.json({ ok: true, chainId: Number(config.chainId) });
    case "POST /erc7677":
      return handleErc7677(request, config);
    default:
      return Response.json({ error: "not_found" }, { status: 404 });
  }
}

export default {
  async fetch(request, env): Promise<Response> {
    try {
      return await route(request, env);
    } catch (error) {
      console.error(error);
      const code = error instanceof ConfigError ? "misconfigured" : "internal";
      return Response.json({ error: code }, { status: 500 });
    }
  },
} satisfies ExportedHandler<Env>;
