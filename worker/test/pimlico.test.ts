import { describe, expect, it } from "vitest";
import { isSignedByPimlico } from "../src/vendors/pimlico-signature";
import { ENTRY_POINT, execute, operation, publishWgKey, STRANGER } from "./support/mesh";
import { Scene, type Answer } from "./support/worker";

// Made by @pimlico/webhook 0.0.6 and the svix it uses. The secret is the bytes 0 to 23.
const SECRET = "pim_whsec_132xhqfBs1FWqCxTuhU2snMTUp1ndXDD";
const BODY = '{"type":"user_operation.sponsorship.finalized"}';
const SIGNED_AT = 1_767_268_800;
const SIGNATURE = "v1,2yPVRzwgANulcvglGqjujNK7RP7pPKMZJttqXrRtcR8=";

const headers = (changes: Record<string, string> = {}): Headers =>
  new Headers({
    "svix-id": "msg_1",
    "svix-timestamp": String(SIGNED_AT),
    "svix-signature": SIGNATURE,
    ...changes,
  });

function isSigned(given = headers(), body = BODY, secret = SECRET, seconds = SIGNED_AT): Promise<boolean> {
  return isSignedByPimlico(given, body, secret, seconds * 1000);
}

describe("the signature", () => {
  it("holds as Pimlico's own library makes it", async () => {
    expect(await isSigned()).toBe(true);
    expect(await isSigned(headers({ "svix-signature": `v0,AAAA v1,AAAA ${SIGNATURE}` }))).toBe(true);
    const renamed = [...headers()].map(
      ([name, value]) => [name.replace("svix", "webhook"), value] as [string, string],
    );
    expect(await isSigned(new Headers(renamed))).toBe(true);
  });

  it("is good for five minutes", async () => {
    expect(await isSigned(headers(), BODY, SECRET, SIGNED_AT + 300)).toBe(true);
    expect(await isSigned(headers(), BODY, SECRET, SIGNED_AT + 301)).toBe(false);
    expect(await isSigned(headers(), BODY, SECRET, SIGNED_AT - 301)).toBe(false);
  });

  it.each<[string, Headers]>([
    ["of another message", headers({ "svix-id": "msg_2" })],
    ["of another second", headers({ "svix-timestamp": String(SIGNED_AT + 1) })],
    ["without a timestamp", headers({ "svix-timestamp": "" })],
    ["with a timestamp that is no number", headers({ "svix-timestamp": "now" })],
    ["that is missing", headers({ "svix-signature": "" })],
    ["that is not base64", headers({ "svix-signature": "v1,***" })],
    ["of another version", headers({ "svix-signature": SIGNATURE.replace("v1", "v2") })],
  ])("fails %s", async (_, given) => {
    expect(await isSigned(given)).toBe(false);
  });

  it("fails for another body and every other secret", async () => {
    expect(await isSigned(headers(), `${BODY} `)).toBe(false);
    for (const secret of [
      "pim_whsec_132xhqfBs1FWqCxTuhU2snMTUp1ndXD",
      "pim_whsec_",
      "pim_whsec_w",
      "pim_whsec_2",
      "x",
    ]) {
      expect(await isSigned(headers(), BODY, secret)).toBe(false);
    }
  });
});

/** Signs with the key that SECRET stands for. */
async function sign(body: string): Promise<Record<string, string>> {
  const hex = Array.from({ length: 24 }, (_, byte) => byte.toString(16).padStart(2, "0")).join("");
  const raw = Uint8Array.from(atob(hex), (character) => character.charCodeAt(0));
  const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const timestamp = String(Math.floor(Date.now() / 1000));
  const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(`m.${timestamp}.${body}`));
  const signature = btoa(String.fromCharCode(...new Uint8Array(mac)));
  return { "svix-id": "m", "svix-timestamp": timestamp, "svix-signature": `v1,${signature}` };
}

async function ask(object: unknown, type = "user_operation.sponsorship.requested"): Promise<Answer> {
  const scene = await Scene.fresh({ PIMLICO_WEBHOOK_SECRET: SECRET });
  const body = JSON.stringify({ type, data: { object } });
  return scene.post("/pimlico", body, await sign(body));
}

const object = {
  userOperation: operation(execute(publishWgKey)),
  entryPoint: ENTRY_POINT,
  chainId: 8453,
  sponsorshipPolicyId: "sp_1",
};

describe("POST /pimlico", () => {
  it("sponsors what the policy approves, whichever name the event has", async () => {
    expect(await ask(object)).toMatchObject({ status: 200, json: { sponsor: true } });
    expect((await ask(object, "sponsorshipPolicy.webhook")).json).toEqual({ sponsor: true });
  });

  it("does not sponsor what the policy denies, and says why", async () => {
    const answer = await ask({ ...object, userOperation: operation(execute(publishWgKey, STRANGER)) });
    expect(answer).toMatchObject({ status: 200, json: { sponsor: false, reason: "target_unknown" } });
  });

  it("only takes note of other events", async () => {
    expect(await ask({}, "user_operation.sponsorship.finalized")).toMatchObject({ status: 200, json: {} });
  });

  it("refuses what is not signed before it reads it", async () => {
    const scene = await Scene.fresh({ PIMLICO_WEBHOOK_SECRET: SECRET });
    expect(await scene.post("/pimlico", "{")).toMatchObject({ status: 401, json: { sponsor: false } });
  });

  it("is not there without a secret", async () => {
    expect((await (await Scene.fresh()).post("/pimlico", {})).status).toBe(404);
  });
});
