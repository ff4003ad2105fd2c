/**
 * One gateway of a simulation: an IKE core with a SAD, timers and jobs around it. The SAD fails
 * loudly where the core breaks its rules.
 */
import type { RandomBytes } from '../../../src/crypto/key-exchange.js';
import { Secret } from '../../../src/crypto/secret.js';
import type {
  Effect,
  Environment,
  Event,
  IkeSaView,
  IkeSpi,
  Job,
  JobResult,
} from '../../../src/ike/event.js';
import { Ike } from '../../../src/ike/ike.js';
import type { IkeOptions } from '../../../src/ike/options.js';
import type {
  LocalAuthentication,
  RemoteAuthentication,
} from '../../../src/policy/authentication.js';
import {
  type Connection,
  DEFAULT_FRAGMENT_BYTES,
  type Lifetime,
  NO_LIFETIME,
  type Start,
} from '../../../src/policy/connection.js';
import { parseIdentity } from '../../../src/policy/identity.js';
import { DEFAULT_ESP, DEFAULT_IKE, parseProposal } from '../../../src/policy/proposal.js';
import { type ChildSa, type EspSpi, SadFullError } from '../../../src/sad/sad.js';
import { parseSelector } from '../../../src/wire/index.js';
import { realJob } from '../../real-job.js';
import { sharedKey } from '../../shared-key.js';
import type { SeededRandom } from './random.js';

type Of<T extends Effect['type']> = Extract<Effect, { type: T }>;
type WithoutTime<E> = E extends Event ? Omit<E, 'at'> : never;
type WithTime = Event & { at: number };

export type PeerEvent = WithoutTime<Event>;
export type Datagram = Of<'send'>;

/** A Child SA as it was installed, keys in hexadecimal digits. */
export type Installed = Omit<ChildSa, 'inboundKey' | 'outboundKey'> & {
  readonly inboundKey: string;
  readonly outboundKey: string;
};

export class Peer {
  readonly name: Side;
  readonly ike: Ike;
  readonly random: SeededRandom;
  /** By inbound SPI. */
  readonly installed = new Map<EspSpi, Installed>();
  /** The inbound SPIs of each policy's pairs, in the order in which the dataplane would send. */
  readonly outbound = new Map<string, readonly EspSpi[]>();
  readonly reserved = new Set<EspSpi>();
  /** Those that others go before. */
  readonly #standby = new Set<EspSpi>();
  /** When each running timer ends. */
  readonly timers = new Map<string, number>();
  /** Jobs that are under way, if they are not done at once. */
  readonly jobs: Of<'compute'>[] = [];
  readonly outbox: Datagram[] = [];
  readonly failures: Of<'failed'>[] = [];
  readonly probed: Of<'probed'>[] = [];
  readonly established: Of<'ike-established'>[] = [];
  readonly closed: Of<'ike-closed'>[] = [];
  readonly log: string[] = [];
  /** When each line of the log was written. */
  readonly logTimes: number[] = [];
  /** How key exchange is done: as it is, or by a stand-in. */
  runJob: (job: Job, random: RandomBytes) => JobResult = realJob;
  /** Whether jobs wait for `finishJob`. */
  manualJobs = false;
  sadIsFull = false;
  /** Whether anybody reads the log; of errors it always tells. */
  logs = true;
  /** How often the Child SAs, or the order in which they are sent on, have changed. */
  changes = 0;
  now = 0;
  readonly #events: PeerEvent[] = [];
  #busy = false;
  /** As they were after the last event. */
  #ikeSas: readonly IkeSaView[] | undefined;

  constructor(name: Side, random: SeededRandom, options: Partial<IkeOptions> = {}) {
    this.name = name;
    this.random = random;
    this.ike = new Ike(this.#environment(), options);
  }

  #environment(): Environment {
    return {
      random: (count) => this.random.bytes(count),
      allocateIkeSpi: () => {
        const octets = this.random.bytes(8);
        octets[0]! |= 1;
        return Buffer.from(octets).toString('hex') as IkeSpi;
      },
      allocateSpi: () => {
        if (this.sadIsFull) throw new SadFullError('full');
        const spi = (0x1000 + this.random.below(0x7fff0000)) as EspSpi;
        this.reserved.add(spi);
        return spi;
      },
      admitLine: (level) => this.logs || level === 'error',
      releaseSpi: (spi) => {
        if (!this.reserved.delete(spi)) throw new Error(`SPI ${spi} was not reserved`);
      },
    };
  }

  /** Gives the event its time, hands it to the core and applies what comes of it, jobs included. */
  handle(event: PeerEvent): void {
    this.#events.push(event);
    if (this.#busy) return;
    this.#busy = true;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
      const event = next as WithTime;
      event.at = this.now;
      this.#ikeSas = undefined;
      for (const effect of this.ike.handle(event)) this.#apply(effect);
    }
    this.#busy = false;
  }

  #apply(effect: Effect): void {
    switch (effect.type) {
      case 'send':
        this.outbox.push(effect);
        break;
      case 'start-timer':
        this.timers.set(effect.timer, this.now + effect.delay);
        break;
      case 'cancel-timer':
        this.timers.delete(effect.timer);
        break;
      case 'compute':
        this.jobs.push(effect);
        if (!this.manualJobs) this.finishJob();
        break;
      case 'install-child':
        this.#install(effect.sa, effect.standby);
        break;
      case 'prefer-child':
        this.#prefer(effect.inboundSpi);
        break;
      case 'retire-child':
        this.#retire(effect.inboundSpi);
        break;
      case 'move-child': {
        const { inboundSpi, local, remote } = effect;
        this.installed.set(inboundSpi, { ...this.installed.get(inboundSpi)!, local, remote });
        this.changes++;
        break;
      }
      case 'remove-child':
        this.#retire(effect.inboundSpi);
        if (!this.installed.delete(effect.inboundSpi)) throw new Error('no such Child SA');
        this.changes++;
        break;
      case 'ike-established':
        this.established.push(effect);
        break;
      case 'ike-closed':
        this.closed.push(effect);
        break;
      case 'failed':
        this.failures.push(effect);
        break;
      case 'probed':
        this.probed.push(effect);
        break;
      case 'log':
        this.log.push(`${effect.level} ${effect.message}`);
        this.logTimes.push(this.now);
        break;
    }
  }

  #prefer(spi: EspSpi): void {
    this.changes++;
    this.#standby.delete(spi);
    const { policy } = this.installed.get(spi)!;
    const before = this.outbound.get(policy) ?? [];
    if (!before.includes(spi)) throw new Error('a Child SA that is retired is preferred');
    this.outbound.set(policy, [spi, ...before.filter((other) => other !== spi)]);
  }

  #retire(spi: EspSpi): void {
    this.changes++;
    const { policy } = this.installed.get(spi)!;
    const left = (this.outbound.get(policy) ?? []).filter((other) => other !== spi);
    this.outbound.set(policy, left);
  }

  /**
   * The pair that a policy's packets are sent on, by this sender (RFC 9611): its own before the one
   * for all, and that before another's, but none on standby before one that is not.
   */
  sending(policy: string, sender?: number): Installed | undefined {
    let best: Installed | undefined;
    let most = -1;
    for (const spi of this.outbound.get(policy) ?? []) {
      const child = this.installed.get(spi)!;
      const whose = child.resource === sender ? 2 : child.resource === undefined ? 1 : 0;
      const fitness = this.#standby.has(spi) ? whose : whose + 3;
      if (fitness <= most) continue;
      best = child;
      most = fitness;
    }
    return best;
  }

  #install(sa: ChildSa, standby: boolean): void {
    this.changes++;
    if (!this.reserved.delete(sa.inboundSpi)) throw new Error('the SPI was not reserved');
    const { inboundSpi: spi } = sa;
    const [inboundKey, outboundKey] = [take(sa.inboundKey), take(sa.outboundKey)];
    this.installed.set(spi, { ...sa, inboundKey, outboundKey });
    const before = this.outbound.get(sa.policy) ?? [];
    if (standby) this.#standby.add(spi);
    this.outbound.set(sa.policy, standby ? [...before, spi] : [spi, ...before]);
  }

  /** Does the oldest job. */
  finishJob(): void {
    const { id, job } = this.jobs.shift()!;
    const result = this.runJob(job, (count) => this.random.bytes(count));
    this.handle({ type: 'computed', job: id, result });
  }

  /** Runs out the timer that ends first; false where none runs. */
  nextTimer(): { readonly timer: string; readonly at: number } | undefined {
    let first: string | undefined;
    let at = Number.POSITIVE_INFINITY;
    for (const [timer, end] of this.timers) {
      if (end >= at) continue;
      first = timer;
      at = end;
    }
    return first === undefined ? undefined : { timer: first, at };
  }

  runTimer(timer: string): void {
    this.timers.delete(timer);
    this.handle({ type: 'timer', timer });
  }

  /** The core's, which are asked for more often than they change. */
  ikeSas(): readonly IkeSaView[] {
    this.#ikeSas ??= this.ike.ikeSas();
    return this.#ikeSas;
  }

  /** States of all IKE SAs whose connection is known. */
  get states(): string[] {
    return this.ike.ikeSas().map(({ state }) => state);
  }

  /** True where nothing is left: no SA, no SPI, no timer but those of gone SAs. */
  get isClean(): boolean {
    return (
      this.ike.ikeSas().length === 0 &&
      this.installed.size === 0 &&
      this.reserved.size === 0 &&
      this.timers.size === 0 &&
      this.jobs.length === 0
    );
  }
}

function take(secret: Secret): string {
  const { buffer, byteOffset, length } = secret.bytes;
  const digits = Buffer.from(buffer, byteOffset, length).toString('hex');
  secret.wipe();
  return digits;
}

/** The gateways of a simulation; most tests have a and b. */
export const SIDES = ['a', 'b', 'c', 'd'] as const;
export type Side = (typeof SIDES)[number];

export const ADDRESSES: Readonly<Record<Side, string>> = {
  a: '192.0.2.1',
  b: '192.0.2.2',
  c: '192.0.2.3',
  d: '192.0.2.4',
};
export const ADDRESS_A = ADDRESSES.a;
export const ADDRESS_B = ADDRESSES.b;

/** Where a gateway is, who it is, and what it protects. */
function gateway(side: Side) {
  const net = [`10.${SIDES.indexOf(side) + 1}.0.0/16`];
  return { address: ADDRESSES[side], id: `${side}.example.org`, net };
}

/** What is proposed by default, but for what asks for a second key exchange: dialogues are shorter. */
const SINGLE_KEY_EXCHANGE = DEFAULT_IKE.filter((text) => !text.includes('ke1_'));

export const PSK = 'an example key for tests';

/** What a test may say of a connection; the rest is the same everywhere. */
export interface ConnectionOptions {
  readonly name?: string;
  /** The other end; of a it is b, of all others a. */
  readonly peer?: Side;
  readonly psk?: string;
  /** In place of the pre-shared key, on either side. */
  readonly local?: LocalAuthentication;
  readonly remote?: RemoteAuthentication;
  readonly localId?: string;
  readonly remoteId?: string;
  readonly remoteAddress?: string;
  readonly ike?: readonly string[];
  readonly esp?: readonly string[];
  /** In place of ESP. */
  readonly ah?: readonly string[];
  readonly mode?: 'tunnel' | 'transport';
  readonly localSelectors?: readonly string[];
  readonly remoteSelectors?: readonly string[];
  readonly start?: Start;
  readonly livenessSeconds?: number;
  readonly ppk?: { readonly id: string; readonly secret: string; readonly required: boolean };
  readonly mobike?: boolean;
  readonly alternatives?: readonly string[];
  readonly fragmentBytes?: number;
  /** What it offers, and uses where the other offers as much. */
  readonly windowSize?: number;
  readonly forceUdpEncapsulation?: boolean;
  readonly natTraversal?: boolean;
  readonly lifetime?: Lifetime;
  readonly reauthSeconds?: number;
  readonly childless?: boolean;
  readonly replayWindow?: number;
  readonly perResource?: 'auto' | number;
  readonly childLifetime?: Lifetime;
  /** In place of the one Child SA `net`: name and selectors of each, ours first; and its own ESP. */
  readonly children?: Readonly<
    Record<
      string,
      readonly [local: readonly string[], remote: readonly string[], esp?: readonly string[]]
    >
  >;
}

const secretOf = (text: string) => new Secret(new TextEncoder().encode(text));

/** The same object for the same text: nobody changes what a configuration is made of. */
function once<T>(parse: (text: string) => T): (text: string) => T {
  const parsed = new Map<string, T>();
  return (text) => {
    let found = parsed.get(text);
    if (found === undefined) {
      found = parse(text);
      parsed.set(text, found);
    }
    return found;
  };
}

const keyOf = once(sharedKey);
const identityOf = once(parseIdentity);
const selectorOf = once(parseSelector);
const proposalOf = {
  ike: once((text) => parseProposal('ike', text)),
  esp: once((text) => parseProposal('esp', text)),
  ah: once((text) => parseProposal('ah', text)),
};

/** A gateway's connection to another one. */
export function connectionOf(side: Side, options: ConnectionOptions = {}): Connection {
  const own = gateway(side);
  const other = gateway(options.peer ?? (side === 'a' ? 'b' : 'a'));
  const { localSelectors = own.net, remoteSelectors = other.net } = options;
  const net: readonly [readonly string[], readonly string[]] = [localSelectors, remoteSelectors];
  const { children = { net } }: Pick<ConnectionOptions, 'children'> = options;
  const authentication = keyOf(options.psk ?? PSK);
  return {
    name: options.name ?? 'site',
    local: {
      address: own.address,
      alternatives: options.alternatives ?? [],
      identity: identityOf(options.localId ?? own.id),
      authentication: options.local ?? authentication,
    },
    remote: {
      address: options.remoteAddress ?? other.address,
      identity: identityOf(options.remoteId ?? other.id),
      authentication: options.remote ?? authentication,
    },
    ikeProposals: (options.ike ?? SINGLE_KEY_EXCHANGE).map(proposalOf.ike),
    livenessSeconds: options.livenessSeconds ?? 0,
    ppk: options.ppk && { ...options.ppk, secret: secretOf(options.ppk.secret) },
    mobike: options.mobike ?? false,
    fragmentBytes: options.fragmentBytes ?? DEFAULT_FRAGMENT_BYTES,
    windowSize: options.windowSize ?? 1,
    forceUdpEncapsulation: options.forceUdpEncapsulation ?? false,
    natTraversal: options.natTraversal ?? true,
    lifetime: options.lifetime ?? NO_LIFETIME,
    reauthSeconds: options.reauthSeconds ?? 0,
    childless: options.childless ?? false,
    children: Object.entries(children).map(([name, [local, remote, esp = options.esp]]) => ({
      name,
      start: options.start ?? 'wait',
      mode: options.mode ?? 'tunnel',
      localSelectors: local.map(selectorOf),
      remoteSelectors: remote.map(selectorOf),
      proposals: options.ah?.map(proposalOf.ah) ?? (esp ?? DEFAULT_ESP).map(proposalOf.esp),
      replayWindow: options.replayWindow ?? 64,
      ...(options.perResource !== undefined && { perResource: options.perResource }),
      lifetime: options.childLifetime ?? NO_LIFETIME,
    })),
  };
}
