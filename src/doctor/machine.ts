/** What the doctor reads of this machine, from /proc, /sys and ethtool. It changes nothing. */
import { spawnSync } from 'node:child_process';
import { cpus, release } from 'node:os';
import { numbersOf } from './cpus.js';
import { list, read } from './files.js';

export interface Machine {
  readonly cpuModel: string;
  readonly cpuCount: number;
  readonly threadsPerCore: number;
  readonly numaNodes: number;
  /** Of CPU 0; undefined where the machine has none, such as a virtual one. */
  readonly governor: string | undefined;
  readonly kernel: string;
  readonly clockSource: string | undefined;
  readonly hugepagesFree: number;
  /** Bytes, or unlimited; of this process. */
  readonly lockedMemory: number;
  /** Effective capabilities of this process, as a mask. */
  readonly capabilities: bigint;
  readonly irqbalance: boolean;
  readonly ethtool: boolean;
  readonly nft: boolean;
  readonly ip: boolean;
  /** By name, without the `net.` before it. */
  readonly sysctl: (name: string) => string | undefined;
}

/** A network interface; undefined where the driver does not tell. */
export interface Interface {
  readonly name: string;
  readonly exists: boolean;
  readonly up: boolean;
  readonly mtu: number;
  readonly driver: string | undefined;
  readonly numaNode: number | undefined;
  readonly queues: { readonly now: number; readonly most: number } | undefined;
  readonly rings: { readonly now: number; readonly most: number } | undefined;
  /** Offloads that are on and can be switched off. */
  readonly offloads: readonly string[];
  /** GRO: the kernel joins the TCP segments that it receives; undefined: cannot be said or changed. */
  readonly joinsSegments: boolean | undefined;
  /** VLAN devices above it, and whether the card takes their tags out of the frames. */
  readonly vlans: { readonly above: readonly string[]; readonly stripped: boolean };
  /** Fields that RSS hashes, as ethtool words them; empty: none or not told. */
  readonly rss: { readonly esp: string; readonly udp: string };
  /** CPUs that the interrupts of its queues may go to, one list an interrupt. */
  readonly interrupts: readonly string[];
}

/** The interface of a route-based tunnel. */
export interface TunnelInterface {
  readonly name: string;
  readonly exists: boolean;
  /** That lead into it, of both families and all tables, but those of its own addresses. */
  readonly routes: number;
}

export function readMachine(): Machine {
  const cores = cpus();
  const limit = /^Max locked memory\s+(\S+)/m.exec(read('/proc/self/limits') ?? '')?.[1];
  const mask = /^CapEff:\s+(\S+)/m.exec(read('/proc/self/status') ?? '')?.[1];
  return {
    cpuModel: cores[0]?.model ?? 'unknown',
    cpuCount: cores.length,
    threadsPerCore: numbersOf(read(`${CPU0}/topology/thread_siblings_list`) ?? '0').length,
    numaNodes: Math.max(
      1,
      list('/sys/devices/system/node').filter((n) => /^node\d/.test(n)).length,
    ),
    governor: read(`${CPU0}/cpufreq/scaling_governor`),
    kernel: release(),
    clockSource: read('/sys/devices/system/clocksource/clocksource0/current_clocksource'),
    hugepagesFree: Number(/^HugePages_Free:\s+(\d+)/m.exec(read('/proc/meminfo') ?? '')?.[1] ?? 0),
    lockedMemory: limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit ?? 0),
    capabilities: BigInt(`0x${mask ?? '0'}`),
    irqbalance: list('/proc').some((pid) => read(`/proc/${pid}/comm`) === 'irqbalance'),
    ethtool: run('ethtool', '--version') !== undefined,
    nft: run('nft', '--version') !== undefined,
    ip: run('ip', '-Version') !== undefined,
    sysctl: (name) => read(`/proc/sys/net/${name.replaceAll('.', '/')}`),
  };
}

const CPU0 = '/sys/devices/system/cpu/cpu0';

export function readInterface(name: string): Interface {
  const at = (file: string) => read(`/sys/class/net/${name}/${file}`);
  const mtu = at('mtu');
  const node = Number(at('device/numa_node') ?? -1);
  const features = run('ethtool', '-k', name) ?? '';
  return {
    name,
    exists: mtu !== undefined,
    up: at('operstate') !== 'down',
    mtu: Number(mtu ?? 0),
    driver: /^driver: (\S+)/m.exec(run('ethtool', '-i', name) ?? '')?.[1],
    numaNode: node < 0 ? undefined : node,
    queues: nowAndMost(run('ethtool', '-l', name), 'Combined'),
    rings: nowAndMost(run('ethtool', '-g', name), 'RX'),
    offloads: offloadsThatAreOn(features),
    joinsSegments: joinsSegments(features),
    vlans: {
      above: list(`/sys/class/net/${name}`).flatMap((entry) => vlanAbove(entry) ?? []),
      stripped: /^rx-vlan-offload: on/m.test(features),
    },
    rss: { esp: hashFields(name, 'esp4'), udp: hashFields(name, 'udp4') },
    interrupts: list(`/sys/class/net/${name}/device/msi_irqs`).flatMap(
      (irq) => read(`/proc/irq/${irq}/smp_affinity_list`) ?? [],
    ),
  };
}

export function readTunnelInterface(name: string): TunnelInterface {
  const routes = ['-4', '-6'].flatMap((family) =>
    (run('ip', family, 'route', 'show', 'dev', name, 'table', 'all') ?? '')
      .split('\n')
      .filter(
        (line) => line !== '' && !/^(local|broadcast|multicast|fe80:)|proto kernel/.test(line),
      ),
  );
  return {
    name,
    exists: read(`/sys/class/net/${name}/mtu`) !== undefined,
    routes: routes.length,
  };
}

/** Interfaces with a device behind them: those that a gateway might use. */
export function physicalInterfaces(): string[] {
  return list('/sys/class/net').filter((name) => list(`/sys/class/net/${name}/device`).length > 0);
}

/** ethtool lists the maximum first, then what is set. */
function nowAndMost(text: string | undefined, key: string) {
  const values = [...(text ?? '').matchAll(new RegExp(`^${key}:\\s+(\\d+)$`, 'gm'))];
  const [most, now] = values.map(([, value]) => Number(value));
  return most === undefined || now === undefined ? undefined : { now, most };
}

/** The name of the VLAN device that a link of sysfs stands for. */
function vlanAbove(entry: string): string | undefined {
  const [, upper] = /^upper_(.+)$/.exec(entry) ?? [];
  return upper !== undefined && read(`/proc/net/vlan/${upper}`) !== undefined ? upper : undefined;
}

const MERGING = ['large-receive-offload', 'rx-gro-hw'];

function offloadsThatAreOn(text: string): string[] {
  return MERGING.filter((name) => new RegExp(`^${name}: on$`, 'm').test(text));
}

function joinsSegments(text: string): boolean | undefined {
  const found = /^generic-receive-offload: (on|off)$/m.exec(text)?.[1];
  return found === undefined ? undefined : found === 'on';
}

function hashFields(device: string, flow: string): string {
  const [, ...fields] = (run('ethtool', '-n', device, 'rx-flow-hash', flow) ?? '').split('\n');
  return fields
    .map((field) => field.trim())
    .filter((field) => field !== '' && field !== 'None')
    .join(', ');
}

/** Its output; undefined where it is not there or failed. */
function run(command: string, ...args: string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? stdout : undefined;
}
