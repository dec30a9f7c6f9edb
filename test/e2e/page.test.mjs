// The operators' page: tables without a script, the mesh as a picture, nothing from elsewhere. A screenshot of it is
// left beside the logs.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { awaitCaughtUp } from "./lib/subscriptions.mjs";
import { cluster, instance, nodes } from "./lib/mesh.mjs";
import { INDEXER_HEALTH_URL, WORLD } from "../devnet/lib/topology.mjs";
import { httpGet } from "../devnet/lib/world.mjs";
import { photograph } from "./lib/browser.mjs";

const CHROMIUM = "/usr/bin/chromium";
const get = (path) => httpGet(instance, WORLD, `${INDEXER_HEALTH_URL}${path}`);

test("page: the tables name every cluster and every member", async () => {
  await awaitCaughtUp();
  assert.match(await get("/"), new RegExp(`href="/cluster/${cluster.toLowerCase()}"`));
  const page = await get(`/cluster/${cluster.toLowerCase()}`);
  for (const { memberContract } of nodes()) assert.ok(page.includes(memberContract.toLowerCase()), memberContract);
  assert.ok(page.includes("MemberRegistered"));
  assert.doesNotMatch(page, /<script|https?:\/\//, "no script, nothing from elsewhere");
});

test("page: what is not there is not found", async () => {
  for (const path of ["/cluster/", "/cluster/0x12", "/etc/passwd", "/cluster/%3Cscript%3E"]) {
    assert.match(await get(path), /404 Not Found/i);
  }
});

test("page: a browser shows the mesh", { skip: existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed` }, async () => {
  const file = join(instance.logs, "page.png");
  const seen = await photograph(instance, CHROMIUM, `${INDEXER_HEALTH_URL}/cluster/${cluster.toLowerCase()}`, file);
  assert.ok(seen.circles >= nodes().length, `${seen.circles} members in the picture`);
  assert.equal(seen.lines, (seen.circles * (seen.circles - 1)) / 2, "a tunnel between every two");
  assert.deepEqual(seen.complaints, [], "the browser finds nothing against the page's own policy");
  assert.ok(seen.styled, "the style sheet is loaded");
  assert.ok(existsSync(file));
});
