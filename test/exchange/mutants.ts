/**
 * Shows that the simulation can fail: `npm run mutants [LIVES]` breaks one rule after the other in
 * the compiled core, plays some lives, and tells the first seed that finds out. A mutant that
 * nobody finds is an error, and so is a rule that is written otherwise by now.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Summary } from './simulate.js';

interface Mutant {
  readonly name: string;
  /** In `src/ike`. */
  readonly file: string;
  readonly rule: string;
  readonly broken: string;
}

const MUTANTS: readonly Mutant[] = [
  {
    name: 'AUTH of a pre-shared key is not verified',
    file: 'authentication.js',
    rule: 'return equalsSecretly(data, expected) ?',
    broken: 'return true ?',
  },
  {
    name: 'a request is sealed anew when it is sent again',
    file: 'requests.js',
    rule: 'this.#sa.channel.send(request.datagrams,',
    broken:
      'this.#sa.channel.send(this.#encode(request.task, request.messageId, request.payloads),',
  },
  {
    name: 'a responder takes all selectors that are offered',
    file: 'answers/child.js',
    rule: 'const selectors = narrow(peerSelectors(policy), offered);',
    broken: 'const selectors = narrow(peerSelectors(policy), offered) && offered;',
  },
  {
    name: 'a responder sends on a new Child SA at once',
    file: 'answers/child.js',
    rule: 'const standby = core.hasChild(sa.connection.name, policy.name);',
    broken: 'const standby = false;',
  },
  {
    name: 'a replaced Child SA is removed at once',
    file: 'children.js',
    rule: 'this.#core.drain(child.sa.inboundSpi, reason);',
    broken: "this.#core.emit({ type: 'remove-child', inboundSpi: child.sa.inboundSpi, reason });",
  },
  {
    name: 'both sides take the keys of an initiator',
    file: 'child-sa.js',
    rule: "const initiator = role === 'initiator';",
    broken: 'const initiator = true;',
  },
  {
    name: 'of two rekeyings at once both stay',
    file: 'tasks/create-child.js',
    rule: 'nonce < rival.lowestNonce',
    broken: 'false',
  },
];

const here = fileURLToPath(new URL('../../', import.meta.url));
const mutantFolder = `${here}../mutant/`;
const lives = process.argv[2] ?? '400';

function firstFailure({ file, rule, broken, name }: Mutant): string {
  rmSync(mutantFolder, { recursive: true, force: true });
  cpSync(here, mutantFolder, { recursive: true });
  const path = `${mutantFolder}src/ike/${file}`;
  const text = readFileSync(path, 'utf8');
  if (!text.includes(rule)) throw new Error(`${name}: ${file} has no longer "${rule}"`);
  writeFileSync(path, text.replace(rule, broken));
  const program = `${mutantFolder}test/exchange/simulate.js`;
  const output = execFileSync(process.execPath, [program, '1', lives], { encoding: 'utf8' });
  const { problems } = JSON.parse(output) as Summary;
  const [first] = problems;
  if (first === undefined) return 'is not found';
  return `${problems.length} of ${lives} lives find it, such as seed ${first[0]}: ${first[1].split('\n')[0]}`;
}

for (const mutant of MUTANTS) {
  const result = firstFailure(mutant);
  console.log(`${mutant.name}\n  ${result}`);
  if (result === 'is not found') process.exitCode = 1;
}
rmSync(mutantFolder, { recursive: true, force: true });
