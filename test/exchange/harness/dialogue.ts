/**
 * Two gateways a and b that talk in order: a test delivers, drops or changes one datagram after
 * the other and looks at both sides in between.
 */
import { expect } from 'vitest';
import type { RekeyWhat } from '../../../src/ike/event.js';
import type { IkeOptions } from '../../../src/ike/options.js';
import { EXCHANGE, nameOf, peekHeader } from '../../../src/wire/index.js';
import { standIn } from '../lives/stand-in.js';
import {
  ADDRESS_A,
  ADDRESS_B,
  type ConnectionOptions,
  connectionOf,
  type Datagram,
  Peer,
} from './peer.js';
import { SeededRandom } from './random.js';

/** What of a Child SA both sides have to know alike. */
const AGREED = [
  ...(['protocol', 'mode', 'encryption', 'keyBits', 'integrity'] as const),
  ...(['esn', 'udpEncapsulation'] as const),
];

export interface DialogueOptions {
  readonly a?: ConnectionOptions;
  readonly b?: ConnectionOptions;
  readonly optionsA?: Partial<IkeOptions>;
  readonly optionsB?: Partial<IkeOptions>;
  readonly seed?: number;
  /** With a stand-in for key exchange, where a test plays many. */
  readonly fast?: boolean;
}

export class Dialogue {
  readonly a: Peer;
  readonly b: Peer;
  now = 0;

  constructor(options: DialogueOptions = {}) {
    const random = new SeededRandom(options.seed ?? 1);
    this.a = new Peer('a', new SeededRandom(random.next()), options.optionsA);
    this.b = new Peer('b', new SeededRandom(random.next()), options.optionsB);
    if (options.fast === true) for (const peer of [this.a, this.b]) peer.runJob = standIn;
    this.a.ike.setConnections([connectionOf('a', options.a)]);
    this.b.ike.setConnections([connectionOf('b', options.b)]);
  }

  /** The next datagram that this gateway has sent, taken off the wire. */
  take(from: Peer): Datagram {
    const datagram = from.outbox.shift();
    if (datagram === undefined) throw new Error(`${from.name} has sent nothing`);
    return datagram;
  }

  /** Hands a datagram to the gateway that it is addressed to; `remote` replaces its source. */
  give(datagram: Datagram, remote = datagram.local): void {
    const to = datagram.remote.address === ADDRESS_B ? this.b : this.a;
    to.handle({ type: 'datagram', local: datagram.remote, remote, data: datagram.data });
  }

  /** Delivers the next datagram of this gateway and says what it was. */
  deliver(from: Peer): string {
    const datagram = this.take(from);
    this.give(datagram);
    return describe(datagram);
  }

  /** Delivers whatever is sent until both are silent. */
  settle(): string[] {
    return this.#settle(100);
  }

  /** The same, and after each datagram both can send what the other can read. */
  settleFlowing(): string[] {
    return this.#settle(40, () => this.expectFlow());
  }

  #settle(most: number, afterEach = () => {}): string[] {
    const story: string[] = [];
    for (let i = 0; i < most; i++) {
      const from = [this.a, this.b].find(({ outbox }) => outbox.length > 0);
      if (from === undefined) return story;
      story.push(`${from.name} ${this.deliver(from)}`);
      afterEach();
    }
    throw new Error('they do not come to an end');
  }

  /** Lets time go by until this one sends, or as long as is said. Returns whether it did. */
  waitToSend(from: Peer, milliseconds: number): boolean {
    const end = this.now + milliseconds;
    while (from.outbox.length === 0 && this.now < end) this.wait(Math.min(100, end - this.now));
    return from.outbox.length > 0;
  }

  /** Lets time go by; timers run out in their order. What is sent stays in the outboxes. */
  wait(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (;;) {
      const due = [this.a, this.b]
        .flatMap((peer) => {
          const timer = peer.nextTimer();
          return timer === undefined ? [] : [{ peer, ...timer }];
        })
        .sort((x, y) => x.at - y.at)[0];
      if (due === undefined || due.at > end) break;
      this.#advance(due.at);
      due.peer.runTimer(due.timer);
    }
    this.#advance(end);
  }

  /** When the next timer ends; undefined where none runs. */
  get nextTimer(): number | undefined {
    const times = [this.a, this.b].flatMap((peer) => peer.nextTimer()?.at ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #advance(to: number): void {
    this.now = to;
    this.a.now = to;
    this.b.now = to;
  }

  initiate(peer: Peer = this.a): void {
    peer.handle({ type: 'initiate', connection: 'site' });
  }

  /** Two gateways whose tunnel is up. */
  static established(options: DialogueOptions = {}): Dialogue {
    const both = new Dialogue(options);
    both.establish();
    return both;
  }

  /** Brings the tunnel up from a, and checks that it is. */
  establish(): void {
    this.initiate();
    this.settle();
    this.expectTunnel();
  }

  /** Asks a gateway to rekey, by a person. */
  rekey(peer: Peer, what: RekeyWhat): void {
    peer.handle({ type: 'rekey', connection: 'site', what });
  }

  /** Lets everything that crosses cross: both send before either receives, so many times. */
  cross(rounds: number): void {
    for (let round = 0; round < rounds; round++) {
      const [fromA, fromB] = [this.a.outbox.splice(0), this.b.outbox.splice(0)];
      for (const datagram of [...fromA, ...fromB]) this.give(datagram);
    }
  }

  /** Both have one IKE SA and one Child SA, with the same keys crosswise. */
  expectTunnel(): void {
    expect(this.a.states).toEqual(['established']);
    expect(this.b.states).toEqual(['established']);
    const [ikeA] = this.a.ike.ikeSas();
    const [ikeB] = this.b.ike.ikeSas();
    expect(ikeA!.initiatorSpi).toBe(ikeB!.initiatorSpi);
    expect(ikeA!.responderSpi).toBe(ikeB!.responderSpi);
    this.expectChildren(1);
  }

  /** Both have so many Child SAs, and those of one are those of the other. */
  expectChildren(count: number): void {
    expect([this.a.installed.size, this.b.installed.size]).toEqual([count, count]);
    for (const childA of this.a.installed.values()) {
      const childB = this.b.installed.get(childA.outboundSpi);
      if (childB === undefined) throw new Error('b has not what a sends on');
      expect(childA.inboundKey).toBe(childB.outboundKey);
      expect(childA.outboundKey).toBe(childB.inboundKey);
      expect(childA.inboundKey).not.toBe(childA.outboundKey);
      expect(childA.inboundSpi).toBe(childB.outboundSpi);
      expect(childA.localSelectors).toEqual(childB.remoteSelectors);
      expect(childA.remoteSelectors).toEqual(childB.localSelectors);
      for (const property of AGREED) expect(childA[property]).toBe(childB[property]);
    }
  }

  /** What each side would send on arrives at the other: no packet of the policy is lost. */
  expectFlow(policy = 'site/net'): void {
    for (const [from, to] of [
      [this.a, this.b],
      [this.b, this.a],
    ] as const) {
      const sending = from.sending(policy);
      if (sending === undefined) throw new Error(`${from.name} has nothing to send on`);
      const receiving = to.installed.get(sending.outboundSpi);
      expect(receiving?.inboundKey, `${from.name} sends what the other reads`).toBe(
        sending.outboundKey,
      );
    }
  }
}

/** Such as `IKE_AUTH request 1`. */
export function describe({ data }: Datagram): string {
  const header = peekHeader(data);
  if (header === undefined) return `${data.length} octets`;
  const { exchangeType, response, messageId } = header;
  return `${nameOf(EXCHANGE, exchangeType)} ${response ? 'response' : 'request'} ${messageId}`;
}

export { ADDRESS_A, ADDRESS_B };
