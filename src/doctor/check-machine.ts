/** The machine as a whole: processor, kernel, memory, what a process may do. Pure. */
import type { CpuFeatures } from '../dataplane/bindings/crypto.js';
import { bad, type Finding, note, ok } from './finding.js';
import type { Machine } from './machine.js';

/** What a gateway is to have; from a configuration, or as a new one would have it. */
export interface Needs {
  readonly workers: number;
  readonly frameMemoryBytes: number;
}

const HUGEPAGE_BYTES = 2 * 1024 * 1024;

export function checkMachine(
  machine: Machine,
  features: CpuFeatures,
  kernelInUse: string,
  needs: Needs,
): Finding[] {
  return [
    checkCrypto(features, kernelInUse),
    ...checkCores(machine, needs),
    checkKernel(machine),
    ...checkClock(machine),
    checkHugepages(machine, needs),
    checkLockedMemory(machine, needs),
    checkCapabilities(machine),
    ...checkTools(machine),
    ...checkForwarding(machine),
  ];
}

function checkCrypto({ aesni, vaes, avx512 }: CpuFeatures, inUse: string): Finding {
  const about = 'AES';
  if (!aesni) {
    return bad(
      about,
      'no AES instructions',
      'AES-GCM is computed without them, at a small fraction of the speed',
      'another CPU, or chacha20poly1305 in esp',
    );
  }
  if (vaes) return ok(about, `${inUse}: VAES${avx512 ? ' on 512 bits' : ''}`);
  return note(
    about,
    `${inUse}: AES-NI without VAES`,
    'about twice the cycles for large packets',
    'a CPU with VAES (Ice Lake, Zen 3 or newer), if crypto is the limit',
  );
}

function checkCores(machine: Machine, { workers }: Needs): Finding[] {
  const { cpuCount, threadsPerCore, governor, cpuModel, numaNodes } = machine;
  const found = `${cpuModel}, ${cpuCount} CPUs, ${threadsPerCore} to a core, ${numaNodes} NUMA node(s)`;
  const findings = [ok('CPU', found)];
  if (threadsPerCore > 1 && workers > cpuCount / threadsPerCore) {
    const cores = cpuCount / threadsPerCore;
    findings.push(
      note(
        'workers',
        `${workers} workers on ${cores} cores`,
        'two that share a core do little more than one',
        `workers = ${Math.max(1, cores - 1)} and cpus = [...] of different cores in [gateway]`,
      ),
    );
  } else if (cpuCount > 2 && workers >= cpuCount) {
    findings.push(
      note(
        'workers',
        `${workers} workers, no CPU left for IKE and the kernel`,
        'a busy worker delays IKE, and IKE a worker',
        `workers = ${cpuCount - 1} in [gateway]`,
      ),
    );
  } else {
    findings.push(ok('workers', `${workers}`));
  }
  if (governor !== undefined && governor !== 'performance') {
    findings.push(
      note(
        'frequency',
        `the governor is ${governor}`,
        'cores sleep and slow down between bursts',
        'cpupower frequency-set -g performance',
      ),
    );
  } else {
    findings.push(ok('frequency', governor ?? 'the machine has no say (virtual?)'));
  }
  return findings;
}

function checkKernel({ kernel, sysctl }: Machine): Finding {
  const [major = 0, minor = 0] = kernel.split('.').map(Number);
  if (major < 5 || (major === 5 && minor < 10)) {
    return bad('kernel', `Linux ${kernel}`, 'AF_XDP lacks what we use', 'Linux 5.10 or newer');
  }
  if (sysctl('core.bpf_jit_enable') === '0') {
    return note(
      'kernel',
      'the BPF JIT is off',
      'each packet passes an interpreter',
      'sysctl -w net.core.bpf_jit_enable=1',
    );
  }
  return ok('kernel', `Linux ${kernel}, BPF JIT on`);
}

function checkClock({ clockSource }: Machine): Finding[] {
  if (clockSource === undefined) return [];
  if (clockSource === 'tsc') return [ok('clock', 'tsc')];
  return [
    note(
      'clock',
      `the clock source is ${clockSource}`,
      'each look at the clock is a system call or more',
      'the kernel switched away from tsc: see dmesg, or boot with tsc=reliable',
    ),
  ];
}

function checkHugepages({ hugepagesFree }: Machine, { frameMemoryBytes }: Needs): Finding {
  const needed = Math.ceil(frameMemoryBytes / HUGEPAGE_BYTES);
  const found = `${hugepagesFree} free of 2 MiB, ${needed} needed for the frames`;
  if (hugepagesFree >= needed) return ok('hugepages', found);
  return note(
    'hugepages',
    found,
    'the processor looks up addresses of 4 KiB pages for each packet',
    `sysctl -w vm.nr_hugepages=${needed + 8}`,
  );
}

function checkLockedMemory(machine: Machine, { frameMemoryBytes }: Needs): Finding {
  const { lockedMemory, capabilities } = machine;
  if (capabilities & bit(IPC_LOCK)) return ok('locked memory', 'no limit (CAP_IPC_LOCK)');
  if (lockedMemory >= frameMemoryBytes) return ok('locked memory', 'enough');
  return bad(
    'locked memory',
    `${mebibytes(lockedMemory)} MiB, ${mebibytes(frameMemoryBytes)} MiB needed for the frames`,
    'AF_XDP is refused, TPACKET_V3 takes its place',
    'LimitMEMLOCK=infinity in the unit, ulimit -l unlimited in a shell',
  );
}

const IPC_LOCK = 14;
const NEEDED = { NET_ADMIN: 12, NET_RAW: 13, NET_BIND_SERVICE: 10, BPF: 39, PERFMON: 38 };

const bit = (number: number) => 1n << BigInt(number);
const mebibytes = (bytes: number) => Math.round(bytes / 1024 / 1024);

function checkCapabilities({ capabilities }: Machine): Finding {
  const missing = Object.entries(NEEDED)
    .filter(([, number]) => (capabilities & bit(number)) === 0n)
    .map(([name]) => `CAP_${name}`);
  if (missing.length === 0) return ok('capabilities', 'all that are needed');
  return note(
    'capabilities',
    `this shell lacks ${missing.join(', ')}`,
    'a daemon started from it cannot open its ports',
    'sudo esplane run, or the systemd unit',
  );
}

function checkTools({ nft, ip, ethtool }: Machine): Finding[] {
  return [
    nft
      ? ok('nftables', 'there')
      : bad(
          'nftables',
          'nft is not installed',
          'the daemon does not start: nothing would keep protected traffic from leaving in clear',
          'apt install nftables',
        ),
    ...(ip
      ? []
      : [
          bad(
            'iproute2',
            'ip is not installed',
            'the daemon does not start: what this host itself sends cannot be led into tunnels',
            'apt install iproute2, or route_table = 0 in [gateway]',
          ),
        ]),
    ...(ethtool
      ? []
      : [
          note(
            'ethtool',
            'not installed',
            'queues, rings and RSS cannot be looked at',
            'apt install ethtool',
          ),
        ]),
  ];
}

function checkForwarding({ sysctl }: Machine): Finding[] {
  return (
    [
      ['ipv4.ip_forward', 'IPv4'],
      ['ipv6.conf.all.forwarding', 'IPv6'],
    ] as const
  ).map(([name, family]) =>
    sysctl(name) === '1'
      ? ok('forwarding', `${family} is on`)
      : note(
          'forwarding',
          `net.${name} is ${sysctl(name) ?? 'not there'}`,
          `tunnels work; ${family} that is not protected is not forwarded`,
          `sysctl -w net.${name}=1`,
        ),
  );
}
