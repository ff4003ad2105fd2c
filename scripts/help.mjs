// npm run help: every script in one line.
import { readFileSync } from 'node:fs';

/** What each script of package.json does; a test holds the two lists together. */
export const descriptions = {
  start:
    'set up, then run two gateways in a lab on this machine: npm start -- [--duration 10] [--json]',
  test: 'set up, then lint, types and all tests: npm test -- [lint types unit exchange native fuzz interop lab]',
  bench: 'measure crypto kernels, ESP, the pipeline and the lab: npm run bench -- [name] [--json]',
  help: 'this list',
  setup:
    'install the packages, build the addon, compile the TypeScript; nothing where nothing changed',
  build: 'build the addon and compile the TypeScript, unconditionally',
  'build:addon': 'build the addon by node-gyp',
  'build:ts': 'compile src/ to dist/',
  'test:unit': 'unit tests',
  'test:exchange': 'two IKE cores against each other in memory, with loss and reordering',
  'test:lab': 'gateways in network namespaces: start, stop, kill, clear-text control (root)',
  'test:interop': 'against strongSwan and the Linux kernel (root)',
  'test:native': 'native tests under sanitizers: npm run test:native -- [asan|tsan|plain]',
  'fuzz:native': 'the packet path under libFuzzer: npm run fuzz:native -- [target...] [seconds]',
  'fuzz:wire':
    'decode mutated IKE messages: npm run fuzz:wire -- [--count 1000000] [--seconds 600] [--seed 1]',
  'fuzz:ike':
    'attack two IKE cores and their tunnel: npm run fuzz:ike -- [--count 1000000] [--seconds 900] [--seed 1]',
  'fuzz:guided':
    'IKE, led by coverage: npm run fuzz:guided -- [--target sealed|wire] [--seconds 300] [--save]',
  'fuzz:esp':
    'attack a dataplane over memory ports: npm run fuzz:esp -- [--count 1000000] [--seconds 900] [--seed 1]',
  'lab:rekey': '60 Child SAs and 10 IKE SAs rekeyed under 20,000 packets a second each way (root)',
  soak: 'thirty minutes of traffic while cables are pulled, peers killed, keys and addresses changed (root)',
  'lab:flood': '50,000 forged IKE messages a second at a gateway, and a peer that connects (root)',
  'fuzz:lab': 'a million packets of garbage of each kind at two running gateways (root)',
  mutants: 'breaks rules of the IKE core one by one; tells which simulated life finds each',
  lives:
    'play many lives of the IKE simulation: npm run lives -- [--first 1] [--count 100000] [--processes 2]',
  replay: 'play one session of the IKE simulation again: npm run replay -- <seed> [--full] [--log]',
  deb: 'a Debian package of what is built, in build/',
  'deb:test':
    'the Debian package under a real systemd: start, reload, accidents, purge (root, debootstrap)',
  prepack: 'compile src/ before npm pack',
  lint: 'check format and style',
  format: 'format all sources',
};

const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const isMain = process.argv[1]?.endsWith('help.mjs');
if (isMain) {
  for (const name of Object.keys(scripts)) {
    const command = name === 'start' || name === 'test' ? `npm ${name}` : `npm run ${name}`;
    console.log(`${command.padEnd(22)} ${descriptions[name] ?? scripts[name]}`);
  }
}
