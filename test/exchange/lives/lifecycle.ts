/**
 * A whole life of tunnels, from a seed: set-up, at least two rekeyings, deletion, with at least
 * one fault. Most lives are just that, of two gateways and one tunnel, mostly with one Child SA. One
 * in twenty is long: what takes more messages is four times as frequent there, and one in four of
 * them has more of all; in some, one gateway has a tunnel with each of two or three others. One life
 * in a hundred has real key exchange and signatures, all others a stand-in.
 *
 * A seed plays the same life again; where signatures are real and random, with other octets.
 */
import type { IkeSaView, RekeyWhat } from '../../../src/ike/event.js';
import { sameEndpoint } from '../../../src/sad/sad.js';
import { BACKGROUND, FAIR, Network, type Weather } from '../harness/network.js';
import { ADDRESSES, type Peer, SIDES, type Side } from '../harness/peer.js';
import { ELSEWHERE } from '../harness/places.js';
import { SeededRandom } from '../harness/random.js';
import { Invariants } from './invariants.js';
import { standIn } from './stand-in.js';
import {
  type End,
  type Mosts,
  oftenIf,
  perResource,
  pickTunnel,
  type Tunnel,
  windowed,
} from './tunnels.js';

/** This part of all lives is long. */
const LONG = 0.05;

/** Timers that go on while a tunnel is as it is to be. */
const SWITCHING = [...BACKGROUND, 'linger', 'child-switch'];

/** Senders of each gateway that may have Child SAs of their own (RFC 9611). */
const RESOURCES = 2;

export const FAULTS = [
  'loss',
  'duplication',
  'reordering',
  'corruption',
  'crossing',
  'clock jump',
  'restart',
  'narrow path',
  'move',
  'rebinding',
] as const;
export type Fault = (typeof FAULTS)[number];

export interface Life {
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly gateways: number;
  /** What was done, in order. */
  readonly story: readonly string[];
  /** Rekeyings that were asked for. */
  readonly rekeyings: number;
  /** What is wrong; undefined: nothing. */
  readonly problem: string | undefined;
  readonly network: Network;
}

/** Plays the session with this seed to its end; `logs`: what the gateways log is wanted. */
export function playLife(seed: number, logs = true): Life {
  const player = new Player(seed, logs);
  let problem: string | undefined;
  try {
    problem = player.play();
  } catch (error) {
    problem = `it throws: ${error instanceof Error ? error.stack : String(error)}`;
  }
  const { faults, story, rekeyings, network } = player;
  const gateways = network.peers.length;
  return { seed, faults, gateways, story, rekeyings, problem, network };
}

class Player {
  readonly faults: readonly Fault[];
  readonly story: string[] = [];
  readonly network: Network;
  rekeyings = 0;
  readonly #dice: SeededRandom;
  readonly #invariants: Invariants;
  readonly #tunnels: readonly Tunnel[];
  /** It may have more than a session has to have. */
  readonly #long: boolean;
  /** It has more of all than most lives. */
  readonly #rich: boolean;
  readonly #flaw: 'key' | 'ppk' | undefined;
  readonly #real: boolean;
  readonly #logs: boolean;
  /** A stream of its own: what else is played stays what it was. */
  readonly #senders: SeededRandom;

  constructor(seed: number, logs: boolean) {
    this.#logs = logs;
    const dice = new SeededRandom(seed);
    this.#dice = dice;
    this.#senders = new SeededRandom(seed ^ 0x9611);
    this.#long = dice.chance(LONG);
    this.#rich = this.#long && dice.chance(0.25);
    this.faults = this.#pickFaults();
    this.#flaw = dice.chance(0.04) ? dice.pick(['key', 'ppk']) : undefined;
    this.#real = seed % 100 === 0;
    const sides = SIDES.slice(0, this.#flaw === undefined && this.#rich ? pickGateways(dice) : 2);
    this.network = new Network(
      dice.next(),
      FAIR,
      { halfOpenTimeout: 60_000, resources: RESOURCES },
      sides,
    );
    this.network.background = [...BACKGROUND, 'linger'];
    const circumstances = {
      long: this.#long,
      flaw: this.#flaw,
      moves: this.#has('move'),
      translated: this.#isTranslated,
      narrow: this.#has('narrow path'),
    };
    const mosts = pickMosts(this.#senders, this.#long);
    const windows = pickWindows(new SeededRandom(seed ^ 0x7296));
    this.#tunnels = sides
      .slice(1)
      .map((side) => perResource(pickTunnel(dice, side, circumstances), mosts))
      .map((tunnel) => windowed(tunnel, windows));
    if (this.#isTranslated) this.#rebind();
    for (const side of sides) this.#configure(side);
    this.#invariants = new Invariants(this.network, this.#tunnels);
  }

  #has(fault: Fault): boolean {
    return this.faults.includes(fault);
  }

  get #isTranslated(): boolean {
    return this.#has('rebinding');
  }

  #configure(side: Side): void {
    const peer = this.network.peer(side);
    if (!this.#real) peer.runJob = standIn;
    peer.logs = this.#logs;
    const ends = this.#tunnels.flatMap((tunnel) => tunnel.ends).filter((end) => end.side === side);
    peer.ike.setConnections(ends.map(({ connection }) => connection));
    if (this.#has('move')) this.network.move(side, ADDRESSES[side]);
  }

  #pickFaults(): Fault[] {
    const first = this.#dice.pick(FAULTS);
    const more = this.#rich ? 0.25 : 0;
    const picked = FAULTS.filter((fault) => fault === first || this.#dice.chance(more));
    // A gateway behind a NAT does not move here: its NAT would have to.
    const excluded = first === 'rebinding' ? 'move' : 'rebinding';
    const both = picked.includes('move') && picked.includes('rebinding');
    return both ? picked.filter((fault) => fault !== excluded) : picked;
  }

  #pickWeather(): Weather {
    // As bad as it may be without thirteen tries of one request coming to nothing now and then.
    const part = (fault: Fault, most: number) =>
      this.#has(fault) ? most * (0.2 + 0.8 * this.#dice.unit()) : 0;
    return {
      loss: part('loss', 0.12),
      duplication: part('duplication', 0.25),
      reordering: part('reordering', 0.25),
      corruption: part('corruption', 0.05),
      pathBytes: this.#has('narrow path') ? 800 + this.#dice.below(460) : FAIR.pathBytes,
    };
  }

  // --- the play ----------------------------------------------------------------------------

  play(): string | undefined {
    this.network.weather = this.#pickWeather();
    if (this.#flaw !== undefined) return this.#playFlaw();
    const failure = this.#setUp() ?? this.#live() ?? this.#restart() ?? this.#takeDown();
    return this.#invariants.broken ?? failure;
  }

  #peer(side: Side): Peer {
    return this.network.peer(side);
  }

  /** One of the gateways, or one end of a tunnel. */
  #anySide(): Side {
    return this.#dice.pick(this.network.peers).name;
  }

  #anyEnd(): End {
    return this.#dice.pick(this.#dice.pick(this.#tunnels).ends);
  }

  #tell(what: string): void {
    this.story.push(`${(this.network.now / 1000).toFixed(3)} ${what}`);
  }

  /** As it is told: `a`, or with several tunnels `a (site-c)`. */
  #nameOf({ side, connection }: End): string {
    return this.#tunnels.length === 1 ? side : `${side} (${connection.name})`;
  }

  #playFlaw(): string | undefined {
    this.#tell(`a initiates, and they do not have the same ${this.#flaw}`);
    this.#peer('a').handle({ type: 'initiate', connection: 'site' });
    this.network.background = BACKGROUND;
    this.#rest();
    const { a, b } = this.network;
    if (a.established.length + b.established.length > 0) return 'there is an IKE SA';
    if (a.failures.length === 0) return 'nobody is told why there is no IKE SA';
    return this.#invariants.broken ?? this.#leftovers();
  }

  /**
   * With a bad network an attempt may come to nothing; then there are others.
   * @param only  the gateway that initiates, where it is no matter of chance
   */
  #setUp(only = this.#onlyInitiator): string | undefined {
    const initiators = this.#tunnels.flatMap(({ ends: [one, other] }) =>
      only === undefined
        ? this.#dice.pick([[one], [one], [other], [one, other]])
        : [one, other].filter(({ side }) => side === only),
    );
    for (let attempt = 0; attempt < 8; attempt++) {
      for (const end of initiators) {
        this.#tell(`${this.#nameOf(end)} initiates`);
        this.#peer(end.side).handle({ type: 'initiate', connection: end.connection.name });
        this.#pause(1_500);
      }
      this.#rest();
      if (this.#isUp()) {
        this.#invariants.flowing = !this.#has('clock jump');
        return undefined;
      }
    }
    return 'the tunnel does not come up';
  }

  /** Who moves has to be the initiator, and nobody finds who is behind a NAT. */
  get #onlyInitiator(): Side | undefined {
    return this.#has('move') || this.#isTranslated ? 'a' : undefined;
  }

  #live(): string | undefined {
    for (const what of this.#pickRekeyings()) {
      this.#acquire();
      this.#rekey(what);
      this.#acquire();
      if (this.#has('move') && this.#dice.chance(0.7)) this.#move();
      if (this.#isTranslated && this.#dice.chance(0.7)) this.#rebind();
      if (this.#has('clock jump') && this.#dice.chance(0.5)) this.#jump();
      this.#pause(2_500);
    }
    if (this.#has('move') && this.network.places.addressOf('a') !== ADDRESSES.a) this.#move();
    if (this.#rich && this.#dice.chance(0.3)) this.#loseChild();
    this.#rest();
    if (!this.#isUp()) return 'the tunnel is not what it was';
    return this.#find();
  }

  /** Now and then a sender wants a Child SA of its own, or the peer's idle one is deleted. */
  #acquire(): void {
    const senders = this.#senders;
    const { side, connection } = senders.pick(senders.pick(this.#tunnels).ends);
    const child = senders.pick(connection.children);
    if (child.perResource === undefined || senders.chance(0.3)) return;
    const peer = this.#peer(side);
    const own = [...peer.installed.values()].find(
      ({ policy, resource }) =>
        resource !== undefined && policy === `${connection.name}/${child.name}`,
    );
    if (own !== undefined && senders.chance(0.2)) {
      this.#tell(`${side} has an idle Child SA of a sender`);
      const { inboundSpi } = own;
      peer.handle({ type: 'expire', inboundSpi, hard: true, cause: 'it is idle' });
      return;
    }
    const resource = senders.below(RESOURCES);
    this.#tell(`sender ${resource} of ${side} wants its own ${child.name}`);
    const { name } = connection;
    peer.handle({ type: 'acquire', connection: name, child: child.name, resource });
  }

  /** From home to elsewhere, or back; now and then a is nowhere in between. */
  #move(): void {
    const { a: home } = ADDRESSES;
    const to = this.network.places.addressOf('a') === home ? ELSEWHERE.a : home;
    if (this.#dice.chance(0.3)) {
      this.#tell('a is nowhere');
      this.network.move('a', undefined);
      this.network.run(this.network.now + this.#dice.below(3_000));
    }
    this.#tell(`a is at ${to}`);
    this.network.move('a', to);
  }

  /** The NAT before a forgets its mappings; where ESP goes through the new ones, the others see it. */
  #rebind(): void {
    this.network.places.translate('a', 1 + this.#dice.below(50_000));
    this.#tell('a has another mapping');
    if (this.#dice.chance(0.5)) for (const { ends } of this.#tunnels) this.#hearEsp(ends);
  }

  #hearEsp([{ connection }, { side }]: Tunnel['ends']): void {
    const policy = `${connection.name}/${connection.children[0]!.name}`;
    const inboundSpi = this.#peer('a').sending(policy)?.outboundSpi;
    const remote = this.network.places.seen('a', 4500);
    if (inboundSpi === undefined || remote === undefined) return;
    this.#peer(side).handle({ type: 'nat-mapping-changed', inboundSpi, remote });
  }

  /** Once they have heard of each other, all SAs lead to where the other end is. */
  #find(): string | undefined {
    if (this.#leads()) return undefined;
    this.network.run(this.network.now + 240_000);
    this.#rest();
    return this.#leads() ? undefined : 'an SA leads to where nobody is';
  }

  #leads(): boolean {
    return this.#tunnels.every(({ ends: [one, other] }) => {
      return this.#leadsTo(one, other) && this.#leadsTo(other, one);
    });
  }

  #leadsTo(from: End, to: End): boolean {
    const { places } = this.network;
    const ports = new Set(this.#sasOf(to).map(({ local }) => local.port));
    const isThere = ({ local, remote }: Pick<IkeSaView, 'local' | 'remote'>) =>
      local.address === places.addressOf(from.side) &&
      [...ports].some((port) => sameEndpoint(remote, places.seen(to.side, port)!));
    const { installed } = this.#peer(from.side);
    return this.#sasOf(from).every((sa) => {
      const children = sa.children.map(({ inboundSpi }) => installed.get(inboundSpi)!);
      return isThere(sa) && children.every(isThere);
    });
  }

  #pickRekeyings(): RekeyWhat[] {
    const more = this.#dice.chance(this.#rich ? 0.5 : oftenIf(this.#long, 0.1))
      ? [this.#dice.pick(['child', 'ike', 'reauth'] as const)]
      : [];
    return [...this.#twice(() => this.#childOrIke()), ...more];
  }

  #twice<T>(make: () => T): [T, T] {
    return [make(), make()];
  }

  #childOrIke(): RekeyWhat {
    return this.#dice.pick(['child', 'child', 'ike'] as const);
  }

  #rekey(what: RekeyWhat): void {
    // One reauthenticates as one initiates.
    const fixed = what === 'reauth' && this.#onlyInitiator !== undefined;
    this.#rekeyOn(fixed ? this.#dice.pick(this.#tunnels).ends[0] : this.#anyEnd(), what);
    if (!this.#has('crossing')) return;
    this.#pause(100);
    this.#rekeyOn(this.#anyEnd(), this.#childOrIke());
  }

  #rekeyOn(end: End, what: RekeyWhat): void {
    this.#tell(`${this.#nameOf(end)} rekeys: ${what}`);
    this.#peer(end.side).handle({ type: 'rekey', connection: end.connection.name, what });
    if (what !== 'reauth') this.rekeyings++;
  }

  /** A Child SA is used up: it goes, and is set up again. */
  #loseChild(): void {
    const side = this.#anySide();
    const [inboundSpi] = [...this.#peer(side).installed.keys()];
    if (inboundSpi === undefined) return;
    this.#invariants.flowing = false;
    this.#tell(`${side} has a Child SA used up`);
    this.#peer(side).handle({ type: 'expire', inboundSpi, hard: true, cause: 'used up' });
    this.#rest();
    this.#setUp();
  }

  #jump(): void {
    const side = this.#anySide();
    const by = this.#dice.below(this.#dice.chance(0.2) ? 400_000 : 40_000);
    this.#tell(`the clock of ${side} jumps by ${by} ms`);
    this.network.jump(side, by);
  }

  #restart(): string | undefined {
    if (!this.#has('restart')) return undefined;
    const side = this.#anySide();
    this.#invariants.flowing = false;
    this.#rekey(this.#childOrIke());
    this.#pause(300);
    this.#tell(`${side} restarts`);
    this.#invariants.forgets(side);
    this.network.restart(side);
    this.#configure(side);
    return this.#setUp(this.#isTranslated ? 'a' : side);
  }

  #takeDown(): string | undefined {
    this.#invariants.flowing = false;
    const ends = this.#tunnels.flatMap(({ ends: [one, other] }) =>
      this.#dice.pick([[one], [other], [one, other]]),
    );
    if (this.#has('crossing')) {
      this.#rekeyOn(this.#anyEnd(), this.#childOrIke());
      this.#pause(60);
    }
    for (const end of ends) {
      this.#tell(`${this.#nameOf(end)} takes it down`);
      this.#peer(end.side).handle({ type: 'terminate', connection: end.connection.name });
      this.#pause(60);
    }
    this.network.background = BACKGROUND;
    this.#rest();
    return this.#leftovers();
  }

  // --- time --------------------------------------------------------------------------------

  /** Goes on at once, in the middle of what was begun, or when that is over. */
  #pause(longest: number): void {
    const draw = this.#dice.below(4);
    if (draw === 0) return;
    if (draw === 1 && longest > 1_000) this.#rest();
    else this.network.run(this.network.now + this.#dice.below(longest));
  }

  /** Until nothing is left to happen but liveness checks, and both ends have as many SAs. */
  #rest(): void {
    const { network } = this;
    const end = network.now + 1_200_000;
    do network.run(network.now + 5_000);
    while (network.now < end && !this.#isAtRest());
  }

  #isAtRest(): boolean {
    if (!this.network.isAtRest) return this.#isDone();
    return this.#tunnels.every(({ ends: [one, other] }) => {
      return this.#sasOf(one).length === this.#sasOf(other).length;
    });
  }

  /**
   * Only a long life waits for minutes until a responder takes its peer to be ready without a sign
   * of it, and all others where a tunnel has two Child SAs until then.
   */
  #isDone(): boolean {
    return !this.#long && this.network.isAtRestBut(SWITCHING) && this.#isUp();
  }

  // --- what is there -----------------------------------------------------------------------

  #sasOf({ side, connection: { name } }: End): IkeSaView[] {
    return this.#peer(side)
      .ikeSas()
      .filter(({ connection }) => connection === name);
  }

  #isUp(): boolean {
    return this.#tunnels.every(({ ends: [one, other] }) => this.#joins(one, other));
  }

  /** One IKE SA, the same on both sides, with all Child SAs that are for all senders. */
  #joins(one: End, other: End): boolean {
    const [sas, otherSas] = [this.#sasOf(one), this.#sasOf(other)];
    const [sa, otherSa] = [sas[0], otherSas[0]];
    if (sa === undefined || otherSa === undefined || sas.length + otherSas.length > 2) return false;
    if (sa.initiatorSpi !== otherSa.initiatorSpi) return false;
    if (sa.responderSpi !== otherSa.responderSpi) return false;
    const complete = [sa, otherSa].every(({ children }) => {
      const forAll = children.filter(({ resource }) => typeof resource !== 'number');
      return forAll.length === one.connection.children.length;
    });
    const { installed } = this.#peer(other.side);
    return complete && sa.children.every(({ outboundSpi }) => installed.has(outboundSpi));
  }

  #leftovers(): string | undefined {
    for (const peer of this.network.peers) {
      const broken = peer.log.find((line) => line.startsWith('error'));
      if (broken !== undefined) return `${peer.name} logs ${broken}`;
      if (peer.isClean) continue;
      const timers = [...peer.timers.keys()].join(', ');
      const { installed, reserved, jobs, states } = peer;
      return (
        `${peer.name} is not clean: ${states.join(', ') || 'no IKE SA'}, ${installed.size} Child ` +
        `SAs, ${reserved.size} SPIs, ${jobs.length} jobs, timers ${timers || 'none'}`
      );
    }
    return undefined;
  }
}

/** Mostly two. */
function pickGateways(dice: SeededRandom): number {
  const draw = dice.unit();
  if (draw < 0.9) return 2;
  return draw < 0.96 ? 3 : 4;
}

/** Mostly none; now and then only one end has some, or soon has enough. */
function pickMosts(dice: SeededRandom, long: boolean): Mosts {
  if (!dice.chance(oftenIf(long, 0.25))) return [undefined, undefined];
  return dice.pick([
    ...([
      ['auto', 'auto'],
      ['auto', 'auto'],
      ['auto', 1],
    ] as const),
    ...([
      [1, 'auto'],
      ['auto', undefined],
      [undefined, 'auto'],
    ] as const),
  ]);
}

/** Of both ends, in one life in four; now and then one end says more than the other, or nothing. */
function pickWindows(dice: SeededRandom): readonly [number, number] {
  if (!dice.chance(0.25)) return [1, 1];
  return dice.pick([[4, 4] as const, [4, 4] as const, [8, 2] as const, [1, 4] as const]);
}
