/** Pimlico's sponsorship policy webhooks: signed headers stand for the token. */
import { parseJson, readBody } from "../http";
import { readAddress, readObject, readQuantity, readString } from "../parse";
import { decide, type Services } from "../sponsor";
import { readUserOperation } from "../userop";
import { isSignedByPimlico } from "./pimlico-signature";

const REQUESTED = ["user_operation.sponsorship.requested", "sponsorshipPolicy.webhook"];

export async function handlePimlico(http: Request, secret: string, services: Services): Promise<Response> {
  const body = await readBody(http);
  if (!(await isSignedByPimlico(http.headers, body, secret, services.nowMs))) {
    return Response.json({ sponsor: false, reason: "signature_wrong" }, { status: 401 });
  }
  const json = readObject(parseJson(body), "body");
  // The other events only tell what became of a request.
  if (!REQUESTED.includes(readString(json.type, "type"))) return Response.json({});

  const object = readObject(readObject(json.data, "data").object, "data.object");
  const request = {
    op: readUserOperation(object.userOperation, "data.object.userOperation"),
    chainId: readQuantity(object.chainId, "data.object.chainId", 64),
    entryPoint: readAddress(object.entryPoint, "data.object.entryPoint"),
  };
  const reason = await decide(request, true, services);
  return Response.json(reason === null ? { sponsor: true } : { sponsor: false, reason });
}
