#!/usr/bin/env node
// The compiler as forge wants it: an executable that answers --version and --standard-json, here npm's solc.
import { readFileSync } from 'node:fs';
import solc from 'solc';

if (process.argv.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else {
  // forge sends every source along, so no import is ever looked up.
  const answer = solc.compile(readFileSync(0, 'utf8'));
  process.stdout.write(answer);
}
