/**
 * Gateways over a bad network with a virtual clock: datagrams are lost, duplicated, corrupted and
 * delayed, so that they overtake each other, and lost where they are too long for the path; a
 * gateway may restart, go elsewhere, get another mapping of its NAT, or its clock jump. All of it
 * comes from one seed.
 */

import { describeMessage } from '../../../src/ike/messages/payloads.js';
import type { IkeOptions } from '../../../src/ike/options.js';
import { decodeMessage, HEADER_OCTETS, peekHeader, printMessage } from '../../../src/wire/index.js';
import { type Datagram, Peer, type Side } from './peer.js';
import { Places, sideAt } from './places.js';
import { SeededRandom } from './random.js';

export interface Weather {
  /** Probabilities, for each datagram. */
  readonly loss: number;
  readonly duplication: number;
  /** Of a delay of up to two seconds in place of 10 to 50 ms. */
  readonly reordering: number;
  /** Of a bit that is turned over. */
  readonly corruption: number;
  /** Length of the longest IP datagram that gets through. */
  readonly pathBytes: number;
}

export const FAIR: Weather = {
  loss: 0,
  duplication: 0,
  reordering: 0,
  corruption: 0,
  pathBytes: Number.POSITIVE_INFINITY,
};
export const STORM: Weather = { ...FAIR, loss: 0.2, duplication: 0.2, reordering: 0.2 };

/** Timers that go on without anything being under way, by kind. */
export const BACKGROUND = ['liveness', 'keepalive', 'recheck'];

export function isOfKind(timer: string, kinds: readonly string[]): boolean {
  return kinds.includes(timer.slice(0, timer.indexOf('/')));
}

/** Of IPv4 and UDP, and what is before IKE on port 4500. */
const HEADER_BYTES = 20 + 8;
const MARKER_BYTES = 4;

/** Length of the IP datagram that it goes in. */
export function ipBytes({ data, marker }: Datagram): number {
  return data.length + HEADER_BYTES + (marker ? MARKER_BYTES : 0);
}

interface Flight {
  readonly at: number;
  readonly datagram: Datagram;
}

interface Timer {
  readonly at: number;
  readonly peer: Peer;
  readonly timer: string;
}

/** What happened to a datagram, for the chart of messages. */
export interface ChartEntry {
  readonly at: number;
  readonly from: Side;
  readonly to: Side;
  readonly fate: 'sent' | 'lost' | 'arrives';
  readonly data: Uint8Array;
}

export class Network {
  readonly random: SeededRandom;
  readonly #options: Partial<IkeOptions>;
  readonly #peers = new Map<Side, Peer>();
  /** How far a gateway's clock is before ours. */
  readonly #ahead = new Map<Side, number>();
  /** Told of each datagram that is sent, and that arrives, and of each step that is over. */
  onSent: (datagram: Datagram) => void = () => {};
  onArrival: (to: Peer, data: Uint8Array) => void = () => {};
  onStep: () => void = () => {};
  readonly chart: ChartEntry[] = [];
  readonly places = new Places();
  weather: Weather;
  peers: readonly Peer[] = [];
  now = 0;
  /** Those that arrive at the same time do so in the order in which they were sent. */
  #flights: Flight[] = [];

  constructor(
    seed: number,
    weather: Weather,
    options: Partial<IkeOptions> = {},
    sides: readonly Side[] = ['a', 'b'],
  ) {
    this.random = new SeededRandom(seed);
    this.weather = weather;
    this.#options = options;
    for (const side of sides) this.#make(side);
  }

  #make(side: Side): Peer {
    const peer = new Peer(side, new SeededRandom(this.random.next()), this.#options);
    this.#peers.set(side, peer);
    this.peers = [...this.#peers.values()];
    return peer;
  }

  peer(side: Side): Peer {
    const peer = this.#peers.get(side);
    if (peer === undefined) throw new Error(`there is no gateway ${side}`);
    return peer;
  }

  get a(): Peer {
    return this.peer('a');
  }

  get b(): Peer {
    return this.peer('b');
  }

  /** Lets the network run until nothing is left to happen, or until then. */
  run(until = Number.POSITIVE_INFINITY): void {
    for (let steps = 0; ; steps++) {
      if (steps > 20_000) throw new Error('they never come to rest');
      this.#collect();
      const next = this.#next();
      if (next === undefined || next.at > until) break;
      this.#advance(next.at);
      if ('timer' in next) next.peer.runTimer(next.timer);
      else this.#arrive(next);
      this.onStep();
    }
    if (until < Number.POSITIVE_INFINITY) this.#advance(until);
  }

  /** The gateway loses all that it has, and starts again; what is on its way to it still arrives. */
  restart(side: Side): void {
    const { now } = this.peer(side);
    this.#make(side).now = now;
  }

  /** The gateway's clock goes on by so much at once, as after a suspension. */
  jump(side: Side, milliseconds: number): void {
    this.#ahead.set(side, this.#aheadOf(side) + milliseconds);
    this.peer(side).now += milliseconds;
  }

  /** The gateway is at another address, or at none, and knows it. */
  move(side: Side, address: string | undefined): void {
    this.places.move(side, address);
    const present = address === undefined ? [] : [address];
    this.peer(side).handle({ type: 'addresses', present });
  }

  #aheadOf(side: Side): number {
    return this.#ahead.get(side) ?? 0;
  }

  background: readonly string[] = BACKGROUND;

  /** Nothing is on its way and nobody waits for anything: only background timers run. */
  get isAtRest(): boolean {
    return this.isAtRestBut(this.background);
  }

  /** The same with these timers in the background. */
  isAtRestBut(background: readonly string[]): boolean {
    return this.#flights.length === 0 && this.peers.every((peer) => isIdleBut(background, peer));
  }

  #next(): Flight | Timer | undefined {
    let next: Flight | Timer | undefined;
    for (const flight of this.#flights) {
      if (next === undefined || flight.at < next.at) next = flight;
    }
    for (const peer of this.peers) {
      const timer = peer.nextTimer();
      if (timer === undefined) continue;
      // What a jump of the clock has made late happens now.
      const at = Math.max(this.now, timer.at - this.#aheadOf(peer.name));
      if (next === undefined || at < next.at) next = { at, peer, timer: timer.timer };
    }
    return next;
  }

  #advance(to: number): void {
    this.now = to;
    for (const peer of this.peers) peer.now = to + this.#aheadOf(peer.name);
  }

  /** Takes what was sent and decides its fate. */
  #collect(): void {
    for (const { outbox } of this.peers) {
      if (outbox.length > 0) for (const datagram of outbox.splice(0)) this.#launch(datagram);
    }
  }

  #launch(datagram: Datagram): void {
    const lucky = !this.random.chance(this.weather.loss) && !this.#isTooLong(datagram);
    const left = lucky ? this.places.leaving(datagram) : undefined;
    this.#note(datagram, left === undefined ? 'lost' : 'sent');
    this.onSent(datagram);
    if (left === undefined) return;
    this.#fly(this.random.chance(this.weather.corruption) ? this.#corrupt(left) : left);
    if (this.random.chance(this.weather.duplication)) this.#fly(left);
  }

  #isTooLong(datagram: Datagram): boolean {
    return ipBytes(datagram) > this.weather.pathBytes;
  }

  #corrupt(datagram: Datagram): Datagram {
    const data = datagram.data.slice();
    data[this.random.below(data.length)]! ^= 1 << this.random.below(8);
    return { ...datagram, data };
  }

  #fly(datagram: Datagram): void {
    const slow = this.random.chance(this.weather.reordering);
    const delay = slow ? this.random.below(2000) : 10 + this.random.below(40);
    this.#flights.push({ at: this.now + delay, datagram });
  }

  #arrive(flight: Flight): void {
    this.#flights.splice(this.#flights.indexOf(flight), 1);
    const arriving = this.places.arriving(flight.datagram);
    if (arriving === undefined) return;
    const { local, remote, data } = arriving;
    this.#note(arriving, 'arrives');
    const to = this.peer(sideAt(remote.address));
    this.onArrival(to, data);
    to.handle({ type: 'datagram', local: remote, remote: local, data: data.slice() });
  }

  #note({ local, remote, data }: Datagram, fate: ChartEntry['fate']): void {
    const [from, to] = [sideAt(local.address), sideAt(remote.address)];
    this.chart.push({ at: this.now, from, to, fate, data });
  }
}

function isIdleBut(background: readonly string[], { outbox, timers }: Peer): boolean {
  if (outbox.length > 0) return false;
  for (const timer of timers.keys()) if (!isOfKind(timer, background)) return false;
  return true;
}

/** Such as `IKE_AUTH request 1`. */
function titleOf(data: Uint8Array): string {
  const header = peekHeader(data);
  if (header === undefined) return data.length === 1 ? 'keepalive' : `${data.length} octets`;
  return describeMessage(header.exchangeType, header.response, header.messageId);
}

/** One line of the chart, such as `0.031  a ---> b  IKE_SA_INIT request 0`. */
export function chartLine({ at, from, to, fate, data }: ChartEntry): string {
  const short = fate === 'arrives' || data.length < HEADER_OCTETS;
  const what = short ? titleOf(data) : printMessage(decodeMessage(data));
  const shapes =
    from < to
      ? { sent: ' --->  ', lost: ' -x    ', arrives: '  ---> ' }
      : { sent: '  <--- ', lost: '    x- ', arrives: ' <---  ' };
  const [left, right] = [from, to].sort();
  return `${(at / 1000).toFixed(3).padStart(9)}  ${left}${shapes[fate]}${right}  ${what}`;
}
