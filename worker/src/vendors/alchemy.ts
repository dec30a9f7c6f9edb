/**
 * Custom rules of Alchemy's Gas Manager. `webhookData` is the operator's token. Every decision is HTTP 200,
 * since a policy may be set to sponsor whatever fails.
 */
import { bearerToken, parseJson, readBody } from "../http";
import { readObject, readQuantity, readString } from "../parse";
import { checkToken, decide, type Services } from "../sponsor";
import { readUserOperation } from "../userop";

export async function handleAlchemy(http: Request, services: Services): Promise<Response> {
  const json = readObject(parseJson(await readBody(http)), "body");
  const token = readString(json.webhookData ?? "", "webhookData") || bearerToken(http);
  const request = {
    op: readUserOperation(json.userOperation, "userOperation"),
    chainId: readQuantity(json.chainId, "chainId", 64),
    entryPoint: null,
  };
  const reason = (await checkToken(token, services)) ?? (await decide(request, true, services));
  return Response.json(reason === null ? { approved: true } : { approved: false, reason });
}
