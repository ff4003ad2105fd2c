/**
 * One gateway over AF_XDP as a packet forwarder: packets a second through ports and worker with
 * the transform, beside the same with the transform switched off. A generator on one core fills
 * the LAN port, the gateway has the other core, and what leaves the WAN port is dropped as it
 * arrives. Runs alternate, so that both see the same machine.
 *
 *     gen ==veth== lan [gateway] wan ==veth== sink
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  execute,
  inNamespace,
  ipBatch,
  Namespaces,
  whyNoNamespaces,
} from '../../src/lab/namespaces.js';
import { link } from '../../src/lab/topology.js';
import { GENERATOR_MAC, LAN_MAC, LEFT, macText, RIGHT } from '../forwarder-addresses.js';
import {
  type BenchColumn,
  type BenchRow,
  type BenchTable,
  describeMachine,
  median,
  printIfMain,
} from '../table.js';

const ROUNDS = 5;
const SECONDS = 2;
const SIZES = [64, 512, 1400] as const;
const PART = join(dirname(fileURLToPath(import.meta.url)), '../forwarder-part.js');
const CPUS = { source: 0, gateway: 1 } as const;

const COLUMNS: readonly BenchColumn[] = [
  { key: 'bytes', title: 'IP packet', unit: 'bytes', digits: 0 },
  { key: 'encrypted', title: 'encrypting', unit: 'Mpps', digits: 3 },
  { key: 'encryptedLost', title: 'lost', unit: '%', digits: 1 },
  { key: 'plain', title: 'plain forwarder', unit: 'Mpps', digits: 3 },
  { key: 'plainLost', title: 'lost', unit: '%', digits: 1 },
  { key: 'ratio', title: 'ratio', digits: 2 },
];

interface Network {
  readonly outside: string;
  readonly gateway: string;
}

interface Measured {
  readonly packetsPerSecond: number;
  /** Of what arrived. */
  readonly lost: number;
  readonly esp: number;
  readonly modes: readonly string[];
}

function makeNetwork(namespaces: Namespaces): Network {
  const network = { outside: namespaces.add('outside'), gateway: namespaces.add('gateway') };
  link(network.outside, 'gen', network.gateway, 'lan');
  link(network.gateway, 'wan', network.outside, 'sink');
  ipBatch(network.outside, [`link set gen address ${macText(GENERATOR_MAC)}`]);
  ipBatch(network.gateway, [
    `link set lan address ${macText(LAN_MAC)}`,
    `address add ${LEFT.lan}/16 dev lan`,
    `address add ${LEFT.wan}/24 dev wan`,
    `neigh add ${RIGHT.wan} lladdr 02:00:00:00:00:09 dev wan nud permanent`,
    `route add ${RIGHT.network} via ${RIGHT.wan}`,
  ]);
  const drop = `table netdev sink {
    chain in { type filter hook ingress device "sink" priority 0; policy drop; }
  }`;
  execute(inNamespace(network.outside, ['nft', '-f', '-']), drop);
  return network;
}

/** A part in its namespace, and its lines. */
class Part {
  readonly process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(namespace: string, role: string, options: object) {
    const [file, ...args] = inNamespace(namespace, [process.execPath, PART, role]);
    this.process = spawn(file!, [...args, JSON.stringify(options)]);
    this.process.stderr.pipe(process.stderr);
    this.#lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.process.spawnargs.join(' ')} ended early`);
    return value;
  }

  async ended(): Promise<void> {
    if (this.process.exitCode === null) await once(this.process, 'exit');
  }
}

async function measure(network: Network, bytes: number, plain: boolean): Promise<Measured> {
  const options = { plain, seconds: SECONDS, cpu: CPUS.gateway };
  const gateway = new Part(network.gateway, 'gateway', options);
  await gateway.line();
  const source = new Part(network.outside, 'source', { bytes, cpu: CPUS.source });
  await source.line();
  gateway.process.stdin.write('go\n');
  const measured: Measured = JSON.parse(await gateway.line());
  source.process.stdin.end();
  await Promise.all([gateway.ended(), source.ended()]);
  if (plain !== (measured.esp === 0)) {
    throw new Error(`the gateway did not do what was measured: ${JSON.stringify(measured)}`);
  }
  return measured;
}

async function measureSize(network: Network, bytes: number): Promise<BenchRow> {
  const rounds: { encrypted: Measured; plain: Measured }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const plain = await measure(network, bytes, true);
    const encrypted = await measure(network, bytes, false);
    rounds.push({ encrypted, plain });
  }
  const typical = (of: (round: (typeof rounds)[number]) => number) => median(rounds.map(of));
  return {
    bytes,
    encrypted: typical(({ encrypted }) => encrypted.packetsPerSecond / 1e6),
    encryptedLost: typical(({ encrypted }) => encrypted.lost * 100),
    plain: typical(({ plain }) => plain.packetsPerSecond / 1e6),
    plainLost: typical(({ plain }) => plain.lost * 100),
    ratio: typical(({ encrypted, plain }) => encrypted.packetsPerSecond / plain.packetsPerSecond),
  };
}

export async function benchForwarder(): Promise<BenchTable> {
  const reason = whyNoNamespaces();
  const table = {
    name: 'forwarder',
    title: 'One gateway over AF_XDP on veth, LAN to WAN, AES-128-GCM, one SA, 16 flows',
    notes: [
      reason ?? `${ROUNDS} rounds of ${SECONDS} s, medians; the generator has the other core.`,
      'Lost: of what arrived. Where that is next to nothing, more was not to be had of the generator.',
    ],
    machine: describeMachine(),
    columns: COLUMNS,
  };
  if (reason !== undefined) return { ...table, rows: [] };
  const namespaces = new Namespaces();
  try {
    const network = makeNetwork(namespaces);
    const rows: BenchRow[] = [];
    for (const bytes of SIZES) rows.push(await measureSize(network, bytes));
    return { ...table, rows };
  } finally {
    namespaces.remove();
  }
}

await printIfMain(import.meta.url, benchForwarder);
