// The room that every node sees as the outside: a bridge, and on it the services. Nodes hang on isolated
// ports: they reach the world and nothing else, and only the gateway reaches them, at one port.

import { findRoom, findRooms, configureNetwork, createRoom, inRoom } from "./room.mjs";
import { run } from "./run.mjs";
import {
  BRIDGE,
  PORTS,
  PREFIX_LENGTH,
  WORLD,
  WORLD_ADDRESS,
  gatewayAddress,
  nodeAddress,
  nodeLink,
} from "./topology.mjs";

// A bridge without an address of its own takes one of its ports', and a node that joins would change it.
const BRIDGE_MAC = "02:00:0a:63:00:01";

// Connections get their ports from below those that services listen on: one that lingers would keep a service from
// starting again.
const SPARE_SERVICE_PORTS = 'echo "32768 50999" >/proc/sys/net/ipv4/ip_local_port_range';

const FIREWALL = `
table inet devnet {
  set parted { type ipv4_addr . ipv4_addr; }
  chain input {
    type filter hook input priority filter;
    ip saddr . ip daddr @parted drop
  }
  chain output {
    type filter hook output priority filter;
    ip saddr . ip daddr @parted drop
    oifname != "${BRIDGE}" accept
    ct state established,related accept
    ip daddr 10.99.1.0/24 tcp dport { ${PORTS.ingress}, ${PORTS.guestControl} } accept
    meta l4proto ipv6-icmp accept
    reject
  }
}`;

export async function createWorld(instance) {
  if (findRooms(instance).has(WORLD)) return;
  const room = await createRoom(instance, WORLD);
  await configureNetwork(
    room,
    `
    ${SPARE_SERVICE_PORTS}
    ip link add ${BRIDGE} address ${BRIDGE_MAC} type bridge
    ip address add ${WORLD_ADDRESS}/${PREFIX_LENGTH} dev ${BRIDGE}
    ip link set ${BRIDGE} up
    ip route add local 10.99.2.0/24 dev ${BRIDGE}
    nft -f - <<'END'\n${FIREWALL}\nEND`,
  );
}

const attachScript = (link) => `
  ip link set ${link} master ${BRIDGE} up
  bridge link set dev ${link} isolated on`;

// A node in a room of its own gets one end of a cable as eth0.
export async function plugRoom(instance, room, index) {
  const link = nodeLink(index);
  await configureNetwork(
    findRoom(instance, WORLD),
    `
    ip link add ${link} type veth peer name eth0 netns ${room}
    ${attachScript(link)}`,
  );
  await configureNetwork(
    room,
    `
    ${SPARE_SERVICE_PORTS}
    ip address add ${nodeAddress(index)}/${PREFIX_LENGTH} dev eth0
    ip link set eth0 up`,
  );
}

// A guest gets a tap device, whose other end is the guest's eth0.
export async function plugGuest(instance, index) {
  const link = nodeLink(index);
  await configureNetwork(
    findRoom(instance, WORLD),
    `
    ip tuntap add ${link} mode tap
    ${attachScript(link)}`,
  );
}

export async function unplug(instance, index) {
  await configureNetwork(findRoom(instance, WORLD), `ip link delete ${nodeLink(index)}`);
}

// What one node says to another goes to the gateway's address for that other node, and comes back from there.
function pathsBetween(a, b) {
  const paths = [];
  for (const [from, to] of [
    [a, b],
    [b, a],
  ]) {
    paths.push(
      `${nodeAddress(from)} . ${gatewayAddress(to)}`,
      `${gatewayAddress(to)} . ${nodeAddress(from)}`,
    );
  }
  return paths.join(", ");
}

export function partition(instance, a, b) {
  return configureNetwork(
    findRoom(instance, WORLD),
    `nft add element inet devnet parted '{ ${pathsBetween(a, b)} }'`,
  );
}

export function heal(instance) {
  return configureNetwork(findRoom(instance, WORLD), "nft flush set inet devnet parted");
}

// Asks an HTTP service as somebody inside a room would; gives the body.
export function httpGet(instance, room, url, timeoutSeconds = 5) {
  const curl = ["curl", "-s", "-m", String(timeoutSeconds), "--noproxy", "*", url];
  return run([...inRoom(findRoom(instance, room), { network: true }), ...curl]);
}

// Posts JSON from the outside; gives the JSON of the answer, whatever its status.
export async function postJson(instance, url, body) {
  const curl = [
    "curl",
    "-sS",
    "-m",
    "10",
    "--noproxy",
    "*",
    "-H",
    "content-type: application/json",
    "-d",
    "@-",
    url,
  ];
  const answer = await run([...inRoom(findRoom(instance, WORLD), { network: true }), ...curl], {
    input: JSON.stringify(body),
  });
  return JSON.parse(answer);
}

export async function jsonRpc(instance, url, method, params = []) {
  const { result, error } = await postJson(instance, url, { jsonrpc: "2.0", id: 1, method, params });
  // viem looks for the code and the data of an error.
  if (error) throw Object.assign(new Error(`${method}: ${error.message}`), error);
  return result;
}
