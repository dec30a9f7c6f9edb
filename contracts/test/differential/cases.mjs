// Random and mutated dstack proofs with the verdict of a second implementation, on noble-curves.
//   node cases.mjs SEED COUNT      prints abi.encode(Case[]) as hex; see DifferentialTest
import { secp256k1 } from '@noble/curves/secp256k1';
import { concatHex, encodeAbiParameters, hashMessage, hexToBytes, keccak256, stringToHex, toHex } from 'viem';

const { n: N } = secp256k1.CURVE;
const P = secp256k1.CURVE.p;
const PURPOSE = 'attestmesh.binding.v1';

// Outcomes: SigChainLink, or VALID.
const [LINK_PURPOSE, LINK_DERIVED, LINK_APP, LINK_KMS, VALID] = [0, 1, 2, 3, 255];

// ---- randomness: keccak in counter mode

const [, , seed, count] = process.argv;
let counter = 0;
const random32 = () => keccak256(stringToHex(`${seed}:${counter++}`));
const randomBelow = (limit) => Number(BigInt(random32()) % BigInt(limit));
const pick = (list) => list[randomBelow(list.length)];
const randomKey = () => toHex((BigInt(random32()) % (N - 1n)) + 1n, { size: 32 });
const randomAddress = () => `0x${random32().slice(-40)}`;

// ---- proofs

const compressed = (key) => toHex(secp256k1.getPublicKey(hexToBytes(key), true));
const point = (key) => secp256k1.ProjectivePoint.fromPrivateKey(hexToBytes(key));
const addressOf = (p) => `0x${keccak256(toHex(p.toRawBytes(false).slice(1))).slice(-40)}`;

function sign(key, hash) {
  const signature = secp256k1.sign(hexToBytes(hash), hexToBytes(key), { lowS: true });
  return join(signature.r, signature.s, signature.recovery + pick([0, 27]));
}

const join = (r, s, v) => concatHex([toHex(r, { size: 32 }), toHex(s, { size: 32 }), toHex(v, { size: 1 })]);
const split = (signature) => ({
  r: BigInt(signature.slice(0, 66)),
  s: BigInt(`0x${signature.slice(66, 130)}`),
  v: Number(`0x${signature.slice(130, 132)}`),
});

const derivedHash = (proof) => keccak256(stringToHex(`${proof.purpose}:${proof.derivedCompressedPubkey.slice(2)}`));
const appHash = (proof, appId) =>
  keccak256(concatHex([stringToHex('dstack-kms-issued:'), appId, proof.appCompressedPubkey]));
const messageDigest = (proof) => hashMessage({ raw: proof.messageHash });

function makeProof(keys, appId) {
  const proof = {
    codeId: `${appId}${'0'.repeat(24)}`,
    messageHash: random32(),
    purpose: PURPOSE,
    derivedCompressedPubkey: compressed(keys.derived),
    appCompressedPubkey: compressed(keys.app),
  };
  proof.messageSignature = sign(keys.derived, messageDigest(proof));
  proof.appSignature = sign(keys.app, derivedHash(proof));
  proof.kmsSignature = sign(keys.kms, appHash(proof, appId));
  return proof;
}

// ---- the second implementation

function recover(hash, signature) {
  if (signature.length !== 132) return null;
  const { r, s, v } = split(signature);
  const recovery = v >= 27 ? v - 27 : v;
  if ((v > 1 && v < 27) || recovery > 1 || s > N / 2n) return null;
  try {
    return addressOf(new secp256k1.Signature(r, s).addRecoveryBit(recovery).recoverPublicKey(hexToBytes(hash)));
  } catch {
    return null;
  }
}

function decodeKey(bytes) {
  if (bytes.length !== 68) return null;
  try {
    return addressOf(secp256k1.ProjectivePoint.fromHex(bytes.slice(2)));
  } catch {
    return null;
  }
}

function verify(proof, appId) {
  if (proof.purpose !== PURPOSE) return { outcome: LINK_PURPOSE };
  const derived = decodeKey(proof.derivedCompressedPubkey);
  if (!derived || recover(messageDigest(proof), proof.messageSignature) !== derived) return { outcome: LINK_DERIVED };
  const app = decodeKey(proof.appCompressedPubkey);
  if (!app || recover(derivedHash(proof), proof.appSignature) !== app) return { outcome: LINK_APP };
  const root = recover(appHash(proof, appId), proof.kmsSignature);
  if (!root) return { outcome: LINK_KMS };
  return { outcome: VALID, derived, root };
}

// ---- mutations

const SIGNATURES = ['messageSignature', 'appSignature', 'kmsSignature'];
const PUBKEYS = ['derivedCompressedPubkey', 'appCompressedPubkey'];

// The hash that a signature of the proof is over.
const hashOf = (proof, appId, field) =>
  ({ messageSignature: messageDigest, appSignature: derivedHash, kmsSignature: appHash })[field](proof, appId);

function flipBit(hex, bit) {
  const bytes = hexToBytes(hex);
  bytes[Math.floor(bit / 8) % bytes.length] ^= 1 << bit % 8;
  return toHex(bytes);
}

// A signature for which recovery gives the point at infinity: s * R = hash * G.
function infinitySignature(hash) {
  const k = BigInt(randomKey());
  const R = secp256k1.ProjectivePoint.BASE.multiply(k).toAffine();
  const inverse = modInverse(k);
  let s = ((BigInt(hash) % N) * inverse) % N;
  let v = Number(R.y & 1n);
  if (s > N / 2n) [s, v] = [N - s, v ^ 1];
  return join(R.x % N, s, v);
}

function modInverse(value) {
  let [a, b, x, y] = [value % N, N, 1n, 0n];
  while (a > 1n) {
    const q = a / b;
    [a, b] = [b, a % b];
    [x, y] = [y, x - q * y];
  }
  return ((x % N) + N) % N;
}

function offCurveKey() {
  for (;;) {
    const key = concatHex([pick(['0x02', '0x03']), toHex(BigInt(random32()) % P, { size: 32 })]);
    if (!decodeKey(key)) return key;
  }
}

const MUTATIONS = {
  none: () => {},
  recoveryId(proof) {
    const field = pick(SIGNATURES);
    const { r, s, v } = split(proof[field]);
    proof[field] = join(r, s, v >= 27 ? v - 27 : v + 27);
  },
  otherRecoveryId(proof) {
    const field = pick(SIGNATURES);
    const { r, s } = split(proof[field]);
    proof[field] = join(r, s, pick([0, 1, 2, 3, 26, 27, 28, 29, 30, 35, 127, 255]));
  },
  highS(proof) {
    const field = pick(SIGNATURES);
    const { r, s, v } = split(proof[field]);
    proof[field] = join(r, N - s, v ^ 1);
  },
  oneBit(proof) {
    const field = pick([...SIGNATURES, ...PUBKEYS]);
    proof[field] = flipBit(proof[field], randomBelow(65 * 8));
  },
  length(proof) {
    const field = pick([...SIGNATURES, ...PUBKEYS]);
    proof[field] = pick([
      '0x',
      proof[field].slice(0, -2),
      `${proof[field]}00`,
      `${proof[field]}${proof[field].slice(2)}`,
    ]);
  },
  prefix(proof) {
    const field = pick(PUBKEYS);
    proof[field] = concatHex([pick(['0x00', '0x01', '0x04', '0x05', '0xff']), `0x${proof[field].slice(4)}`]);
  },
  uncompressed(proof, appId, keys) {
    proof.derivedCompressedPubkey = toHex(point(keys.derived).toRawBytes(false));
  },
  offCurve(proof) {
    proof[pick(PUBKEYS)] = offCurveKey();
  },
  beyondField(proof) {
    proof[pick(PUBKEYS)] = concatHex(['0x02', toHex(P + BigInt(randomBelow(900)), { size: 32 })]);
  },
  zeroKey(proof) {
    proof[pick(PUBKEYS)] = `0x${pick(['02', '03', '00'])}${'00'.repeat(32)}`;
  },
  infinity(proof, appId) {
    const field = pick(SIGNATURES);
    proof[field] = infinitySignature(hashOf(proof, appId, field));
  },
  outOfRange(proof) {
    const field = pick(SIGNATURES);
    const { r, s, v } = split(proof[field]);
    proof[field] = pick([join(0n, s, v), join(r, 0n, v), join(N, s, v), join(r, N, v), join(N + 1n, s, v)]);
  },
  otherSigner(proof, appId) {
    const field = pick(SIGNATURES);
    proof[field] = sign(randomKey(), hashOf(proof, appId, field));
  },
  swapped(proof) {
    const [a, b] = [pick(SIGNATURES), pick(SIGNATURES)];
    [proof[a], proof[b]] = [proof[b], proof[a]];
  },
  otherPurpose(proof) {
    proof.purpose = pick(['', 'attestmesh.binding.v2', 'attestmesh.binding.v1 ', 'Attestmesh.binding.v1']);
  },
  otherMessage(proof) {
    proof.messageHash = random32();
  },
  randomBytes(proof) {
    proof[pick([...SIGNATURES, ...PUBKEYS])] = `0x${random32().slice(2)}${random32().slice(2)}`.slice(
      0,
      2 + 2 * randomBelow(65),
    );
  },
};

function makeCase(index) {
  const keys = { derived: randomKey(), app: randomKey(), kms: randomKey() };
  const appId = randomAddress();
  const proof = makeProof(keys, appId);
  const names = Object.keys(MUTATIONS);
  MUTATIONS[names[index % names.length]](proof, appId, keys);
  const asked = randomBelow(20) === 0 ? randomAddress() : appId; // now and then the proof of another app
  const { outcome, derived, root } = verify(proof, asked);
  const nobody = `0x${'00'.repeat(20)}`;
  return { proof, appId: asked, outcome, derivedKey: derived ?? nobody, kmsRoot: root ?? nobody };
}

const bytesField = (name) => ({ name, type: 'bytes' });
const CASES = {
  type: 'tuple[]',
  components: [
    {
      name: 'proof',
      type: 'tuple',
      components: [
        { name: 'codeId', type: 'bytes32' },
        { name: 'messageHash', type: 'bytes32' },
        ...[...SIGNATURES, ...PUBKEYS].map(bytesField),
        { name: 'purpose', type: 'string' },
      ],
    },
    { name: 'appId', type: 'address' },
    { name: 'outcome', type: 'uint8' },
    { name: 'derivedKey', type: 'address' },
    { name: 'kmsRoot', type: 'address' },
  ],
};

const cases = Array.from({ length: Number(count) }, (_, index) => makeCase(index));
process.stdout.write(encodeAbiParameters([CASES], [cases]));
