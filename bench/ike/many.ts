/**
 * Ten thousand IKE SAs with a Child SA each in one responder's core: memory of a pair, and the
 * longest that one event keeps the event loop, in set-up, liveness checks, rekeyings and Deletes of
 * all.
 *
 * Initiators and responder are cores in one process, their SADs in memory, their network without
 * loss; memory is that of both ends, halved. Events are timed one by one: a worker's timers have
 * turns of the event loop between them (net/timers.ts). An event's time is that of the process or of
 * the clock, whichever is less: the machine may have done something else meanwhile, or V8's helpers.
 * The process's is known to four ms.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { runJob } from '../../src/crypto/jobs.js';
import { pooledRandom } from '../../src/crypto/random.js';
import type { Effect, Environment, Event, IkeSpi } from '../../src/ike/event.js';
import { Ike } from '../../src/ike/ike.js';
import { FakeSad } from '../../src/sad/fake-sad.js';
import { connectionOf } from '../../test/exchange/harness/peer.js';
import { type BenchTable, describeMachine, printIfMain } from '../table.js';

const PAIRS = Number(process.env['ESPLANE_PAIRS'] ?? 10_000);
const LIVENESS_SECONDS = 30;
/** What the process uses is known as of so many ms at most before an event. */
const SAMPLE_MS = 4;

type Untimed = Event extends infer E ? (E extends Event ? Omit<E, 'at'> : never) : never;
type Datagram = Extract<Effect, { type: 'send' }>;

/** A core with its timers and SAD; what it sends waits in `outbox`. */
class Gateway {
  readonly outbox: Datagram[] = [];
  readonly timers = new Map<string, number>();
  readonly ike: Ike;
  readonly #sad = new FakeSad(4 * PAIRS);
  now = 0;
  established = 0;
  /** Of one event, in ms. */
  longest = 0;
  /** What the process had used, and when; a look at it takes as long as an event. */
  #used = process.cpuUsage();
  #usedAt = performance.now();

  constructor() {
    const random = pooledRandom();
    const environment: Environment = {
      random,
      allocateIkeSpi: () => Buffer.from(random(8)).toString('hex') as IkeSpi,
      allocateSpi: () => this.#sad.allocateSpi(),
      releaseSpi: (spi) => this.#sad.releaseSpi(spi),
      admitLine: () => false,
    };
    this.ike = new Ike(environment, {
      cookieThreshold: 1e6,
      maxHalfOpen: 1e6,
      maxHalfOpenPerAddress: 1e6,
    });
  }

  handle(event: Untimed): void {
    if (performance.now() - this.#usedAt > SAMPLE_MS) this.#sample();
    const began = performance.now();
    const effects = this.ike.handle({ at: this.now, ...event } as Event);
    const took = performance.now() - began;
    if (took > this.longest) {
      const { user, system } = process.cpuUsage(this.#used);
      this.longest = Math.max(this.longest, Math.min(took, (user + system) / 1000));
    }
    for (const effect of effects) this.#apply(effect);
  }

  #sample(): void {
    this.#used = process.cpuUsage();
    this.#usedAt = performance.now();
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
        if (effect.job.type === 'verify' || effect.job.type === 'recheck') {
          throw new Error('no certificates here');
        }
        this.handle({ type: 'computed', job: effect.id, result: runJob(effect.job) });
        break;
      case 'install-child':
        this.#sad.install(effect.sa, effect.standby);
        effect.sa.inboundKey.wipe();
        effect.sa.outboundKey.wipe();
        break;
      case 'remove-child':
        this.#sad.remove(effect.inboundSpi);
        break;
      case 'ike-established':
        this.established++;
        break;
    }
  }

  /** Those that have run out by now. */
  runTimers(): void {
    for (const [timer, at] of [...this.timers]) {
      if (at > this.now || !this.timers.delete(timer)) continue;
      this.handle({ type: 'timer', timer });
    }
  }
}

class Pair {
  readonly a = new Gateway();
  readonly b = new Gateway();

  /** Lets everything arrive that is on its way. */
  settle(): void {
    for (const [from, to] of [
      [this.a, this.b],
      [this.b, this.a],
    ] as const) {
      for (const { local, remote, data } of from.outbox.splice(0)) {
        to.handle({ type: 'datagram', local: remote, remote: local, data });
      }
    }
    if (this.a.outbox.length + this.b.outbox.length > 0) this.settle();
  }

  /** Time goes on by so many seconds, one by one. */
  wait(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      for (const gateway of [this.a, this.b]) gateway.now += 1000;
      for (const gateway of [this.a, this.b]) gateway.runTimers();
      this.settle();
    }
  }

  /** What is done to all, and its row. */
  measure(what: string, work: () => void) {
    for (const gateway of [this.a, this.b]) gateway.longest = 0;
    const began = performance.now();
    work();
    const seconds = (performance.now() - began) / 1000;
    return { what, seconds, longest: Math.max(this.a.longest, this.b.longest) };
  }
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function bytesInUse(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function connections(side: 'a' | 'b') {
  const options = { ike: ['aes128gcm16-prfsha256-x25519'], esp: ['aes128gcm16-x25519'] };
  return Array.from({ length: PAIRS }, (_, i) => {
    const id = `i${i}.bench`;
    const ids = side === 'a' ? { localId: id } : { remoteId: id };
    return connectionOf(side, {
      ...{ name: `c${i}`, livenessSeconds: LIVENESS_SECONDS },
      ...ids,
      ...options,
    });
  });
}

export async function benchMany(): Promise<BenchTable> {
  const pair = new Pair();
  const { a, b } = pair;
  a.ike.setConnections(connections('a'));
  b.ike.setConnections(connections('b'));
  const names = Array.from({ length: PAIRS }, (_, i) => `c${i}`);
  const each = (work: (connection: string) => void) => {
    for (const name of names) {
      work(name);
      pair.settle();
    }
  };
  const before = bytesInUse();
  const rows = [
    pair.measure('set-up', () => each((connection) => a.handle({ type: 'initiate', connection }))),
  ];
  const kibibytes = (bytesInUse() - before) / 2 / PAIRS / 1024;
  if (b.established !== PAIRS) throw new Error(`${b.established} of ${PAIRS} are established`);
  const rekey = (what: 'child' | 'ike') =>
    each((connection) => b.handle({ type: 'rekey', connection, what }));
  rows.push(pair.measure('liveness checks', () => pair.wait(2 * LIVENESS_SECONDS)));
  rows.push(pair.measure('Child SAs rekeyed', () => rekey('child')));
  rows.push(pair.measure('IKE SAs rekeyed', () => rekey('ike')));
  rows.push(
    pair.measure('stop', () => {
      b.handle({ type: 'stop' });
      while (!b.ike.isEmpty) {
        pair.settle();
        b.now += 4;
        b.runTimers();
      }
    }),
  );
  return {
    name: 'many',
    title: `${PAIRS} IKE SAs with a Child SA each`,
    notes: [
      `${kibibytes.toFixed(1)} KiB a pair at one end, with the keys of both SAs.`,
      'Seconds of both ends together; the longest event is of either.',
    ],
    machine: describeMachine(),
    columns: [
      { key: 'what', title: 'all of them' },
      { key: 'seconds', title: 'in all', unit: 's', digits: 1 },
      { key: 'longest', title: 'longest event', unit: 'ms', digits: 1 },
    ],
    rows,
  };
}

await printIfMain(import.meta.url, benchMany);
