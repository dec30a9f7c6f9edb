// Somebody who shares no code with the agent becomes a member, and the agents see exactly that member; the
// owner removes it again, and it is gone from every device.

import assert from "node:assert/strict";
import { test } from "node:test";
import { deployMembers } from "../devnet/lib/deploy.mjs";
import { meshctl } from "../devnet/lib/node.mjs";
import { startGuestAgent } from "../devnet/lib/node-room.mjs";
import { createRoom } from "../devnet/lib/room.mjs";
import { waitFor } from "../devnet/lib/run.mjs";
import { awaitHealthy } from "../devnet/lib/up.mjs";
import { assertDeviceAgrees, registry, removeMember, wgPeers } from "./lib/checks.mjs";
import { cluster, deployment, instance, nodes } from "./lib/mesh.mjs";
import { readCluster, register } from "./lib/witness.mjs";

const SEEN_MS = 60_000;

// A member contract and a guest agent, but no agent of ours.
async function openWitness() {
  const index = 200;
  const [memberContract] = await deployMembers(instance, deployment, [index]);
  const witness = { name: "witness", index, memberContract };
  await createRoom(instance, witness.name);
  await startGuestAgent(instance, witness);
  return witness;
}

test("witness: viem registers a member, and the agents' view agrees", async () => {
  const witness = await openWitness();
  const { keys, receipt } = await register(instance, cluster, witness);
  assert.equal(receipt.success, true);

  const record = await readCluster(instance, cluster, "memberOf", [witness.memberContract]);
  assert.equal(record.wgPubKey, keys.wgPubKey);
  const member = (await registry(instance, cluster)).find(
    ({ wgPubKey }) => wgPubKey === Buffer.from(keys.wgPubKey.slice(2), "hex").toString("base64"),
  );
  for (const node of nodes()) {
    const peer = await waitFor(
      `${node.name} to list the witness`,
      async () => {
        const peers = await meshctl(instance, node, "peers");
        return peers.find(({ index }) => index === member.index);
      },
      { timeoutMs: SEEN_MS },
    );
    assert.equal(peer.mesh_ipv4, member.meshIpv4);
    assert.equal(peer.mesh_ipv6, member.meshIpv6);
    assert.equal(peer.up, false);
    const wg = (await wgPeers(instance, node)).find(({ publicKey }) => publicKey === member.wgPubKey);
    assert.equal(wg.endpoint, member.endpoint);
  }
});

test("witness: a member that the owner removes is gone from every device", async () => {
  const members = await registry(instance, cluster);
  await removeMember(instance, cluster, members.at(-1));
  for (const node of nodes()) {
    await waitFor(
      `${node.name} to forget the witness`,
      () => assertDeviceAgrees(instance, cluster, node).then(() => true),
      { timeoutMs: SEEN_MS },
    );
  }
  await awaitHealthy(instance, nodes());
});
