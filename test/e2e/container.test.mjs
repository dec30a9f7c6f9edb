// The container image becomes a healthy node, with what it brings and nothing of this machine's.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { agentEnvironment, guestAgentCommand } from "../devnet/lib/agent.mjs";
import { awaitDaemon, logFile, startDaemon, stopDaemon } from "../devnet/lib/daemon.mjs";
import { BUILD, ROOT } from "../devnet/lib/instance.mjs";
import { lastLinesOf, run, waitFor } from "../devnet/lib/run.mjs";
import { publishNode } from "../devnet/lib/services.mjs";
import { gatewayAddress } from "../devnet/lib/topology.mjs";
import { ping, recordOf, registry } from "./lib/checks.mjs";
import { startContainer, unpackImage } from "./lib/container.mjs";
import { cluster, deployment, instance, nodes, recordFigure } from "./lib/mesh.mjs";
import { openSpare } from "./lib/spare.mjs";

const UNPACKED_MAX_KB = 30 * 1024;
const HEALTHY_MS = 60_000;
const INDEX = 240;
const CAP_NET_ADMIN = "0000000000001000";
const sanitized = process.env.ASAN_OPTIONS && "sanitizers want libraries and capabilities of their own";

const bundle = join(instance.tmp, "bundle");
const socketFolder = join(instance.tmp, "bundle-run");
const guestAgent = join(instance.tmp, "bundle-dstack.sock");
let image, spare, container;

before(async () => {
  if (sanitized) return;
  await run([join(ROOT, "deploy/image"), "agent"], { env: { ...process.env, BUILD } });
  image = await unpackImage(join(BUILD, "attestmesh-agent.oci.tar"), join(bundle, "rootfs"));
  spare = await openSpare(instance, deployment, INDEX);
  publishNode(instance, { ...spare, gatewayAddress: gatewayAddress(INDEX) });
  await startDaemon(instance, guestAgentDaemon(), guestAgentCommand(spare, guestAgent));
  await awaitDaemon(instance, guestAgentDaemon(), () => existsSync(guestAgent), 20_000);
});
after(() => container?.stop());

const guestAgentDaemon = () => ({ name: `${spare.name}-guest-agent`, room: spare.name });

test("container: the image is at most 30 MB unpacked", { skip: sanitized }, async () => {
  const size = Number((await run(["du", "-sk", join(bundle, "rootfs")])).split("\t")[0]);
  recordFigure(instance, "image_unpacked_kb", size);
  assert.ok(size <= UNPACKED_MAX_KB, `${size} kB`);
});

test("container: it becomes healthy, as its health check says", { skip: sanitized }, async () => {
  container = startContainer(instance, spare, {
    bundle, image, socketFolder, guestAgent, env: agentEnvironment(spare),
  });
  await waitFor("the container to be healthy", () => container.exec("meshctl", "status", "--check"), {
    timeoutMs: HEALTHY_MS,
  }).catch((error) => assert.fail(`${error.message}\n${lastLinesOf(logFile(instance, spare.name), 30)}`));
  const status = readFileSync(`/proc/${await container.pid()}/status`, "utf8");
  assert.match(status, new RegExp(`^CapEff:\\s*${CAP_NET_ADMIN}$`, "m"));
  assert.match(status, /^Seccomp:\s*2$/m);
});

test("container: it is reached over the mesh", { skip: sanitized }, async () => {
  const { meshIpv4 } = recordOf(await registry(instance, cluster), spare);
  const [node] = nodes().filter(({ name }) => name !== spare.name);
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
