/**
 * Two gateways over a bad network with a virtual clock: datagrams are lost, duplicated, corrupted
 * and delayed, so that they overtake each other; a gateway may restart, or its clock jump. All of
 * it comes from one seed.
 */

import type { IkeOptions } from '../../src/ike/options.js';
import { describeMessage } from '../../src/ike/payloads.js';
import { decodeMessage, peekHeader, printMessage } from '../../src/wire/index.js';
import { ADDRESS_A, type Datagram, Peer } from './peer.js';
import { SeededRandom } from './random.js';

export interface Weather {
  /** Probabilities, for each datagram. */
  readonly loss: number;
  readonly duplication: number;
  /** Of a delay of up to two seconds in place of 10 to 50 ms. */
  readonly reordering: number;
  /** Of a bit that is turned over. */
  readonly corruption: number;
}

export const FAIR: Weather = { loss: 0, duplication: 0, reordering: 0, corruption: 0 };
export const STORM: Weather = { loss: 0.2, duplication: 0.2, reordering: 0.2, corruption: 0 };

interface Flight {
  readonly at: number;
  /** Datagrams of the same time arrive in the order in which they were sent. */
  readonly order: number;
  readonly datagram: Datagram;
}

/** What happened to a datagram, for the chart of messages. */
export interface ChartEntry {
  readonly at: number;
  readonly from: 'a' | 'b';
  readonly fate: 'sent' | 'lost' | 'arrives';
  readonly data: Uint8Array;
}

export class Network {
  a: Peer;
  b: Peer;
  readonly random: SeededRandom;
  readonly #options: Partial<IkeOptions>;
  /** How far each gateway's clock is before ours. */
  readonly #ahead = { a: 0, b: 0 };
  /** Told of each datagram that is sent, and of each step that is over. */
  onSent: (datagram: Datagram) => void = () => {};
  onStep: () => void = () => {};
  readonly chart: ChartEntry[] = [];
  weather: Weather;
  now = 0;
  #flights: Flight[] = [];
  #order = 0;

  constructor(seed: number, weather: Weather, options: Partial<IkeOptions> = {}) {
    this.random = new SeededRandom(seed);
    this.weather = weather;
    this.#options = options;
    this.a = new Peer('a', new SeededRandom(this.random.next()), options);
    this.b = new Peer('b', new SeededRandom(this.random.next()), options);
  }

  /** Lets the network run until nothing is left to happen, or until then. */
  run(until = Number.POSITIVE_INFINITY): void {
    for (let steps = 0; ; steps++) {
      if (steps > 20_000) throw new Error('the two never come to rest');
      this.#collect();
      const next = this.#nextEvent();
      if (next === undefined || next.at > until) break;
      this.#advance(next.at);
      next.happen();
      this.onStep();
    }
    if (until < Number.POSITIVE_INFINITY) this.#advance(until);
  }

  /** The gateway loses all that it has, and starts again; what is on its way to it still arrives. */
  restart(side: 'a' | 'b'): void {
    const { now } = this[side];
    this[side] = new Peer(side, new SeededRandom(this.random.next()), this.#options);
    this[side].now = now;
  }

  /** The gateway's clock goes on by so much at once, as after a suspension. */
  jump(side: 'a' | 'b', milliseconds: number): void {
    this.#ahead[side] += milliseconds;
    this[side].now += milliseconds;
  }

  /** Timers that go on without anything being under way, by kind. */
  background: readonly string[] = ['liveness'];

  /** Nothing is on its way and nobody waits for anything: only background timers run. */
  get isAtRest(): boolean {
    const idle = (peer: Peer) =>
      peer.outbox.length === 0 &&
      [...peer.timers.keys()].every((timer) => this.background.includes(timer.split('/', 1)[0]!));
    return this.#flights.length === 0 && idle(this.a) && idle(this.b);
  }

  #nextEvent(): { readonly at: number; readonly happen: () => void } | undefined {
    let next: { at: number; happen: () => void } | undefined;
    const consider = (at: number, happen: () => void): void => {
      if (next === undefined || at < next.at) next = { at, happen };
    };
    const flight = this.#flights.reduce<Flight | undefined>(
      (first, one) =>
        first === undefined || one.at < first.at || (one.at === first.at && one.order < first.order)
          ? one
          : first,
      undefined,
    );
    if (flight !== undefined) consider(flight.at, () => this.#arrive(flight));
    for (const side of ['a', 'b'] as const) {
      const timer = this[side].nextTimer();
      if (timer === undefined) continue;
      // What a jump of the clock has made late happens now.
      const at = Math.max(this.now, timer.at - this.#ahead[side]);
      consider(at, () => this[side].runTimer(timer.timer));
    }
    return next;
  }

  #advance(to: number): void {
    this.now = to;
    this.a.now = to + this.#ahead.a;
    this.b.now = to + this.#ahead.b;
  }

  /** Takes what was sent and decides its fate. */
  #collect(): void {
    for (const peer of [this.a, this.b]) {
      for (const datagram of peer.outbox.splice(0)) this.#launch(datagram);
    }
  }

  #launch(datagram: Datagram): void {
    const lost = this.random.chance(this.weather.loss);
    this.#note(datagram, lost ? 'lost' : 'sent');
    this.onSent(datagram);
    if (lost) return;
    this.#fly(this.random.chance(this.weather.corruption) ? this.#corrupt(datagram) : datagram);
    if (this.random.chance(this.weather.duplication)) this.#fly(datagram);
  }

  #corrupt(datagram: Datagram): Datagram {
    const data = datagram.data.slice();
    data[this.random.below(data.length)]! ^= 1 << this.random.below(8);
    return { ...datagram, data };
  }

  #fly(datagram: Datagram): void {
    const slow = this.random.chance(this.weather.reordering);
    const delay = slow ? this.random.below(2000) : 10 + this.random.below(40);
    this.#flights.push({ at: this.now + delay, order: this.#order++, datagram });
  }

  #arrive(flight: Flight): void {
    this.#flights.splice(this.#flights.indexOf(flight), 1);
    const { local, remote, data } = flight.datagram;
    this.#note(flight.datagram, 'arrives');
    const to = remote.address === ADDRESS_A ? this.a : this.b;
    to.handle({ type: 'datagram', local: remote, remote: local, data: data.slice() });
  }

  #note({ local, data }: Datagram, fate: ChartEntry['fate']): void {
    const from = local.address === ADDRESS_A ? 'a' : 'b';
    this.chart.push({ at: this.now, from, fate, data });
  }
}

/** Such as `IKE_AUTH request 1`. */
function titleOf(data: Uint8Array): string {
  const header = peekHeader(data);
  if (header === undefined) return `${data.length} octets`;
  return describeMessage(header.exchangeType, header.response, header.messageId);
}

/** One line of the chart, such as `0.031  a ---> b  IKE_SA_INIT request 0`. */
export function chartLine({ at, from, fate, data }: ChartEntry): string {
  const what = fate === 'arrives' ? titleOf(data) : printMessage(decodeMessage(data));
  const arrow = { sent: ['a --->  b', 'a  <--- b'], lost: ['a -x     b', 'a     x- b'] };
  const arrives = ['a  ---> b', 'a <---  b'];
  const shape = (fate === 'arrives' ? arrives : arrow[fate])[from === 'a' ? 0 : 1]!;
  return `${(at / 1000).toFixed(3).padStart(9)}  ${shape}  ${what}`;
}
