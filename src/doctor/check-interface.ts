/** One network interface. Pure. */
import { bad, type Finding, note, ok } from './finding.js';
import type { Interface, Machine } from './machine.js';

/** Drivers with AF_XDP in zero-copy mode, and with native XDP only (Linux 6.x). */
const ZERO_COPY = 'bnxt_en ena gve i40e ice igb igc ixgbe mlx5_core stmmac virtio_net'.split(' ');
const NATIVE =
  'atlantic cxgb4 dpaa2 e1000e hv_netvsc ixgbevf mlx4_en mvneta nfp qede sfc tun veth vmxnet3'.split(
    ' ',
  );

/** @param mode  how a running gateway has it, such as `xdp-native-copy` */
export function checkInterface(
  device: Interface,
  machine: Machine,
  workers: number,
  mode: string | undefined,
): Finding[] {
  const about = device.name;
  if (!device.exists) {
    return [
      bad(
        about,
        'there is no such interface',
        'the daemon does not start',
        'ip link; lan and wan of [gateway]',
      ),
    ];
  }
  return [
    device.up
      ? ok(about, `up, MTU ${device.mtu}`)
      : bad(about, 'down', 'no packet passes', `ip link set ${about} up`),
    checkMode(device, mode),
    ...checkQueues(device, workers),
    ...checkRings(device),
    ...checkOffloads(device),
    ...checkVlans(device),
    ...checkHash(device),
    ...checkInterrupts(device, machine),
    ...checkReversePath(about, machine),
  ];
}

function checkMode({ name, driver }: Interface, mode: string | undefined): Finding {
  const about = `${name}: XDP`;
  if (mode !== undefined) {
    if (mode.includes('zero')) return ok(about, `${mode} (${driver})`);
    const better = driver !== undefined && ZERO_COPY.includes(driver);
    const mend = better
      ? 'see the note beside the port in esplane status'
      : 'a card whose driver has zero-copy: i40e, ice, igc, ixgbe, mlx5';
    return note(about, `${mode} (${driver})`, 'each packet is copied once', mend);
  }
  if (driver === undefined)
    return note(
      about,
      'the driver does not tell its name',
      'unknown',
      'esplane run, then esplane status',
    );
  if (ZERO_COPY.includes(driver))
    return ok(about, `${driver} has zero-copy (from some version of Linux on)`);
  if (NATIVE.includes(driver)) {
    return note(
      about,
      `${driver} has native XDP, copying`,
      'each packet is copied once',
      'a card whose driver has zero-copy: i40e, ice, igc, ixgbe, mlx5',
    );
  }
  return note(
    about,
    `${driver} may have no native XDP`,
    'generic mode or TPACKET_V3: a fraction of the packets',
    'a card whose driver has it, such as igc, ixgbe, ice, mlx5',
  );
}

function checkQueues({ name, queues }: Interface, workers: number): Finding[] {
  if (queues === undefined) return [];
  const about = `${name}: queues`;
  const found = `${queues.now} of ${queues.most}, ${workers} workers`;
  if (queues.now >= workers || queues.now === queues.most) return [ok(about, found)];
  const wanted = Math.min(workers, queues.most);
  return [
    note(
      about,
      found,
      'workers without a queue only help the others',
      `ethtool -L ${name} combined ${wanted}`,
    ),
  ];
}

function checkRings({ name, rings }: Interface): Finding[] {
  if (rings === undefined) return [];
  const about = `${name}: rings`;
  const wanted = Math.min(rings.most, 4096);
  if (rings.now >= wanted) return [ok(about, `${rings.now} descriptors`)];
  return [
    note(
      about,
      `${rings.now} of ${rings.most} descriptors`,
      'bursts are lost before we see them',
      `ethtool -G ${name} rx ${wanted} tx ${wanted}`,
    ),
  ];
}

function checkOffloads({ name, offloads }: Interface): Finding[] {
  if (offloads.length === 0) return [ok(`${name}: offloads`, 'nothing merges packets')];
  const switches = offloads.map((offload) =>
    offload === 'rx-gro-hw' ? 'rx-gro-hw off' : 'lro off',
  );
  return [
    bad(
      `${name}: offloads`,
      `${offloads.join(', ')} on`,
      'packets that the card has merged do not fit a frame, and are dropped',
      `ethtool -K ${name} ${switches.join(' ')}`,
    ),
  ];
}

/** A program in the driver leaves tagged frames to the VLAN's own device, if it sees the tag. */
function checkVlans({ name, vlans: { above, stripped } }: Interface): Finding[] {
  if (above.length === 0) return [];
  const about = `${name}: VLANs`;
  const found = `${above.join(', ')} above it`;
  if (!stripped) return [ok(about, `${found}, tags are left in frames`)];
  return [
    bad(
      about,
      `${found}, and the card takes tags out`,
      `what comes by them may be taken for untagged packets of ${name}`,
      `ethtool -K ${name} rxvlan off`,
    ),
  ];
}

/** One queue needs no spreading. */
function checkHash({ name, queues, rss }: Interface): Finding[] {
  if (queues === undefined || queues.now < 2) return [];
  const about = `${name}: RSS`;
  const finding = (flow: string, fields: string, cost: string) => {
    const isSpread = /SPI|port|L4/i.test(fields);
    const found = `${flow} by ${fields === '' ? 'what the driver does not tell' : fields}`;
    if (isSpread) return ok(about, found);
    return note(about, found, cost, `ethtool -N ${name} rx-flow-hash ${flow} sdfn`);
  };
  return [
    finding('esp4', rss.esp, 'all tunnels between two addresses are on one queue'),
    finding('udp4', rss.udp, 'all ESP in UDP between two addresses is on one queue'),
  ];
}

function checkInterrupts({ name, interrupts, numaNode }: Interface, machine: Machine): Finding[] {
  const findings: Finding[] = [];
  const about = `${name}: interrupts`;
  const isWide = interrupts.some((cpus) => /[,-]/.test(cpus));
  if (machine.irqbalance) {
    findings.push(
      note(
        about,
        'irqbalance moves them',
        'a queue and its worker drift apart',
        'systemctl disable --now irqbalance',
      ),
    );
  } else if (isWide && interrupts.length > 1) {
    findings.push(
      note(
        about,
        'not pinned',
        'a queue and its worker may be on different cores',
        'echo CPU > /proc/irq/N/smp_affinity_list, one for each queue',
      ),
    );
  }
  if (numaNode !== undefined && machine.numaNodes > 1) {
    findings.push(
      ok(`${name}: NUMA`, `node ${numaNode}: its workers belong there (cpus of [gateway])`),
    );
  }
  return findings;
}

/** Strict reverse path filtering drops what arrives by another way than the answer would take. */
function checkReversePath(name: string, { sysctl }: Machine): Finding[] {
  const [all, own] = ['all', name].map((one) => Number(sysctl(`ipv4.conf.${one}.rp_filter`) ?? 0));
  const about = `${name}: rp_filter`;
  if (Math.max(all!, own!) !== 1) return [ok(about, 'not strict')];
  const which = all === 1 ? 'all' : name;
  return [
    note(
      about,
      'strict',
      'what the gateway hands back to the kernel may be dropped',
      `sysctl -w net.ipv4.conf.${which}.rp_filter=2`,
    ),
  ];
}
