/**
 * The whole lab over AF_XDP: the gateways with encryption beside the same gateways, ports and
 * workers with the transform switched off. Runs alternate, so that both see the same machine.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type BenchColumn,
  type BenchTable,
  describeMachine,
  median,
  printIfMain,
} from '../table.js';

const ROUNDS = 3;
const SECONDS = 8;
// Compiled, this file lies in build/bench/bench/lab.
const PROGRAM = join(fileURLToPath(import.meta.url), '../../../../../dist/cli/main.js');

const COLUMNS: readonly BenchColumn[] = [
  { key: 'direction', title: 'TCP' },
  { key: 'encrypted', title: 'encrypted', unit: 'Mbit/s', digits: 0 },
  { key: 'plain', title: 'plain forwarder', unit: 'Mbit/s', digits: 0 },
  { key: 'ratio', title: 'ratio', digits: 2 },
];

type Flow = 'aToB' | 'bToA';

interface Run {
  readonly ports: Readonly<Record<string, string>>;
  readonly aToB: number;
  readonly bToA: number;
}

/** One run of the lab. Throws with its output where it did not go well. */
function runLab(plain: boolean): Run {
  const options = ['lab', '--json', '--duration', `${SECONDS}`, ...(plain ? ['--plain'] : [])];
  const { stdout, stderr, status } = spawnSync(process.execPath, [PROGRAM, ...options], {
    encoding: 'utf8',
  });
  const report = JSON.parse(stdout.trim().split('\n').at(-1) || '{}');
  if (report.network !== 'namespaces' || report.tcp === undefined || (!plain && status !== 0))
    throw new Error(`the lab did not run as it should (exit ${status}):\n${stdout}${stderr}`);
  return { ports: report.ports, aToB: report.tcp.aToB, bToA: report.tcp.bToA };
}

export async function benchLab(): Promise<BenchTable> {
  const rounds = Array.from({ length: ROUNDS }, () => ({
    plain: runLab(true),
    encrypted: runLab(false),
  }));
  const row = (direction: string, flow: Flow) => ({
    direction,
    encrypted: median(rounds.map(({ encrypted }) => encrypted[flow] / 1e6)),
    plain: median(rounds.map(({ plain }) => plain[flow] / 1e6)),
    ratio: median(rounds.map(({ encrypted, plain }) => encrypted[flow] / plain[flow])),
  });
  const modes = [...new Set(rounds.flatMap(({ encrypted }) => Object.values(encrypted.ports)))];
  return {
    name: 'lab',
    title: 'Two gateways over AF_XDP, one TCP connection between their hosts',
    notes: [
      `Ports: ${modes.join(', ')}; ${ROUNDS} rounds of ${SECONDS} s each way of running, medians.`,
      'Hosts, gateways and the wire share the cores: the ratio says more than the rates.',
    ],
    machine: describeMachine(),
    columns: COLUMNS,
    rows: [row('a -> b', 'aToB'), row('b -> a', 'bToA')],
  };
}

await printIfMain(import.meta.url, benchLab);
