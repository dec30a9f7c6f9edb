// The simulator against the published vectors: the same keys must give the same signatures, byte for byte.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { bytesToHex } from '@noble/hashes/utils';
import * as guest from './guest-agent.mjs';

const vectors = JSON.parse(readFileSync(new URL('../vectors/core.json', import.meta.url)));
const { registration } = vectors;
const hex = (bytes) => '0x' + bytesToHex(bytes);

// The keys that the vectors were made with; only the derived one is written there.
const key = (number) => guest.unhex(number.toString(16).padStart(64, '0'));
const rootKey = key(0xa11ce), appKey = key(0xb0b);
const derivedKey = guest.unhex(registration.derivedPrivateKey);
const appId = guest.unhex(registration.memberContract);

test('keys are those of the vectors', () => {
  assert.equal(guest.addressOf(rootKey), registration.kmsRoot.toLowerCase());
  assert.equal(hex(guest.publicKeyOf(appKey)), registration.appCompressedPubkey);
  assert.equal(hex(guest.publicKeyOf(derivedKey)), registration.derivedCompressedPubkey);
  assert.equal(guest.addressOf(derivedKey), registration.owner.toLowerCase());
});

test('signature chain is that of the vectors', () => {
  const chain = guest.signatureChain({ rootKey, appId, appKey, derivedKey, purpose: registration.purpose });
  assert.deepEqual(chain.map(hex), [registration.appSignature, registration.kmsSignature]);
});

async function ask(server, path, parameters) {
  const { port } = server.address();
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: JSON.stringify(parameters) });
  return answer.json();
}

test('key depends on the path and not on the purpose', async (t) => {
  const agent = { rootKey, appId, appKey: guest.appKeyOf(rootKey, appId), info: {} };
  const server = guest.createGuestAgent(agent).listen(0, '127.0.0.1');
  t.after(() => (server.close(), server.closeAllConnections()));
  await new Promise((resolve) => server.once('listening', resolve));
  const one = await ask(server, '/GetKey', { path: 'a', purpose: 'x' });
  const two = await ask(server, '/GetKey', { path: 'a', purpose: 'y' });
  const three = await ask(server, '/GetKey', { path: 'b', purpose: 'x' });
  assert.equal(one.key, two.key);
  assert.notEqual(one.key, three.key);
  assert.notEqual(one.signature_chain[0], two.signature_chain[0]);
  assert.equal(one.signature_chain[1], two.signature_chain[1]);
});
