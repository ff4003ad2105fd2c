/**
 * A gateway over memory ports, with a peer and a host in our hands that send it everything but
 * what they should: at the WAN port mutated ESP, UDP, fragments and extension headers, replays,
 * clear text, and authentic packets with garbage inside; at the LAN port mutated packets for the
 * tunnel and for elsewhere. SAs come and go meanwhile.
 *
 * After every burst each packet has to have a verdict. What leaves the WAN port has to be ESP that
 * the peer can open, what leaves the LAN port has to be from the tunnel, and the tunnel has to
 * work.
 */
import type { MemoryHost } from '../../src/dataplane/memory-host.js';
import type { EspSpi } from '../../src/sad/sad.js';
import { A, B, childSa, Lone, type TunnelOptions } from '../unit/dataplane/gateways.js';
import { addressBytes, frame, ipPacket, pattern, udp } from '../unit/dataplane/packets.js';
import { type CaseKind, LAN_CASES, WAN_CASES } from './esp-cases.js';
import { EspPeer } from './esp-peer.js';
import { Random } from './random.js';

/** Frames to a port between two looks at what came of them. */
const BURST = 128;
const BURSTS_A_TUNNEL = 24;
const CORPUS_SIZE = 128;
/** Whatever waits for its next hop ends in another verdict too. */
const HELD = 'held';
const PATIENCE_MILLISECONDS = 5_000;
/** Fragments wait for the rest of their datagram, up to so many of a worker (net/reassembler.h). */
const MOST_FRAGMENTS = 1024n;
/** Nothing ends for this long: what has not ended is a fragment that waits. */
const SETTLED_MILLISECONDS = 20;

const TUNNELS: readonly TunnelOptions[] = [
  {},
  { keyBits: 256, esn: true },
  { udpEncapsulation: true },
  { outerV6: true, replayWindow: 4096 },
  { outerV6: true, udpEncapsulation: true, esn: true },
];

export class EspAttack {
  /** Cases by kind; what became of them are the verdicts. */
  readonly kinds = new Map<string, number>();
  tunnels = 0;
  probes = 0;
  readonly #random: Random;
  readonly #lone = new Lone();
  readonly #corpus: Uint8Array[] = [];
  #peers: EspPeer[] = [];
  #retired: EspPeer | undefined;
  #sent = 0n;
  #bursts = 0;
  #ownSpi = 0x2000;

  constructor(seed: number) {
    this.#random = new Random(seed);
    for (const options of TUNNELS) this.#peers.push(this.#newPeer(options));
  }

  get verdicts(): Record<string, number> {
    return this.#lone.gateway.verdicts;
  }

  get icmpErrors(): number {
    return Number(this.#lone.gateway.statistics.icmpErrors);
  }

  stop(): void {
    this.#lone.stop();
  }

  /** Runs about this many cases, and says how many. Throws with the seed's story of what broke. */
  async run(count: number): Promise<number> {
    let done = 0;
    while (done < count) {
      const frames = [this.#burst(WAN_CASES), this.#burst(LAN_CASES)] as const;
      try {
        this.#send(this.#lone.wire, frames[0]);
        this.#send(this.#lone.gateway.host, frames[1]);
        await this.#expectVerdicts();
        this.#drain();
        if (++this.#bursts % 8 === 0) await this.#probe();
        if (this.#bursts % BURSTS_A_TUNNEL === 0) this.#replaceTunnel();
      } catch (error) {
        const story = frames.flat().map((one) => Buffer.from(one).toString('hex'));
        throw new Error(`burst ${this.#bursts}:\n${story.join('\n')}`, { cause: error });
      }
      done += frames[0].length + frames[1].length;
    }
    return done;
  }

  // --- SAs ---------------------------------------------------------------------------------

  #newPeer(options: TunnelOptions): EspPeer {
    const { dataplane } = this.#lone.gateway;
    const inbound = dataplane.allocateSpi();
    const outbound = this.#ownSpi++ as EspSpi;
    dataplane.install(childSa(A, B, { inbound, outbound }, options));
    this.tunnels++;
    return new EspPeer(inbound, outbound, options);
  }

  /** A new SA first, then the old one goes, while its packets may still be under way. */
  #replaceTunnel(): void {
    const [oldest, ...others] = this.#peers;
    this.#peers = [...others, this.#newPeer(oldest!.options)];
    this.#lone.gateway.dataplane.remove(oldest!.spi);
    this.#retired = oldest;
  }

  // --- sending and counting ----------------------------------------------------------------

  #send(host: MemoryHost, frames: readonly Uint8Array[]): void {
    const taken = host.send(frames);
    if (taken !== frames.length) throw new Error(`the port takes ${taken} of ${frames.length}`);
    this.#sent += BigInt(taken);
  }

  /** RX and drops of the port account for what was sent, verdicts for what was received. */
  async #expectVerdicts(): Promise<void> {
    const end = performance.now() + PATIENCE_MILLISECONDS;
    let [last, since] = [-1n, performance.now()];
    for (;;) {
      const found = this.#counted();
      if (found.ended !== last) [last, since] = [found.ended, performance.now()];
      const waiting = found.received - found.ended;
      const isSettled = performance.now() - since > SETTLED_MILLISECONDS;
      if (found.received + found.tooLong === this.#sent) {
        if (waiting === 0n || (isSettled && waiting > 0n && waiting <= MOST_FRAGMENTS)) return;
      }
      if (performance.now() > end) {
        const { received, tooLong, ended } = found;
        const verdicts = JSON.stringify(this.verdicts);
        throw new Error(
          `${this.#sent} sent, ${received} received, ${tooLong} too long, ${ended} ended: ${verdicts}`,
        );
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #counted() {
    const { dataplane } = this.#lone.gateway;
    const tooLong = dataplane.ports().reduce((sum, { rxDropped }) => sum + rxDropped, 0n);
    const { verdicts, workers } = dataplane.statistics();
    const received = workers.reduce((sum, { packets }) => sum + packets, 0n);
    const ended = Object.values(verdicts).reduce((sum, n) => sum + n, 0n) - (verdicts[HELD] ?? 0n);
    return { received, tooLong, ended };
  }

  // --- what comes out ----------------------------------------------------------------------

  #drain(): readonly Uint8Array[] {
    for (const out of this.#lone.wire.receive()) this.#open(out);
    const delivered = this.#lone.gateway.host.receive();
    for (const out of delivered) checkDelivered(out.subarray(14));
    for (const out of this.#lone.gateway.kernel.receive()) checkForKernel(out);
    return delivered;
  }

  /** Only ESP leaves, from us, and the peer can open it. */
  #open(out: Uint8Array): Uint8Array {
    const packet = out.subarray(14);
    const isV4 = packet[0]! >> 4 === 4;
    const headerBytes = isV4 ? 20 : 40;
    const protocol = packet[isV4 ? 9 : 6]!;
    const esp = packet.subarray(headerBytes + (protocol === 17 ? 8 : 0));
    const spi = new DataView(esp.buffer, esp.byteOffset).getUint32(0);
    const peer = this.#peers.find(({ ownSpi }) => ownSpi === spi);
    if (protocol !== 50 && protocol !== 17) throw new Error('something else than ESP leaves');
    if (peer === undefined) throw new Error(`ESP with SPI ${spi.toString(16)} leaves`);
    const inner = peer.open(esp);
    if (!isInside('a', sourceOf(inner))) throw new Error('a source that is none of ours leaves');
    this.#remember(packet);
    return inner;
  }

  #remember(packet: Uint8Array): void {
    if (this.#corpus.length < CORPUS_SIZE) this.#corpus.push(packet.slice());
    else this.#corpus[this.#random.below(CORPUS_SIZE)] = packet.slice();
  }

  /** A good packet each way, over the newest tunnel. */
  async #probe(): Promise<void> {
    const { wire, gateway } = this.#lone;
    const inward = { source: '10.2.0.7', destination: '10.1.0.5' };
    const data = pattern(64, ++this.probes);
    const packet = ipPacket({ ...inward, protocol: 17, payload: udp(inward, [7, 7], data) });
    this.#send(wire, [frame(this.#peers.at(-1)!.seal(packet))]);
    await this.#expectVerdicts();
    const delivered = this.#drain();
    if (!delivered.some((out) => endsWith(out, data))) throw new Error('nothing comes in any more');
    const outward = { source: '10.1.0.5', destination: '10.2.0.7' };
    const back = ipPacket({ ...outward, protocol: 17, payload: udp(outward, [7, 7], data) });
    this.#send(gateway.host, [frame(back)]);
    await this.#expectVerdicts();
    const opened = wire.receive().map((out) => this.#open(out));
    if (!opened.some((inner) => endsWith(inner, data)))
      throw new Error('nothing goes out any more');
  }

  // --- what goes in ------------------------------------------------------------------------

  #burst(kinds: readonly CaseKind[]): Uint8Array[] {
    const random = this.#random;
    const peers = this.#retired === undefined ? this.#peers : [...this.#peers, this.#retired];
    const world = { random, peers, corpus: this.#corpus };
    const total = kinds.reduce((sum, { weight }) => sum + weight, 0);
    return Array.from({ length: BURST }, () => {
      let at = random.below(total);
      const kind = kinds.find(({ weight }) => {
        at -= weight;
        return at < 0;
      })!;
      this.kinds.set(kind.name, (this.kinds.get(kind.name) ?? 0) + 1);
      return kind.make(world);
    });
  }
}

const NETWORKS = { a: prefixes('10.1', '2001:db8:1::'), b: prefixes('10.2', '2001:db8:2::') };
const OWN = ['10.1.0.1', '2001:db8:1::1'].map(addressBytes);

function prefixes(v4: string, v6: string): readonly Uint8Array[] {
  return [addressBytes(`${v4}.0.0`).subarray(0, 2), addressBytes(v6).subarray(0, 6)];
}

function isInside(site: 'a' | 'b', address: Uint8Array): boolean {
  const prefix = NETWORKS[site][address.length === 4 ? 0 : 1]!;
  return prefix.every((octet, i) => address[i] === octet);
}

function sourceOf(packet: Uint8Array): Uint8Array {
  return packet[0]! >> 4 === 4 ? packet.subarray(12, 16) : packet.subarray(8, 24);
}

function destinationOf(packet: Uint8Array): Uint8Array {
  return packet[0]! >> 4 === 4 ? packet.subarray(16, 20) : packet.subarray(24, 40);
}

function isOwn(address: Uint8Array): boolean {
  return OWN.some((own) => Buffer.compare(own, address) === 0);
}

/** What leaves the LAN port came through a tunnel, or is an error of the gateway's. */
function checkDelivered(packet: Uint8Array): void {
  const source = sourceOf(packet);
  if (!isInside('a', destinationOf(packet))) throw new Error('delivered to no host of ours');
  if (!isInside('b', source) && !isOwn(source))
    throw new Error('delivered from outside the tunnel');
}

/** The kernel gets what is for the gateway, and nothing for the network behind it. */
function checkForKernel(packet: Uint8Array): void {
  const destination = destinationOf(packet);
  if (isInside('a', destination) && !isOwn(destination)) {
    throw new Error('the kernel gets clear text for the protected network');
  }
}

function endsWith(packet: Uint8Array, data: Uint8Array): boolean {
  return Buffer.compare(packet.subarray(packet.length - data.length), data) === 0;
}
