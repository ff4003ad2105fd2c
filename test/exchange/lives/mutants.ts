/**
 * Shows that the simulation can fail: `npm run mutants [LIVES [WORDS]]` breaks one rule after the
 * other in the compiled core, plays some lives, and tells the first seed that finds out. A mutant
 * that nobody finds is an error, and so is a rule that is written otherwise by now. WORDS: only the
 * mutants with these in their names.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Summary } from './lives.js';

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
    file: 'auth/authentication.js',
    rule: 'return equalsSecretly(data, expected) ?',
    broken: 'return true ?',
  },
  {
    name: 'a request is sealed anew when it is sent again',
    file: 'messages/requests.js',
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
    rule: 'const standby = isServed(sa, core, policy);',
    broken: 'const standby = false;',
  },
  {
    name: 'a rekeyed Child SA of one sender is for all',
    file: 'child/resources.js',
    rule: 'return rekeys.group && { ...rekeys.group, ...(peer && { peer }) };',
    broken: 'return rekeys.group && { ...rekeys.group, resource: undefined };',
  },
  {
    name: 'a replaced Child SA is removed at once',
    file: 'child/children.js',
    rule: 'this.#core.drain(child.sa.inboundSpi, reason);',
    broken: "this.#core.emit({ type: 'remove-child', inboundSpi: child.sa.inboundSpi, reason });",
  },
  {
    name: 'both sides take the keys of an initiator',
    file: 'child/child-sa.js',
    rule: "const initiator = role === 'initiator';",
    broken: 'const initiator = true;',
  },
  {
    name: 'of two rekeyings at once both stay',
    file: 'tasks/create-child.js',
    rule: 'nonce < rival.lowestNonce',
    broken: 'false',
  },
  {
    name: 'INITIAL_CONTACT is not heeded',
    file: 'sa/uniqueness.js',
    rule: "return 'other is dead';",
    broken: "return 'both stay';",
  },
  {
    name: 'a PPK that is required is not demanded',
    file: 'auth/ppk.js',
    rule: 'if (ppk?.required)',
    broken: 'if (false)',
  },
  {
    name: 'nobody follows a peer to another mapping of its NAT',
    file: 'path/place.js',
    rule: 'return this.nat.remote && !this.nat.local;',
    broken: 'return false;',
  },
  {
    name: 'Child SAs stay where they were when an end moves',
    file: 'path/place.js',
    rule: 'children.moveTo(this.local, this.remote);',
    broken: 'void 0;',
  },
  {
    name: 'who moves does not tell',
    file: 'path/place.js',
    rule: 'this.#sa.requestFirst(new UpdateAddresses(this.#sa, this.#core));',
    broken: 'void 0;',
  },
  {
    name: 'what the path does not take is sent as it was',
    file: 'messages/channel.js',
    rule: 'if (sent < TRIES_BEFORE_SHRINKING ||',
    broken: 'if (true ||',
  },
  {
    name: 'an answer is forgotten as soon as it is made',
    file: 'messages/window.js',
    rule: 'if (old < this.#nextPeer - this.#offered)',
    broken: 'if (old < this.#nextPeer)',
  },
  {
    name: 'what is answered in a window moves it beyond what is not',
    file: 'messages/window.js',
    rule: 'while (this.#answered.has(this.#nextPeer))',
    broken: 'while (this.#nextPeer <= messageId)',
  },
  {
    name: 'the rekeying of an IKE SA does not wait until it is alone in the window',
    file: 'tasks/task.js',
    rule: 'return alone === true || !BESIDE_OTHERS.has(kind);',
    broken: 'return false;',
  },
  {
    name: 'a Child SA that the peer asks for beside another is for all senders',
    file: 'child/resources.js',
    rule: 'return { resource: leastUsed(sa, core, policy, further), peer };',
    broken: 'return { resource: undefined, peer };',
  },
];

const here = fileURLToPath(new URL('../../../', import.meta.url));
const mutantFolder = `${here}../mutant/`;
const [lives = '1000', words = ''] = process.argv.slice(2);

function firstFailure({ file, rule, broken, name }: Mutant): string {
  rmSync(mutantFolder, { recursive: true, force: true });
  cpSync(here, mutantFolder, { recursive: true });
  const path = `${mutantFolder}src/ike/${file}`;
  const text = readFileSync(path, 'utf8');
  if (!text.includes(rule)) throw new Error(`${name}: ${file} has no longer "${rule}"`);
  writeFileSync(path, text.replace(rule, broken));
  const program = `${mutantFolder}test/exchange/lives/simulate.js`;
  const output = execFileSync(process.execPath, [program, '1', lives, 'stop'], {
    encoding: 'utf8',
  });
  const [first] = (JSON.parse(output) as Summary).problems;
  if (first === undefined) return 'is not found';
  return `seed ${first[0]} finds it: ${first[1].split('\n')[0]}`;
}

for (const mutant of MUTANTS.filter(({ name }) => name.includes(words))) {
  const result = firstFailure(mutant);
  console.log(`${mutant.name}\n  ${result}`);
  if (result === 'is not found') process.exitCode = 1;
}
rmSync(mutantFolder, { recursive: true, force: true });
