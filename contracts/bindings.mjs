#!/usr/bin/env node
// Writes what other languages need of the contracts' ABI, from forge's output, so that nobody types a selector:
//   node bindings.mjs --c FILE.h       selectors, event topics and custom errors as C macros
//   node bindings.mjs --ts FILE.ts     the ABIs as const, for viem, and a table of selectors
//   node bindings.mjs --list FILE.txt  everything as text: interface.txt in the tree, which a test compares
// A file whose content would not change is left alone.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toEventHash, toEventSignature, toFunctionSelector, toFunctionSignature } from 'viem';

const here = dirname(fileURLToPath(import.meta.url));

// In order of precedence, as several share functions (a member contract forwards what the cluster answers).
const CONTRACTS = {
  AttestFacet: 'AttestFacet.sol',
  MessageFacet: 'MessageFacet.sol',
  NetworkFacet: 'NetworkFacet.sol',
  DstackFacet: 'DstackFacet.sol',
  OperatorFacet: 'OperatorFacet.sol',
  ClusterDiamond: 'ClusterDiamond.sol',
  ClusterMember: 'ClusterMember.sol',
  ClusterMemberFactory: 'ClusterMemberFactory.sol',
  ClusterDiamondFactory: 'ClusterDiamondFactory.sol',
  IndexerRegistry: 'IndexerRegistry.sol',
  IEntryPoint: 'IEntryPoint.sol',
};

function fail(sentence) {
  console.error(`bindings: ${sentence}`);
  process.exit(1);
}

function readAbis() {
  return Object.fromEntries(
    Object.entries(CONTRACTS).map(([name, source]) => {
      const path = join(here, 'out', source, `${name}.json`);
      if (!existsSync(path)) fail(`contracts/out/${source}/${name}.json is missing: run \`make contracts\` first`);
      return [name, JSON.parse(readFileSync(path, 'utf8')).abi];
    }),
  );
}

// nodeState -> NODE_STATE, dstack_register -> DSTACK_REGISTER, publishEd25519Key -> PUBLISH_ED25519_KEY
const macroName = (name) =>
  name.replace(/^_+/, '').replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/([A-Z])([A-Z][a-z])/g, '$1_$2').toUpperCase();

// The entries of one type in all contracts, each signature once, as [item, canonical signature].
function entries(abis, type) {
  const bySignature = new Map();
  for (const item of Object.values(abis).flat()) {
    if (item.type !== type) continue;
    const signature = type === 'event' ? toEventSignature(item) : toFunctionSignature(item);
    if (!bySignature.has(signature)) bySignature.set(signature, item);
  }
  return [...bySignature].map(([signature, item]) => [item, signature]);
}

// Overloads keep the plain name for the first and are left out after it.
function firstOfName(list) {
  const names = new Set();
  return list.filter(([item]) => !names.has(macroName(item.name)) && names.add(macroName(item.name)));
}

const errorSelector = (item) => toFunctionSelector({ ...item, type: 'function', outputs: [], stateMutability: 'pure' });
const bytes = (hash) => hash.slice(2).match(/../g).map((byte) => `0x${byte}`).join(', ');

function cHeader(abis) {
  const functions = firstOfName(entries(abis, 'function'));
  const events = firstOfName(entries(abis, 'event'));
  const errors = [];
  for (const item of Object.values(abis).flat().filter(({ type }) => type === 'error')) {
    const signature = toFunctionSignature({ ...item, type: 'function', outputs: [], stateMutability: 'pure' });
    if (!errors.some((error) => error.signature === signature)) errors.push({ signature, selector: errorSelector(item) });
  }
  return [
    '/* Made from the compiled contracts by contracts/bindings.mjs. */',
    '#ifndef CONTRACTS_ABI_H',
    '#define CONTRACTS_ABI_H',
    ...functions.flatMap(([item, signature]) => [
      '',
      `/* ${signature} */`,
      `#define ABI_${macroName(item.name)}_SELECTOR ${toFunctionSelector(item)}u`,
    ]),
    ...events.flatMap(([item, signature]) => [
      '',
      `/* ${signature} */`,
      `#define ABI_${macroName(item.name)}_TOPIC {{${bytes(toEventHash(item))}}}`,
    ]),
    '',
    ...errors.map(({ selector, signature }) => `#define ABI_${macroName(signature.split('(')[0])}_ERROR ${selector}u`),
    '',
    '/* X(selector, signature) for every custom error. */',
    '#define ABI_ERRORS(X) \\',
    errors.map(({ selector, signature }) => `    X(${selector}u, "${signature}")`).join(' \\\n'),
    '',
    '#endif',
    '',
  ].join('\n');
}

const camelName = (name) => name[0].toLowerCase() + name.slice(1);

function tsModule(abis) {
  const selectors = firstOfName(entries(abis, 'function')).map(
    ([item]) => `  ${item.name}: '${toFunctionSelector(item)}',`,
  );
  return [
    '// Made from the compiled contracts by contracts/bindings.mjs.',
    ...Object.entries(abis).map(([name, abi]) => `export const ${camelName(name)}Abi = ${JSON.stringify(abi)} as const;`),
    `export const selectors = {\n${selectors.join('\n')}\n} as const;`,
    '',
  ].join('\n');
}

const list = (types) => (types.length === 0 ? '' : types.map(typeName).join(','));
const typeName = ({ type, components, indexed }) =>
  `${components ? type.replace('tuple', `(${list(components)})`) : type}${indexed ? ' indexed' : ''}`;

// One line per function, event and error, sorted by name: what every language relies on.
function listing(abis) {
  return Object.entries(abis)
    .flatMap(([name, abi]) => [
      `# ${name}`,
      ...abi
        .filter(({ type }) => type === 'function' || type === 'event' || type === 'error')
        .map((item) => {
          const text = `${item.type} ${item.name}(${list(item.inputs)})`;
          if (item.type === 'event') return `${text} ${toEventHash(item)}`;
          if (item.type === 'error') return `${text} ${errorSelector(item)}`;
          const returns = item.outputs.length ? ` returns (${list(item.outputs)})` : '';
          return `${text} ${item.stateMutability}${returns} ${toFunctionSelector(item)}`;
        })
        .sort(),
      '',
    ])
    .join('\n');
}

const writers = { '--c': cHeader, '--ts': tsModule, '--list': listing };
const args = process.argv.slice(2);
if (args.length === 0 || args.length % 2 !== 0) fail('usage: bindings.mjs (--c FILE.h | --ts FILE.ts | --list FILE.txt)...');
const abis = readAbis();
for (let i = 0; i < args.length; i += 2) {
  const write = writers[args[i]] ?? fail(`${args[i]} is no option: --c FILE.h, --ts FILE.ts or --list FILE.txt`);
  const text = write(abis);
  if (!existsSync(args[i + 1]) || readFileSync(args[i + 1], 'utf8') !== text) writeFileSync(args[i + 1], text);
}
