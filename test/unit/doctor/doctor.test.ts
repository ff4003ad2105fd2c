import { describe, expect, it } from 'vitest';
import { renderFindings } from '../../../src/cli/doctor.js';
import { checkInterface } from '../../../src/doctor/check-interface.js';
import { checkMachine } from '../../../src/doctor/check-machine.js';
import { checkRoutedFrom } from '../../../src/doctor/check-tunnel-interface.js';
import type { Finding } from '../../../src/doctor/finding.js';
import {
  type Interface,
  type Machine,
  readInterface,
  readMachine,
} from '../../../src/doctor/machine.js';

const ALL = (1n << 41n) - 1n;

const good: Machine = {
  cpuModel: 'a CPU',
  cpuCount: 8,
  threadsPerCore: 1,
  numaNodes: 1,
  governor: 'performance',
  kernel: '6.1.0',
  clockSource: 'tsc',
  hugepagesFree: 512,
  lockedMemory: Number.POSITIVE_INFINITY,
  capabilities: ALL,
  irqbalance: false,
  ethtool: true,
  nft: true,
  ip: true,
  sysctl: (name) => (name.includes('rp_filter') ? '0' : '1'),
};

const features = {
  aesni: true,
  pclmul: true,
  avx: true,
  avx2: true,
  vaes: true,
  vpclmul: true,
  avx512: true,
};
const needs = { workers: 4, frameMemoryBytes: 64 << 20 };

const card: Interface = {
  name: 'wan0',
  exists: true,
  up: true,
  mtu: 1500,
  driver: 'ice',
  numaNode: 0,
  queues: { now: 4, most: 64 },
  rings: { now: 4096, most: 8160 },
  offloads: [],
  joinsSegments: true,
  vlans: { above: [], stripped: true },
  rss: { esp: 'SPI', udp: 'L4 bytes 0 & 1 [TCP/UDP src port]' },
  interrupts: ['0', '1', '2', '3'],
};

/** What is not well, as `level about`, and the cures. */
function complaints(findings: readonly Finding[]) {
  const found = findings.filter(({ level }) => level !== 'ok');
  for (const { cost, mend } of found) expect([cost, mend]).not.toContain(undefined);
  return found.map(({ level, about, mend }) => `${level} ${about}: ${mend}`);
}

const machine = (change: Partial<Machine>, cpu = features) =>
  complaints(checkMachine({ ...good, ...change }, cpu, 'vaes512', needs));
const device = (change: Partial<Interface>, host: Partial<Machine> = {}, mode?: string) =>
  complaints(checkInterface({ ...card, ...change }, { ...good, ...host }, 4, mode));

describe('the doctor', () => {
  it('has nothing to say of a good machine and a good card', () => {
    expect(machine({})).toEqual([]);
    expect(device({})).toEqual([]);
    expect(device({}, {}, 'xdp-native-zerocopy')).toEqual([]);
  });

  it('tells what mends the machine', () => {
    expect(machine({ governor: 'powersave' })).toEqual([
      'note frequency: cpupower frequency-set -g performance',
    ]);
    expect(machine({ hugepagesFree: 3 })).toEqual(['note hugepages: sysctl -w vm.nr_hugepages=40']);
    const few = { lockedMemory: 8 << 20, capabilities: ALL & ~(1n << 14n) };
    expect(machine(few)[0]).toMatch(/^bad locked memory: LimitMEMLOCK=infinity/);
    expect(machine({ capabilities: 0n, lockedMemory: 1e12 })[0]).toMatch(/^note capabilities/);
    expect(machine({ nft: false })).toEqual(['bad nftables: apt install nftables']);
    expect(machine({ threadsPerCore: 2, cpuCount: 4 })[0]).toMatch(
      /^note workers: workers = 1 and/,
    );
    expect(machine({ kernel: '4.19.0' })[0]).toMatch(/^bad kernel/);
    expect(machine({ clockSource: 'hpet' })[0]).toMatch(/^note clock/);
    expect(machine({}, { ...features, aesni: false })[0]).toMatch(/^bad AES/);
    expect(machine({}, { ...features, vaes: false })[0]).toMatch(/^note AES/);
    const off = { sysctl: (name: string) => (name === 'ipv4.ip_forward' ? '0' : '1') };
    expect(machine(off)).toEqual(['note forwarding: sysctl -w net.ipv4.ip_forward=1']);
  });

  it('tells what mends an interface', () => {
    expect(device({ exists: false })[0]).toMatch(/^bad wan0/);
    expect(device({ up: false })).toEqual(['bad wan0: ip link set wan0 up']);
    expect(device({ queues: { now: 1, most: 2 } })).toEqual([
      'note wan0: queues: ethtool -L wan0 combined 2',
    ]);
    expect(device({ rings: { now: 512, most: 8160 } })).toEqual([
      'note wan0: rings: ethtool -G wan0 rx 4096 tx 4096',
    ]);
    expect(device({ offloads: ['large-receive-offload', 'rx-gro-hw'] })).toEqual([
      'bad wan0: offloads: ethtool -K wan0 lro off rx-gro-hw off',
    ]);
    const vlans = { above: ['wan0.100', 'wan0.200'], stripped: true };
    expect(device({ vlans })).toEqual(['bad wan0: VLANs: ethtool -K wan0 rxvlan off']);
    expect(device({ vlans: { ...vlans, stripped: false } })).toEqual([]);
    expect(device({ rss: { esp: 'IP SA, IP DA', udp: card.rss.udp } })).toEqual([
      'note wan0: RSS: ethtool -N wan0 rx-flow-hash esp4 sdfn',
    ]);
    expect(device({ interrupts: ['0-7', '0-7'] })[0]).toMatch(/^note wan0: interrupts: echo CPU/);
    expect(device({}, { irqbalance: true })[0]).toMatch(/systemctl disable --now irqbalance/);
    expect(device({ driver: 'veth' })[0]).toMatch(/^note wan0: XDP/);
    expect(device({}, {}, 'xdp-native-copy')[0]).toMatch(/see the note beside the port/);
    const strict = { sysctl: (name: string) => (name.includes('wan0.rp_filter') ? '1' : '0') };
    expect(device({}, strict)).toEqual([
      'note wan0: rp_filter: sysctl -w net.ipv4.conf.wan0.rp_filter=2',
    ]);
  });

  it('tells of a LAN port that leaves segments for tunnels unjoined', () => {
    const lan = (joinsSegments: boolean | undefined) =>
      complaints(checkRoutedFrom({ ...card, name: 'lan0', joinsSegments }));
    expect(lan(false)[0]).toMatch(/^note lan0: GRO: ethtool -K lan0 gro on/);
    expect(lan(true)).toEqual([]);
    expect(lan(undefined)).toEqual([]);
  });

  it('reads this machine', () => {
    const here = readMachine();
    expect(here.cpuCount).toBeGreaterThan(0);
    expect(here.kernel).toMatch(/^\d+\.\d+/);
    expect(here.sysctl('ipv4.ip_forward')).toMatch(/^[01]$/);
    expect(readInterface('lo')).toMatchObject({ exists: true, mtu: 65_536, driver: undefined });
    expect(readInterface('es-none')).toMatchObject({ exists: false });
  });

  it('shows what is well in a line, and the rest with its cost and cure', () => {
    const text = renderFindings([
      { about: 'clock', level: 'ok', found: 'tsc' },
      { about: 'wan0', level: 'bad', found: 'down', cost: 'all', mend: 'ip link set wan0 up' },
    ]);
    expect(text).toBe(`ok    clock  tsc
BAD   wan0   down
             costs: all
             mends: ip link set wan0 up

1 bad, 0 to note, 1 well
`);
  });
});
