// Writes the bindings into a folder and checks that C, TypeScript and the list in the tree say the same.
//   node agree.mjs      prints 0x01, or fails with a sentence
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'bindings-'));
const file = (name) => join(folder, name);
const read = (path) => readFileSync(path, 'utf8');

try {
  execFileSync('node', ['bindings.mjs', '--c', file('abi.h'), '--ts', file('abi.ts'), '--list', file('list.txt')]);
  const [header, module, list] = ['abi.h', 'abi.ts', 'list.txt'].map((name) => read(file(name)));
  if (list !== read('interface.txt')) {
    throw new Error(
      'the compiled contracts are not what interface.txt says. If the change is meant, look at the C and TypeScript ' +
        'that encodes these calls, then run: node bindings.mjs --list interface.txt',
    );
  }

  const table = module.slice(module.indexOf('export const selectors'));
  for (const [, name, selector] of table.matchAll(/^ {2}(\w+): '(0x[0-9a-f]{8})',$/gm)) {
    if (!header.includes(` ${selector}u\n`)) throw new Error(`the C header lacks ${name} ${selector}`);
    if (!list.includes(` ${selector}\n`)) throw new Error(`interface.txt lacks ${name} ${selector}`);
  }
  for (const [, selector, signature] of header.matchAll(/^ {4}X\((0x[0-9a-f]{8})u, "(.*?)"\)/gm)) {
    if (!list.includes(`error ${signature} ${selector}\n`)) throw new Error(`interface.txt lacks ${signature}`);
  }
  process.stdout.write('0x01');
} finally {
  rmSync(folder, { recursive: true });
}
