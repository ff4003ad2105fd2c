/** `esplane doctor`: looks at the machine, and says what each finding costs and what mends it. */
import type { Command } from 'commander';
import type { GatewayConfig } from '../config/gateway-config.js';
import { loadConfig } from '../config/load.js';
import { ConfigError } from '../config/problem.js';
import { addon } from '../dataplane/addon.js';
import { checkInterface } from '../doctor/check-interface.js';
import { checkMachine, type Needs } from '../doctor/check-machine.js';
import { checkRoutedFrom, checkTunnelInterface } from '../doctor/check-tunnel-interface.js';
import { numaNodesOf, readCpus, receiveQueuesOf } from '../doctor/cpus.js';
import { bad, type Finding, note } from '../doctor/finding.js';
import {
  physicalInterfaces,
  readInterface,
  readMachine,
  readTunnelInterface,
} from '../doctor/machine.js';
import { tunnelInterfaces } from '../gateway/tunnel-interfaces.js';
import { planWorkers } from '../gateway/worker-plan.js';
import { wipeKeys } from '../policy/authentication.js';
import { readsConfig } from './config-option.js';
import { type DaemonOptions, openClient } from './daemon.js';
import { EXIT_CODES } from './exit.js';

interface DoctorOptions extends DaemonOptions {
  readonly config: string;
}

export function addDoctor(program: Command): void {
  readsConfig(
    program
      .command('doctor')
      .description(
        'look at CPU, kernel, network cards and limits; what each finding costs, and its cure',
      )
      .argument('[interface...]', 'default: those of the configuration, or all with a device'),
  )
    .option('--json', 'print the findings as one JSON object')
    .option('-n, --name <name>', 'name of the gateway, where several run')
    .option('--socket <path>', 'API socket of the gateway')
    .action(doctor);
}

async function doctor(names: readonly string[], options: DoctorOptions): Promise<void> {
  const { config, problem } = readConfig(options.config);
  const needs = needsOf(config);
  const machine = readMachine();
  const modes = await portModes(options);
  const devices = (
    names.length > 0 ? names : (config?.ports.map((p) => p.device) ?? physicalInterfaces())
  ).map(readInterface);
  const tunnels = config === undefined || names.length > 0 ? [] : tunnelInterfaces(config);
  const isLan = (name: string) =>
    config?.ports.some(({ device, role }) => device === name && role === 'lan');
  const findings = [
    ...problem,
    ...checkMachine(machine, addon.cpuFeatures(), addon.gcmKernels().inUse, needs),
    ...devices.flatMap((device) => [
      ...checkInterface(device, machine, needs.workers, modes.get(device.name)),
      ...(tunnels.length > 0 && isLan(device.name) ? checkRoutedFrom(device) : []),
    ]),
    ...tunnels.flatMap((name) => checkTunnelInterface(readTunnelInterface(name), machine)),
  ];
  const text =
    options.json === true ? `${JSON.stringify({ findings })}\n` : renderFindings(findings);
  process.stdout.write(text);
  if (findings.some(({ level }) => level === 'bad')) process.exitCode = EXIT_CODES.failed;
}

/** A machine without a configuration is looked at too. */
function readConfig(path: string): { config: GatewayConfig | undefined; problem: Finding[] } {
  try {
    const config = loadConfig(path, () => {});
    wipeKeys(config.connections);
    return { config, problem: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const isThere = error.problems.some(({ key }) => key !== '');
    const problem = isThere
      ? bad(
          'configuration',
          `${path} has problems`,
          'the daemon does not start',
          `esplane check -c ${path}`,
        )
      : note(
          'configuration',
          `none at ${path}`,
          'looked at as a new gateway would be',
          'esplane doctor -c FILE',
        );
    return { config: undefined, problem: [problem] };
  }
}

function needsOf(config: GatewayConfig | undefined): Needs {
  const devices = config?.ports.map(({ device }) => device) ?? [];
  const wanted = config ?? { workers: 'auto', cpus: 'auto', queueWorkers: undefined };
  const { workers } = planWorkers(wanted, readCpus(), numaNodesOf(devices));
  const queues = Math.max(workers, ...devices.map(receiveQueuesOf));
  const frames = queues * (config?.framesPerQueue ?? 4096);
  return { workers, frameMemoryBytes: frames * (config?.frameBytes ?? 2048) };
}

/** How a gateway that runs has its ports; empty where none does. */
async function portModes(options: DaemonOptions): Promise<Map<string, string>> {
  try {
    const { ports } = await openClient(options).status();
    return new Map(ports.map(({ device, mode }) => [device, mode]));
  } catch {
    return new Map();
  }
}

const MARKS = { ok: 'ok  ', note: 'note', bad: 'BAD ' } as const;

/** What is well in a line each; the others with what they cost and what mends them. */
export function renderFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ about }) => about.length));
  const lines = findings.flatMap(({ about, level, found, cost, mend }) => [
    `${MARKS[level]}  ${about.padEnd(width)}  ${found}`,
    ...(cost === undefined ? [] : [`${' '.repeat(width + 8)}costs: ${cost}`]),
    ...(mend === undefined ? [] : [`${' '.repeat(width + 8)}mends: ${mend}`]),
  ]);
  const count = (level: Finding['level']) => findings.filter((one) => one.level === level).length;
  const summary = `${count('bad')} bad, ${count('note')} to note, ${count('ok')} well`;
  return `${[...lines, '', summary].join('\n')}\n`;
}
