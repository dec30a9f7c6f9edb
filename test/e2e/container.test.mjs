// The container images become a healthy node and an indexer, with what they bring and nothing of this machine's.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { agentEnvironment, guestAgentCommand } from "../devnet/lib/agent.mjs";
import { awaitDaemon, logFile, startDaemon, stopDaemon } from "../devnet/lib/daemon.mjs";
import { indexerHealth } from "../devnet/lib/indexer.mjs";
import { BUILD, ROOT } from "../devnet/lib/instance.mjs";
import { lastLinesOf, run, waitFor } from "../devnet/lib/run.mjs";
import { SERVICES, publishNode } from "../devnet/lib/services.mjs";
import { WORLD, WORLD_ADDRESS, gatewayAddress } from "../devnet/lib/topology.mjs";
import { httpGet } from "../devnet/lib/world.mjs";
import { ping, recordOf, registry } from "./lib/checks.mjs";
import { bind, startContainer, unpackImage } from "./lib/container.mjs";
import { cluster, deployment, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { openSpare } from "./lib/spare.mjs";

const UNPACKED_MAX_KB = 30 * 1024;
const HEALTHY_MS = 60_000;
const INDEX = 240;
const CAP_NET_ADMIN = "0000000000001000";
const NO_CAPABILITY = "0000000000000000";
const sanitized = process.env.ASAN_OPTIONS && "sanitizers want libraries and capabilities of their own";

const bundle = join(instance.tmp, "bundle");
const socketFolder = join(instance.tmp, "bundle-run");
const guestAgent = join(instance.tmp, "bundle-dstack.sock");
const indexerBundle = join(instance.tmp, "indexer-bundle");
const indexerStore = join(instance.tmp, "indexer-bundle-store");
let image, spare, container, indexer;

async function buildImage(name, folder) {
  await run([join(ROOT, "deploy/image"), name], { env: { ...process.env, BUILD } });
  return unpackImage(join(BUILD, `attestmesh-${name}.oci.tar`), join(folder, "rootfs"));
}

async function assertConfined(container, capabilities) {
  const status = readFileSync(`/proc/${await container.pid()}/status`, "utf8");
  assert.match(status, new RegExp(`^CapEff:\\s*${capabilities}$`, "m"));
  assert.match(status, /^Seccomp:\s*2$/m);
}

before(async () => {
  if (sanitized) return;
  image = await buildImage("agent", bundle);
  spare = await openSpare(instance, deployment, INDEX);
  publishNode(instance, { ...spare, gatewayAddress: gatewayAddress(INDEX) });
  await startDaemon(instance, guestAgentDaemon(), guestAgentCommand(spare, guestAgent));
  await awaitDaemon(instance, guestAgentDaemon(), () => existsSync(guestAgent), 20_000);
});
after(() => Promise.all([container?.stop(), indexer?.stop()]));

const guestAgentDaemon = () => ({ name: `${spare.name}-guest-agent`, room: spare.name });

test("container: the image is at most 30 MB unpacked", { skip: sanitized }, async () => {
  const size = Number((await run(["du", "-sk", join(bundle, "rootfs")])).split("\t")[0]);
  recordFigure(instance, "image_unpacked_kb", size);
  assert.ok(size <= UNPACKED_MAX_KB, `${size} kB`);
});

test("container: it becomes healthy, as its health check says", { skip: sanitized }, async () => {
  mkdirSync(socketFolder, { recursive: true });
  container = startContainer(instance, spare, {
    bundle, image, env: agentEnvironment(spare), capabilities: ["CAP_NET_ADMIN"],
    mounts: [
      bind(socketFolder, "/run/attestmesh"),
      bind(guestAgent, "/run/dstack.sock"),
      bind(join(instance.dir, "resolv.conf"), "/etc/resolv.conf", "ro"),
    ],
  });
  await waitFor("the container to be healthy", () => container.exec("meshctl", "status", "--check"), {
    timeoutMs: HEALTHY_MS,
  }).catch((error) => assert.fail(`${error.message}\n${lastLinesOf(logFile(instance, spare.name), 30)}`));
  await assertConfined(container, CAP_NET_ADMIN);
});

test("container: it is reached over the mesh", { skip: sanitized }, async () => {
  const members = await registry(instance, cluster);
  const { meshIpv4 } = recordOf(members, spare);
  const node = nodes().find((each) => recordOf(members, each)); // some were removed
  await ping(instance, node, meshIpv4);
});

test("container: an application outside of it uses its socket", { skip: sanitized }, async () => {
  const env = { ...process.env, AGENT_SOCKET: join(socketFolder, "agent.sock") };
  const [status] = (await run([join(BUILD, "agent/meshctl/meshctl"), "status", "--json"], { env })).split("\n");
  assert.equal(JSON.parse(status).phase, "healthy");
});

test("container: it ends when it is told to, with nothing to complain of", { skip: sanitized }, async () => {
  assert.equal(await container.stop(), 0);
  await stopDaemon(instance, guestAgentDaemon());
});

test("container: the indexer's image serves what the chain says", { skip: sanitized }, async () => {
  const health = `${WORLD_ADDRESS}:9092`;
  const name = "indexer-container";
  mkdirSync(indexerStore, { recursive: true });
  indexer = startContainer(instance, { name, room: WORLD }, {
    bundle: indexerBundle, image: await buildImage("indexer", indexerBundle), capabilities: [],
    env: {
      ...SERVICES.indexer.env(instance, deployment),
      INDEXER_REGISTRY: "", STORE_PATH: "", LISTEN_ADDR: `${WORLD_ADDRESS}:51911`, HEALTH_ADDR: health,
    },
    mounts: [bind(indexerStore, "/var/lib/attestmesh")],
  });
  const found = await waitFor("the indexer's container to be healthy", async () => {
    const answer = JSON.parse(await httpGet(instance, WORLD, `http://${health}/healthz`));
    return answer.healthy && answer;
  }, { timeoutMs: HEALTHY_MS }).catch((error) => assert.fail(`${error.message}\n${lastLinesOf(logFile(instance, name), 30)}`));
  const { key, clusters } = await indexerHealth(instance);
  assert.deepEqual({ key: found.key, clusters: found.clusters }, { key, clusters });
  await assertConfined(indexer, NO_CAPABILITY);
  assert.ok(existsSync(join(indexerStore, "indexer.db")));
  assert.equal(await indexer.stop(), 0);
});
