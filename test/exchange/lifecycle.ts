/**
 * A whole life of a tunnel, from a seed: set-up, at least two rekeyings, deletion, with at least
 * one fault. One session in a hundred has real key exchange, all others a stand-in.
 */
import type { RekeyWhat } from '../../src/ike/event.js';
import type { Connection } from '../../src/policy/connection.js';
import { Invariants } from './invariants.js';
import { FAIR, Network, type Weather } from './network.js';
import { type ConnectionOptions, connectionOf, type Peer } from './peer.js';
import { SeededRandom } from './random.js';
import { standIn } from './stand-in.js';

const FAULTS = [
  'loss',
  'duplication',
  'reordering',
  'corruption',
  'crossing',
  'clock jump',
  'restart',
] as const;
export type Fault = (typeof FAULTS)[number];

const GROUPS = ['x25519', 'ecp256', 'ecp384', 'ecp521', 'modp2048', 'modp3072', 'modp4096'];
const SUITES = [
  ...['aes128gcm16-prfsha256', 'aes192gcm16-prfsha512', 'aes256gcm16-prfsha384'],
  ...['aes128-sha256', 'aes192-sha384', 'aes256-sha512'],
];
const CIPHERS = ['aes128gcm16', 'aes192gcm16', 'aes256gcm16'];

export interface Life {
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** What was done, in order. */
  readonly story: readonly string[];
  /** Rekeyings that were asked for. */
  readonly rekeyings: number;
  /** What is wrong; undefined: nothing. */
  readonly problem: string | undefined;
  readonly network: Network;
}

/** Plays the session with this seed to its end. */
export function playLife(seed: number): Life {
  const player = new Player(seed);
  let problem: string | undefined;
  try {
    problem = player.play();
  } catch (error) {
    problem = `it throws: ${error instanceof Error ? error.stack : String(error)}`;
  }
  const { faults, story, rekeyings, network } = player;
  return { seed, faults, story, rekeyings, problem, network };
}

type Side = 'a' | 'b';

class Player {
  readonly faults: readonly Fault[];
  readonly story: string[] = [];
  readonly network: Network;
  rekeyings = 0;
  readonly #dice: SeededRandom;
  readonly #invariants: Invariants;
  readonly #connections: Readonly<Record<Side, Connection>>;
  readonly #wrongKey: boolean;

  constructor(seed: number) {
    const dice = new SeededRandom(seed);
    this.#dice = dice;
    this.faults = this.#pickFaults();
    this.#wrongKey = dice.chance(0.02);
    this.network = new Network(dice.next(), FAIR, { halfOpenTimeout: 60_000 });
    if (seed % 100 !== 0) {
      for (const side of ['a', 'b'] as const) this.network[side].runJob = standIn;
    }
    this.network.background = ['liveness', 'linger'];
    this.#connections = this.#pickConnections();
    const { a, b } = this.#connections;
    this.network.a.ike.setConnections([a]);
    this.network.b.ike.setConnections([b]);
    this.#invariants = new Invariants(this.network, a, b);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#dice.below(list.length)]!;
  }

  #pickFaults(): Fault[] {
    const first = this.#pick(FAULTS);
    return FAULTS.filter((fault) => fault === first || this.#dice.chance(0.25));
  }

  #pickWeather(): Weather {
    // As bad as it may be without thirteen tries of one request coming to nothing now and then.
    const part = (fault: Fault, most: number) =>
      this.faults.includes(fault) ? most * (0.2 + 0.8 * this.#dice.unit()) : 0;
    return {
      loss: part('loss', 0.12),
      duplication: part('duplication', 0.25),
      reordering: part('reordering', 0.25),
      corruption: part('corruption', 0.05),
    };
  }

  #pickConnections(): Record<Side, Connection> {
    const [group, other] = [this.#pick(GROUPS), this.#pick(GROUPS)];
    const suite = this.#pick(SUITES);
    const cipher = this.#pick(CIPHERS);
    const pfs = this.#pick(['', `-${group}`, `-${other}`]);
    // Now and then one guesses a group that the other does not have.
    const guess = this.#dice.chance(0.2) && other !== group ? `-${other}` : '';
    // Now and then nearly all goes in fragments, or all that one side sends.
    const small = this.#dice.chance(0.3) ? { fragmentBytes: 300 + this.#dice.below(300) } : {};
    const common = { livenessSeconds: 30, ...(this.#dice.chance(0.8) && small) };
    const several = this.#dice.chance(0.3);
    const half = (own: number, remote: number): NonNullable<ConnectionOptions['children']> => ({
      five: [[`10.${own}.5.0/24`], [`10.${remote}.5.0/24`]],
      six: [[`10.${own}.6.0/24`, `10.${own}.7.0/24`], [`10.${remote}.0.0/16`]],
    });
    const narrower = this.#dice.chance(0.2) ? { localSelectors: ['10.2.128.0/17'] } : {};
    return {
      a: connectionOf('a', {
        ...common,
        ...small,
        ike: [`${suite}${guess}-${group}`],
        esp: [`${cipher}${pfs}`],
        ...(several && { children: half(1, 2) }),
        ...(this.#wrongKey && { psk: 'not the same' }),
      }),
      b: connectionOf('b', {
        ...common,
        ike: [`${suite}-${group}`],
        esp: [`${cipher}${pfs}`],
        ...(several ? { children: half(2, 1) } : narrower),
      }),
    };
  }

  // --- the play ----------------------------------------------------------------------------

  play(): string | undefined {
    this.network.weather = this.#pickWeather();
    if (this.#wrongKey) return this.#playWrongKey();
    const failure = this.#setUp() ?? this.#live() ?? this.#restart() ?? this.#takeDown();
    return this.#invariants.broken ?? failure;
  }

  #peer(side: Side): Peer {
    return this.network[side];
  }

  #tell(what: string): void {
    this.story.push(`${(this.network.now / 1000).toFixed(3)} ${what}`);
  }

  #playWrongKey(): string | undefined {
    this.#tell('a initiates, with another key');
    this.#peer('a').handle({ type: 'initiate', connection: 'site' });
    this.network.background = ['liveness'];
    this.#rest();
    const { a, b } = this.network;
    if (a.established.length + b.established.length > 0) return 'a wrong key is taken';
    if (a.failures.length === 0) return 'nobody is told of the wrong key';
    return this.#invariants.broken ?? this.#leftovers();
  }

  /** With a bad network an attempt may come to nothing; then there are others. */
  #setUp(sides: readonly Side[] = this.#pick([['a'], ['a'], ['b'], ['a', 'b']] as const)) {
    for (let attempt = 0; attempt < 8; attempt++) {
      for (const side of sides) {
        this.#tell(`${side} initiates`);
        this.#peer(side).handle({ type: 'initiate', connection: 'site' });
        this.#pause(1_500);
      }
      this.#rest();
      if (this.#isUp()) {
        this.#invariants.flowing = !this.faults.includes('clock jump');
        return undefined;
      }
    }
    return 'the tunnel does not come up';
  }

  #live(): string | undefined {
    const steps = 2 + this.#dice.below(3);
    for (let step = 0; step < steps; step++) {
      this.#rekey();
      if (this.faults.includes('clock jump') && this.#dice.chance(0.5)) this.#jump();
      this.#pause(2_500);
    }
    if (this.#dice.chance(0.1)) this.#loseChild();
    this.#rest();
    return this.#isUp() ? undefined : 'the tunnel is not what it was';
  }

  #rekey(): void {
    const what = this.#pick(['child', 'child', 'child', 'ike', 'ike', 'reauth'] as const);
    this.#rekeyOn(this.#pick(['a', 'b'] as const), what);
    if (!this.faults.includes('crossing')) return;
    this.#pause(100);
    this.#rekeyOn(this.#pick(['a', 'b'] as const), this.#pick(['child', 'ike'] as const));
  }

  #rekeyOn(side: Side, what: RekeyWhat): void {
    this.#tell(`${side} rekeys: ${what}`);
    this.#peer(side).handle({ type: 'rekey', connection: 'site', what });
    this.rekeyings++;
  }

  /** A Child SA is used up: it goes, and is set up again. */
  #loseChild(): void {
    const side = this.#pick(['a', 'b'] as const);
    const [inboundSpi] = [...this.#peer(side).installed.keys()];
    if (inboundSpi === undefined) return;
    this.#invariants.flowing = false;
    this.#tell(`${side} has a Child SA used up`);
    this.#peer(side).handle({ type: 'expire', inboundSpi, hard: true, cause: 'used up' });
    this.#rest();
    this.#setUp([this.#pick(['a', 'b'] as const)]);
  }

  #jump(): void {
    const side = this.#pick(['a', 'b'] as const);
    const by = this.#dice.below(40_000);
    this.#tell(`the clock of ${side} jumps by ${by} ms`);
    this.network.jump(side, by);
  }

  #restart(): string | undefined {
    if (!this.faults.includes('restart')) return undefined;
    const side = this.#pick(['a', 'b'] as const);
    this.#invariants.flowing = false;
    this.#rekey();
    this.#pause(300);
    this.#tell(`${side} restarts`);
    const { runJob } = this.#peer(side);
    this.network.restart(side);
    this.#peer(side).runJob = runJob;
    this.#peer(side).ike.setConnections([this.#connections[side]]);
    return this.#setUp([side]);
  }

  #takeDown(): string | undefined {
    this.#invariants.flowing = false;
    const sides = this.#pick([['a'], ['b'], ['a', 'b']] as const);
    if (this.faults.includes('crossing')) {
      this.#rekeyOn(this.#pick(['a', 'b'] as const), this.#pick(['child', 'ike'] as const));
      this.#pause(60);
    }
    for (const side of sides) {
      this.#tell(`${side} takes it down`);
      this.#peer(side).handle({ type: 'terminate', connection: 'site' });
      this.#pause(60);
    }
    this.network.background = ['liveness'];
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

  /** Until nothing is left to happen but liveness checks, and both have as many SAs. */
  #rest(): void {
    const { network } = this;
    const end = network.now + 1_200_000;
    do network.run(network.now + 5_000);
    while (network.now < end && !this.#isAtRest());
  }

  #isAtRest(): boolean {
    const { network } = this;
    return network.isAtRest && network.a.states.length === network.b.states.length;
  }

  // --- what is there -----------------------------------------------------------------------

  /** One IKE SA, the same on both sides, with all Child SAs. */
  #isUp(): boolean {
    const { a, b } = this.network;
    const [sasA, sasB] = [a.ike.ikeSas(), b.ike.ikeSas()];
    const children = this.#connections.a.children.length;
    return (
      sasA.length === 1 &&
      sasB.length === 1 &&
      sasA[0]!.initiatorSpi === sasB[0]!.initiatorSpi &&
      sasA[0]!.responderSpi === sasB[0]!.responderSpi &&
      [a, b].every(({ installed }) => installed.size === children) &&
      [...a.installed.values()].every(({ outboundSpi }) => b.installed.has(outboundSpi))
    );
  }

  #leftovers(): string | undefined {
    for (const peer of [this.network.a, this.network.b]) {
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
