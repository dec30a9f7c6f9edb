// Whatever is wrong around an agent, one line names the cause; it tries again where that can help, shows the
// phase it waits in, and ends with a code of its own where it can not.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { ACCOUNTS } from "../devnet/lib/chain.mjs";
import { chooseBackend, meshctl } from "../devnet/lib/node.mjs";
import { startGuestAgent, stopGuestAgent } from "../devnet/lib/node-room.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { SPONSOR_TOKEN } from "../devnet/lib/services.mjs";
import { WORKER_URL, WORLD_ADDRESS } from "../devnet/lib/topology.mjs";
import { deployment, instance, nodes } from "./lib/mesh.mjs";
import { deployForeignMember, openSpare, startGullibleSponsor, startWrongAgent } from "./lib/spare.mjs";

const EX_CONFIG = 78;
const EXIT_FAILURE = 1;
const CLOSED_URL = "http://10.99.0.1:9";
const GULLIBLE_PORT = 8788;
const GULLIBLE = { SPONSOR: `erc7677=http://${WORLD_ADDRESS}:${GULLIBLE_PORT}` };
let spare;

before(async () => {
  spare = await openSpare(instance, deployment, 201);
  await startGullibleSponsor(instance, deployment, GULLIBLE_PORT);
});

// The agent says `expected` and ends; the code tells whether the operator can mend it by configuration.
async function assertGivesUp(overrides, expected, code = EX_CONFIG) {
  const agent = await startWrongAgent(instance, spare, overrides, expected);
  try {
    assert.ok(agent.line, `no line matches ${expected}:\n${agent.lines.join("\n")}`);
    assert.equal(await agent.ended, code);
  } finally {
    await agent.stop();
  }
}

// The agent says `expected` and goes on trying in `phase`, which is shown with a reason.
async function assertWaits(overrides, phase, expected) {
  const agent = await startWrongAgent(instance, spare, overrides, expected);
  try {
    assert.ok(agent.line, `no line matches ${expected}:\n${agent.lines.join("\n")}`);
    await waitFor(`phase ${phase} for the same reason`, async () => {
      const [status] = await meshctl(instance, spare, "status");
      assert.equal(status.phase, phase);
      assert.match(status.reason, expected);
      return true;
    });
  } finally {
    assert.equal(await agent.stop(), 0);
  }
}

const withGuestAgent = (options, body) => async () => {
  await startGuestAgent(instance, spare, options);
  try {
    await body();
  } finally {
    await stopGuestAgent(instance, spare);
  }
};

const VARIABLES = [
  ["a missing variable", { RPC_URL: undefined }, /RPC_URL/],
  ["a chain id that is no number", { CHAIN_ID: "mainnet" }, /CHAIN_ID/],
  ["an unknown backend", { WG_BACKEND: "fast" }, /WG_BACKEND.*kernel.*userspace/],
  ["a sponsor of unknown kind", { SPONSOR: "friend=http://10.99.0.1" }, /SPONSOR/],
  ["a misspelt variable", { WG_BACKENDS: "kernel" }, /WG_BACKENDS/],
];
for (const [what, overrides, expected] of VARIABLES) {
  test(`refusal: ${what} ends the start and is named`, () => assertGivesUp(overrides, expected));
}

test("refusal: a kernel without WireGuard is named, with the way out", async (t) => {
  if ((await chooseBackend("auto")).backend === "kernel") return t.skip("this host's kernel has WireGuard");
  return assertGivesUp({ WG_BACKEND: "kernel" }, /wireguard.*WG_BACKEND=userspace/i);
});

test("refusal: without a guest agent the node waits in booting", () =>
  assertWaits({}, "booting", /\/var\/run\/dstack\.sock/));

test(
  "refusal: a dead RPC is named",
  withGuestAgent({}, () => assertWaits({ RPC_URL: CLOSED_URL }, "booting", /10\.99\.0\.1:9/)),
);

test(
  "refusal: a chain id that differs from the RPC's ends the start",
  withGuestAgent({}, () => assertGivesUp({ CHAIN_ID: "1" }, /31337/)),
);

test(
  "refusal: a dead bundler is named",
  withGuestAgent({}, () => assertWaits({ BUNDLER_URL: CLOSED_URL }, "registering", /10\.99\.0\.1:9/)),
);

test(
  "refusal: a proof that the sponsor does not believe",
  withGuestAgent({ rootKey: ACCOUNTS.stranger.key }, () =>
    assertWaits({}, "registering", /sponsorship denied: the KMS root/),
  ),
);

// The contract's own reasons, by their names: here the sponsor believes everything.
const PROOFS = [
  ["a KMS root that the cluster does not know", { rootKey: ACCOUNTS.stranger.key }, {}, /InvalidSigChain/],
  ["an app id that is not the member contract's", { appId: nodes()[0].memberContract }, {}, /CodeIdMismatch/],
  ["a member contract of unknown origin", {}, { foreign: true }, /NotOurMember/],
];
for (const [what, options, { foreign }, expected] of PROOFS) {
  test(`refusal: the contract refuses ${what}`, async () => {
    const memberContract = foreign ? await deployForeignMember(instance, deployment) : spare.memberContract;
    await withGuestAgent({ appId: memberContract, ...options }, () =>
      assertWaits({ ...GULLIBLE, MEMBER_CONTRACT: memberContract }, "registering", expected),
    )();
  });
}

test(
  "refusal: an app id that is no member contract",
  withGuestAgent({ appId: ACCOUNTS.stranger.address }, () => assertWaits({}, "booting", /contract/)),
);

test(
  "refusal: a member that somebody else registered",
  withGuestAgent({ rootKey: ACCOUNTS.stranger.key }, () =>
    assertGivesUp({ MEMBER_CONTRACT: nodes()[0].memberContract }, /foreign/, EXIT_FAILURE),
  ),
);

test(
  "refusal: a sponsor that denies says why",
  withGuestAgent({}, () =>
    assertWaits(
      { SPONSOR: `erc7677=${WORKER_URL}/erc7677#{"token":"not ${SPONSOR_TOKEN}"}` },
      "registering",
      /token/,
    ),
  ),
);

test(
  "refusal: a dead sponsor is named",
  withGuestAgent({}, () =>
    assertWaits({ SPONSOR: `erc7677=${CLOSED_URL}` }, "registering", /10\.99\.0\.1:9/),
  ),
);

for (const fault of ["garbage", "missing-field", "wrong-length", "http-500", "broken-link"]) {
  test(
    `refusal: a guest agent that answers with ${fault}`,
    withGuestAgent({ fault }, () => assertWaits({}, "booting", /guest agent|GetKey/)),
  );
}
