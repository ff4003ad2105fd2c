/**
 * The network of the in-memory lab: a host at each gateway's LAN port, and a wire between their
 * WAN ports that counts what it carries. All of it runs when the event loop comes by.
 */
import { MemoryHost } from '../dataplane/memory-host.js';
import { datagram, echoReply, echoRequest, type Flow, isEsp, receive } from './memory-packets.js';
import type { WireCounts } from './report.js';
import type { PingResult, TcpResult } from './traffic.js';

const PING_ROUND = 5;
const PING_MILLISECONDS = 200;
const PING_TIMEOUT_MILLISECONDS = 1000;
/** Bulk datagrams on their way at most: fewer than any ring on the way holds. */
const WINDOW = 256;
const DATAGRAM_BYTES = 1400;
/** Datagrams that have not come by then were lost: the window opens again. */
const LOST_MILLISECONDS = 500;
/** At rest, look for frames this often. */
const IDLE_MILLISECONDS = 2;

/** What a host sends and has seen. */
class Host {
  readonly #port: MemoryHost;
  /** Echo requests that wait for their reply, by sequence number. */
  readonly #echoes = new Map<number, (received: boolean) => void>();
  #sequence = 0;
  /** Bulk traffic that arrived here, and the last number in it. */
  dataBytes = 0;
  lastSequence = 0;
  lastArrival = 0;

  constructor(link: string) {
    this.#port = new MemoryHost(link);
  }

  /** The round trip in milliseconds; undefined where no reply came in time. */
  async ping(flow: Flow): Promise<number | undefined> {
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const sequence = this.#sequence;
    const sent = performance.now();
    const answered = new Promise<boolean>((resolve) => {
      this.#echoes.set(sequence, resolve);
      setTimeout(resolve, PING_TIMEOUT_MILLISECONDS, false);
    });
    this.#port.send([echoRequest(flow, sequence)]);
    const received = await answered;
    this.#echoes.delete(sequence);
    return received ? performance.now() - sent : undefined;
  }

  /** How many the port took, from the front. */
  send(frames: readonly Uint8Array[]): number {
    return this.#port.send(frames);
  }

  /** Answers echo requests and counts the rest; the number of frames that had come. */
  poll(): number {
    const frames = this.#port.receive();
    for (const frame of frames) {
      const { kind, sequence, ipBytes } = receive(frame);
      if (kind === 'request') this.#port.send([echoReply(frame)]);
      else if (kind === 'reply') this.#echoes.get(sequence)?.(true);
      else if (kind === 'data') {
        this.dataBytes += ipBytes;
        this.lastSequence = sequence;
        this.lastArrival = performance.now();
      }
    }
    return frames.length;
  }

  close(): void {
    this.#port.close();
  }
}

/** Carries frames from one WAN port to the other, and counts them. */
class Wire {
  readonly #ends: readonly [MemoryHost, MemoryHost];
  readonly counts = { espPackets: 0, clearTextPackets: 0, missed: 0 };

  constructor(links: readonly [string, string]) {
    this.#ends = [new MemoryHost(links[0]), new MemoryHost(links[1])];
  }

  poll(): number {
    const [a, b] = this.#ends;
    return this.#carry(a, b) + this.#carry(b, a);
  }

  #carry(from: MemoryHost, to: MemoryHost): number {
    const frames = from.receive();
    for (const frame of frames) this.counts[isEsp(frame) ? 'espPackets' : 'clearTextPackets']++;
    if (frames.length > 0) to.send(frames);
    return frames.length;
  }

  close(): void {
    for (const end of this.#ends) end.close();
  }
}

export interface MemoryLinks {
  readonly lan: readonly [string, string];
  readonly wan: readonly [string, string];
}

/** Each host's addresses; pings go over both families, from a to b. */
export interface MemoryHosts {
  readonly a: { readonly ipv4: string; readonly ipv6: string };
  readonly b: { readonly ipv4: string; readonly ipv6: string };
}

/** Bulk traffic that is going on. Its flow keeps its order, so the last number says what is lost. */
interface Bulk {
  readonly from: Host;
  readonly to: Host;
  readonly flow: Flow;
  sent: number;
}

export class MemoryLabNetwork {
  readonly #wire: Wire;
  readonly #a: Host;
  readonly #b: Host;
  readonly #addresses: MemoryHosts;
  #bulk: Bulk | undefined;
  #stopped = false;

  constructor(links: MemoryLinks, addresses: MemoryHosts) {
    this.#wire = new Wire(links.wan);
    this.#a = new Host(links.lan[0]);
    this.#b = new Host(links.lan[1]);
    this.#addresses = addresses;
    this.#turn();
  }

  /** @param ikePackets counted where IKE runs, which is not on this wire */
  wire(ikePackets: number): WireCounts {
    return { ...this.#wire.counts, ikePackets };
  }

  /** A second of echo requests from a to b, all answered or given up at its end. */
  async pingRound(family: 'ipv4' | 'ipv6'): Promise<PingResult> {
    const { a, b } = this.#addresses;
    const flow = { source: a[family], destination: b[family] };
    const echoes: Promise<number | undefined>[] = [];
    for (let i = 0; i < PING_ROUND && !this.#stopped; i++) {
      echoes.push(this.#a.ping(flow));
      await turn(PING_MILLISECONDS);
    }
    const times = (await Promise.all(echoes)).filter((time) => time !== undefined);
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    return {
      sent: echoes.length,
      received: times.length,
      ...(times.length === 0 ? {} : { milliseconds: mean }),
    };
  }

  /** Datagrams in one direction, as fast as they arrive. */
  async bulk(direction: 'send' | 'receive', seconds: number): Promise<TcpResult> {
    const { a, b } = this.#addresses;
    const bulk: Bulk =
      direction === 'send'
        ? { from: this.#a, to: this.#b, flow: flowOf(a, b), sent: this.#b.lastSequence }
        : { from: this.#b, to: this.#a, flow: flowOf(b, a), sent: this.#a.lastSequence };
    const before = bulk.to.dataBytes;
    const started = performance.now();
    bulk.to.lastArrival = started;
    this.#bulk = bulk;
    while (performance.now() - started < seconds * 1000 && !this.#stopped) await turn(10);
    this.#bulk = undefined;
    await turn(10);
    const bytes = bulk.to.dataBytes - before;
    const took = (bulk.to.lastArrival - started) / 1000;
    return { bytes, seconds: took, bitsPerSecond: took > 0 ? (bytes * 8) / took : 0 };
  }

  stop(): void {
    this.#stopped = true;
    this.#wire.close();
    this.#a.close();
    this.#b.close();
  }

  #turn(): void {
    if (this.#stopped) return;
    const moved = this.#wire.poll() + this.#a.poll() + this.#b.poll() + this.#fill();
    if (moved > 0) setImmediate(() => this.#turn());
    else setTimeout(() => this.#turn(), IDLE_MILLISECONDS);
  }

  /** Keeps a window of datagrams on their way; gives up those that do not come. */
  #fill(): number {
    const bulk = this.#bulk;
    if (bulk === undefined) return 0;
    const { from, to, flow } = bulk;
    if (performance.now() - to.lastArrival > LOST_MILLISECONDS) {
      to.lastArrival = performance.now();
      bulk.sent = to.lastSequence;
    }
    const frames: Uint8Array[] = [];
    for (let next = bulk.sent + 1; next <= to.lastSequence + WINDOW; next++) {
      frames.push(datagram(flow, DATAGRAM_BYTES, next));
    }
    bulk.sent += from.send(frames);
    return 1;
  }
}

function flowOf(from: { readonly ipv4: string }, to: { readonly ipv4: string }): Flow {
  return { source: from.ipv4, destination: to.ipv4 };
}

const turn = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
