#!/usr/bin/env node
// A dstack guest agent for tests: the same endpoints, the same KMS signature chain, no hardware behind it.
// It shares no code with the C side (noble-curves and noble-hashes), so each is a witness against the other.
//
//   guest-agent.mjs --listen PATH|[HOST:]PORT --app-id 0x.. (--kms-root-key 0x.. | --seed 0x..)
//                   [--compose-hash 0x..] [--instance-id 0x..] [--device-id 0x..] [--fault NAME[@PATH]]
//   guest-agent.mjs --print-kms-root (--kms-root-key 0x.. | --seed 0x..)
//
// --seed stands for a KMS root key derived from it. Every key follows from the root key, the app id and the path;
// the purpose enters the signature only. --fault spoils the answers of GetKey (or of one key path; `Info` after the
// @ spoils /Info): see FAULTS. --print-kms-root prints the address that a cluster must allow, and ends.
import http from 'node:http';
import { unlinkSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import { secp256k1 } from '@noble/curves/secp256k1';
import { hkdf } from '@noble/hashes/hkdf';
import { sha256 } from '@noble/hashes/sha2';
import { keccak_256 as keccak } from '@noble/hashes/sha3';
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils';

const BODY_MAX = 64 * 1024;

export const unhex = (text) => hexToBytes(text.replace(/^0x/, ''));
export const publicKeyOf = (key) => secp256k1.getPublicKey(key, true);
export const addressOf = (key) => '0x' + bytesToHex(keccak(secp256k1.getPublicKey(key, false).slice(1)).slice(12));

// dstack derives with HKDF-SHA256, salt "RATLS", the context parts concatenated as info.
const derive = (key, ...context) => hkdf(sha256, key, utf8ToBytes('RATLS'), concatBytes(...context), 32);

export const rootKeyOfSeed = (seed) => derive(seed, utf8ToBytes('attestmesh.devnet.kms'));
export const appKeyOf = (rootKey, appId) => derive(rootKey, appId, utf8ToBytes('app-key'));
export const derivedKeyOf = (appKey, path) => derive(appKey, utf8ToBytes(path));

// r, s and a recovery id of 0 or 1: 65 bytes, as the KMS emits them.
function sign(key, message) {
  const signature = secp256k1.sign(keccak(message), key);
  return concatBytes(signature.toCompactRawBytes(), Uint8Array.of(signature.recovery));
}

// The two links above a derived key: app key over the derived public key, KMS root over the app's public key.
export function signatureChain({ rootKey, appId, appKey, derivedKey, purpose }) {
  const issued = concatBytes(utf8ToBytes('dstack-kms-issued:'), appId, publicKeyOf(appKey));
  return [sign(appKey, utf8ToBytes(`${purpose}:${bytesToHex(publicKeyOf(derivedKey))}`)), sign(rootKey, issued)];
}

// What can go wrong with an answer. Each spoils `answer` in place, or answers (or does not) by itself.
const FAULTS = {
  'missing-field': (answer) => delete answer[Object.keys(answer)[0]],
  'missing-chain': (answer) => delete answer.signature_chain,
  'wrong-length': (answer) => (answer[Object.keys(answer)[0]] += '00'),
  'short-signature': (answer) => (answer.signature_chain[0] = answer.signature_chain[0].slice(2)),
  'one-link': (answer) => answer.signature_chain.pop(),
  'not-hex': (answer) => (answer[Object.keys(answer)[0]] = 'zz' + answer[Object.keys(answer)[0]].slice(2)),
  'broken-link': (answer) => (answer.signature_chain[0] = answer.signature_chain[1]),
  'foreign-key': (answer) => (answer.key = bytesToHex(keccak(unhex(answer.key)))),
  'http-500': (_, response) => respond(response, 500, { error: 'the simulator was told to fail' }),
  garbage: (_, response) => response.end('<html>not json'),
  truncated: (answer, response) => response.end(JSON.stringify(answer).slice(0, 40)),
  huge: (_, response) => response.end('"' + 'a'.repeat(2 << 20) + '"'),
  close: (_, response) => response.destroy(),
  hang: () => 'no answer',
};

function respond(response, status, answer) {
  const body = JSON.stringify(answer);
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
  return 'answered';
}

function tdxQuote(reportData) {
  const quote = new Uint8Array(1024);
  quote.set([4, 0, 2, 0, 0x81]); // version 4, ECDSA P-256, TEE type TDX
  quote.set(reportData.slice(0, 64), 48 + 520);
  return quote;
}

const ENDPOINTS = {
  '/GetKey': ({ rootKey, appId, appKey }, { path = '', purpose = '' }) => {
    const derivedKey = derivedKeyOf(appKey, path);
    const chain = signatureChain({ rootKey, appId, appKey, derivedKey, purpose });
    return { key: bytesToHex(derivedKey), signature_chain: chain.map(bytesToHex) };
  },
  '/Info': ({ info }) => ({ ...info }),
  '/GetQuote': (_, { report_data = '' }) => ({
    quote: bytesToHex(tdxQuote(unhex(report_data))),
    event_log: '[]',
    report_data,
  }),
};

async function readParameters(request) {
  if (request.method === 'GET') return Object.fromEntries(new URL(request.url, 'http://localhost').searchParams);
  let body = '';
  for await (const chunk of request) {
    body += chunk;
    if (body.length > BODY_MAX) throw new Error('body too large');
  }
  return body ? JSON.parse(body) : {};
}

export function createGuestAgent(agent) {
  const [fault, faultPath] = (agent.fault ?? '').split('@');
  const isSpoiled = (name, parameters) =>
    fault && (faultPath ? faultPath === (parameters.path ?? name.slice(1)) : name === '/GetKey');

  const server = http.createServer(async (request, response) => {
    const name = new URL(request.url, 'http://localhost').pathname;
    if (!(name in ENDPOINTS)) return respond(response, 404, { error: `no such endpoint: ${name}` });
    try {
      const parameters = await readParameters(request);
      const answer = ENDPOINTS[name](agent, parameters);
      if (isSpoiled(name, parameters)) {
        const outcome = FAULTS[fault](answer, response);
        if (outcome === 'no answer' || response.writableEnded || response.destroyed) return;
      }
      respond(response, 200, answer);
    } catch (error) {
      respond(response, 400, { error: error.message });
    }
  });
  server.keepAliveTimeout = 0; // as real servers may: the connection stays open after the answer
  return server;
}

function parseCommandLine() {
  const names = ['listen', 'app-id', 'kms-root-key', 'seed', 'compose-hash', 'instance-id', 'device-id', 'fault'];
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
  const { values } = parseArgs({ options: { ...options, 'print-kms-root': { type: 'boolean' } } });
  if (!values['kms-root-key'] && !values.seed) throw new Error('--kms-root-key or --seed is required');
  if (values.fault && !(values.fault.split('@')[0] in FAULTS))
    throw new Error(`--fault is one of ${Object.keys(FAULTS).join(', ')}`);
  return values;
}

function agentOf(values) {
  const rootKey = values['kms-root-key'] ? unhex(values['kms-root-key']) : rootKeyOfSeed(unhex(values.seed));
  if (values['print-kms-root']) return { rootKey };
  if (!values.listen || !values['app-id']) throw new Error('--listen and --app-id are required');
  const appId = unhex(values['app-id']);
  if (appId.length !== 20) throw new Error('--app-id is 20 bytes');
  const identify = (option, what, size) =>
    bytesToHex(values[option] ? unhex(values[option]) : keccak(concatBytes(utf8ToBytes(what), appId)).slice(0, size));
  const info = {
    app_id: bytesToHex(appId),
    instance_id: identify('instance-id', 'instance', 20),
    device_id: identify('device-id', 'device', 32),
    compose_hash: identify('compose-hash', 'compose', 32),
    app_name: 'attestmesh',
    tcb_info: '{}',
  };
  return { rootKey, appId, appKey: appKeyOf(rootKey, appId), info, fault: values.fault };
}

function listen(server, where) {
  const [, host, port] = /^(?:(.*):)?(\d+)$/.exec(where) ?? [];
  if (port) return server.listen(Number(port), host ?? '127.0.0.1');
  try {
    unlinkSync(where);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  return server.listen(where);
}

function main() {
  const values = parseCommandLine();
  const agent = agentOf(values);
  if (values['print-kms-root']) return console.log(addressOf(agent.rootKey));
  const server = listen(createGuestAgent(agent), values.listen);
  server.on('listening', () => {
    const bound = server.address();
    console.log(`guest agent of ${values['app-id']} on ${bound.port ? `${bound.address}:${bound.port}` : bound}`);
  });
  server.on('error', fail);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
}

function fail(error) {
  console.error(`guest-agent: ${error.message}`);
  process.exit(1);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    main();
  } catch (error) {
    fail(error);
  }
}
