/** A Linux kernel as the matrix' peer: all SAs at once, and the kernel itself answers the pings. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GuestWire } from '../support/guest-wire.js';
import { LinuxKernel } from '../support/linux-kernel.js';
import { type Cell, NETWORKS, OURS, THEIRS } from './cells.js';
import type { MatrixPeer, PeerCounters } from './peer.js';

const OUR_MAC = '02:00:00:00:00:01';
const MODULES = 'cmac xcbc sha512_generic chacha20poly1305 crypto_null';
const SHARED = '/run/matrix';

export class LinuxPeer implements MatrixPeer {
  readonly name = 'linux';
  readonly #wire: GuestWire;
  readonly #kernel: LinuxKernel;
  readonly #folder: string;

  private constructor(wire: GuestWire, kernel: LinuxKernel, folder: string) {
    this.#wire = wire;
    this.#kernel = kernel;
    this.#folder = folder;
  }

  /** @param folder for its files; the caller removes it */
  static async start(folder: string): Promise<LinuxPeer> {
    const shared = join(folder, 'shared');
    mkdirSync(shared, { recursive: true });
    const wire = await GuestWire.open();
    const kernel = await LinuxKernel.boot({ wire, folder });
    const peer = new LinuxPeer(wire, kernel, shared);
    await kernel.share(shared, SHARED);
    await kernel.run(NETWORK);
    await peer.#openEncapsulationSockets();
    return peer;
  }

  /** In place of those before: every one more makes the guest's counters slower to read. */
  async install(cells: readonly Cell[]): Promise<Map<Cell, string>> {
    const lines = cells.flatMap(xfrmLines).map((line) => `${line}\n`);
    writeFileSync(join(this.#folder, 'xfrm'), lines.join(''));
    await this.#kernel.run('ip xfrm state flush; ip xfrm policy flush');
    const { code, output } = await this.#kernel.exec(`ip -batch ${SHARED}/xfrm`, 60);
    return new Map(code === 0 ? [] : cells.map((cell) => [cell, output.trim()]));
  }

  send(frame: Uint8Array): void {
    this.#wire.send(frame);
  }

  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#wire.onFrame(listener);
  }

  async counters(cells: readonly Cell[]): Promise<Map<Cell, PeerCounters>> {
    const bySpi = new Map<string, { packets: number; failures: number }>();
    for (const line of (await this.#kernel.run(STATE_COUNTERS, 60)).trim().split('\n')) {
      const [destination, spi, packets, failures] = line.split(' ');
      bySpi.set(`${destination} ${Number(spi)}`, {
        packets: Number(packets),
        failures: Number(failures),
      });
    }
    const counters = new Map<Cell, PeerCounters>();
    for (const cell of cells) {
      const inbound = bySpi.get(`${cell.theirs} ${cell.theirSpi}`);
      const outbound = bySpi.get(`${cell.ours} ${cell.ourSpi}`);
      if (inbound === undefined || outbound === undefined) continue;
      counters.set(cell, {
        received: inbound.packets,
        sent: outbound.packets,
        failures: inbound.failures + outbound.failures,
      });
    }
    return counters;
  }

  /** Runs a script in the guest. */
  run(script: string): Promise<string> {
    return this.#kernel.run(script);
  }

  async errors(): Promise<string> {
    return (await this.#kernel.run("awk '$2 > 0' /proc/net/xfrm_stat")).trim();
  }

  async stop(): Promise<void> {
    await this.#kernel.stop();
    this.#wire.close();
  }

  /** The kernel takes ESP out of UDP where a socket with UDP_ENCAP is (udp(7)). */
  async #openEncapsulationSockets(): Promise<void> {
    writeFileSync(join(this.#folder, 'encapsulation.py'), ENCAPSULATION);
    await this.#kernel.run(
      `setsid python3 ${SHARED}/encapsulation.py >/run/encapsulation.log 2>&1 </dev/null &\n` +
        'for i in $(seq 100); do grep -q ready /run/encapsulation.log && exit 0; sleep 0.05; done\n' +
        'cat /run/encapsulation.log; exit 1',
    );
  }
}

/** Every address behind the peer is one of its own (a route of type `local`). */
const NETWORK = [
  `modprobe -aq ${MODULES}`,
  `ip address add ${THEIRS[4]}/24 dev vec0`,
  `ip address add ${THEIRS[6]}/64 dev vec0 nodad`,
  `ip neighbour replace ${OURS[4]} lladdr ${OUR_MAC} dev vec0 nud permanent`,
  `ip neighbour replace ${OURS[6]} lladdr ${OUR_MAC} dev vec0 nud permanent`,
  `ip route add ${NETWORKS.ours[0]} via ${OURS[4]}`,
  `ip route add ${NETWORKS.ours[1]} via ${OURS[6]}`,
  ...[...NETWORKS.theirs, ...NETWORKS.theirOwn].map((net) => `ip route add local ${net} dev lo`),
].join('\n');

const ENCAPSULATION = `
import signal, socket
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
sockets = []
for family, address in (socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::'):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, 4500))
    s.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
    sockets.append(s)
print('ready', flush=True)
signal.pause()
`;

/** Lines of `ip -batch`: the SAs of both directions, and the policies that ask for them. */
function xfrmLines(cell: Cell): string[] {
  const { mode, outer, udp } = cell.column;
  const { protocol } = cell.transform;
  const shared = `reqid ${cell.index + 1} mode ${mode}`;
  // In transport mode the policy must not be about the datagrams that carry ESP themselves.
  const upper = udp && mode === 'transport' ? `proto ${outer === 4 ? 'icmp' : 'ipv6-icmp'}` : '';
  const state = (from: string, to: string, spi: number, keymat: Buffer): string =>
    `xfrm state add src ${from} dst ${to} proto ${protocol} spi ${spi} ${shared} ` +
    `${cell.transform.linux!(keymat)} ${traits(cell)}`;
  const policy = (direction: string, hosts: readonly [string, string], ends: string): string =>
    `xfrm policy add src ${hosts[0]} dst ${hosts[1]} ${upper} dir ${direction} ` +
    `tmpl ${ends} proto ${protocol} ${shared}`;
  const there = `src ${cell.ours} dst ${cell.theirs}`;
  const back = `src ${cell.theirs} dst ${cell.ours}`;
  return [
    state(cell.ours, cell.theirs, cell.theirSpi, cell.ourKeymat),
    state(cell.theirs, cell.ours, cell.ourSpi, cell.theirKeymat),
    policy('in', [cell.ourHost, cell.theirHost], there),
    policy('out', [cell.theirHost, cell.ourHost], back),
  ];
}

/** What a state has beside its algorithms. */
function traits({ column, transform, lastSequence }: Cell): string {
  const { inner, outer, esn, udp } = column;
  const flags = [
    ...(esn ? ['esn'] : []),
    // RFC 4302 §2.6 has the ICV padded to 32 bits over IPv4; Linux does 64 unless told otherwise.
    ...(transform.protocol === 'ah' && outer === 4 ? ['align4'] : []),
    ...(inner === outer ? [] : ['af-unspec']),
  ];
  return [
    'replay-window 64',
    ...(lastSequence > 0n ? [`replay-seq ${lastSequence} replay-oseq ${lastSequence}`] : []),
    ...(flags.length > 0 ? [`flag ${flags.join(' ')}`] : []),
    ...(udp ? [`encap espinudp 4500 4500 ${outer === 4 ? '0.0.0.0' : '::'}`] : []),
  ].join(' ');
}

/** A line for each state: destination, SPI, packets, failures. */
const STATE_COUNTERS = `ip -s xfrm state | awk '
  /^src / { destination = $4 }
  / spi 0x/ { for (i = 1; i < NF; i++) if ($i == "spi") spi = substr($(i + 1), 1, 10) }
  /^[ \\t]*[0-9]+\\(bytes\\), [0-9]+\\(packets\\)/ { packets = $2 + 0 }
  / replay [0-9]+ failed / { print destination, spi, packets, $2 + $4 + $6 }'`;
