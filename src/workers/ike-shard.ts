/**
 * One shard of the IKE SAs: a protocol core, its timers, and the application of its effects.
 * Runs in a worker thread (ike-worker.ts), or in the main thread for tests and the in-process
 * lab. All that leaves it goes through `post`.
 */
import { belongsInPool, runJob } from '../crypto/jobs.js';
import { pooledRandom } from '../crypto/random.js';
import type {
  Effect,
  Environment,
  Event,
  IkeSaView,
  Job,
  JobResult,
  Milliseconds,
  Untimed,
} from '../ike/event.js';
import { Timers } from '../net/timers.js';
import type { Ask } from '../pki/answers.js';
import { PeerVerifier } from '../pki/peer-verifier.js';
import { wipeKeys } from '../policy/authentication.js';
import type { Connection } from '../policy/connection.js';
import type { ChildSa, Sad } from '../sad/sad.js';
import { EXCHANGE, peekHeader, ZERO_IKE_SPI } from '../wire/index.js';
import { IKE_LINE_RATE, LogGate } from './log-gate.js';
import type { PostToMain, ToWorker } from './messages.js';
import { packJob, transferOf, unpackConnection, unpackResult } from './portable.js';
import { makeIkeSpi } from './shard-map.js';

/** What a shard needs of the protocol core; `Ike` of ike/ike.ts. */
export interface ProtocolCore {
  setConnections(connections: readonly Connection[]): void;
  handle(event: Event): Effect[];
  eachIkeSa(): Iterator<IkeSaView>;
  drops(): Readonly<Record<string, number>>;
  readonly isEmpty: boolean;
}

type Outgoing = Extract<Effect, { type: 'send' }>;

/** IKE SAs that are shown in one event: some milliseconds. */
const VIEW_PART = 256;

export interface ShardOptions {
  readonly shard: number;
  readonly shards: number;
  readonly makeCore: (environment: Environment) => ProtocolCore;
  readonly sad: Sad;
  readonly now: () => Milliseconds;
  readonly post: PostToMain;
  /** Sends a datagram; without it they are posted. */
  readonly send?: ((datagram: Outgoing) => void) | undefined;
  /** Asks authorities about revocation; without it only CRLs of the configuration count. */
  readonly ask?: Ask;
  /** Hears of the keys of Child SAs before they are wiped, in a lab. */
  readonly noteKeys?: ((sa: ChildSa) => void) | undefined;
  /** Of the mark in our SPIs (`makeIkeSpi`). */
  readonly spiKey?: Uint8Array;
}

export class IkeShard {
  readonly #core: ProtocolCore;
  readonly #sad: Sad;
  readonly #now: () => Milliseconds;
  readonly #post: PostToMain;
  readonly #send: (datagram: Outgoing) => void;
  readonly #timers = new Timers((timer) => this.#handle({ type: 'timer', timer }));
  readonly #verifier: PeerVerifier;
  readonly #gate: LogGate;
  readonly #noteKeys: ShardOptions['noteKeys'];
  #connections: readonly Connection[] = [];
  #stopping = false;

  constructor(options: ShardOptions) {
    const { shard, shards, makeCore, sad, now, post, send = post, ask, spiKey, noteKeys } = options;
    this.#send = send;
    this.#verifier = new PeerVerifier(ask === undefined ? {} : { ask });
    this.#sad = sad;
    this.#now = now;
    this.#post = post;
    this.#noteKeys = noteKeys;
    this.#gate = new LogGate(IKE_LINE_RATE, now);
    const random = pooledRandom();
    this.#core = makeCore({
      random,
      allocateIkeSpi: () => makeIkeSpi(shard, shards, random, spiKey),
      allocateSpi: () => {
        const spi = sad.allocateSpi();
        post({ type: 'spi', spi, state: 'reserved' });
        return spi;
      },
      releaseSpi: (spi) => {
        sad.releaseSpi(spi);
        post({ type: 'spi', spi, state: 'free' });
      },
      admitLine: (level) => this.#gate.admit(level),
    });
  }

  receive(message: ToWorker): void {
    switch (message.type) {
      case 'connections':
        this.#changeConnections(message.names, message.connections.map(unpackConnection));
        break;
      case 'computed':
        this.#handle({ ...message, result: unpackResult(message.result) });
        break;
      case 'view':
        this.#view(message.id);
        break;
      case 'log-level':
        this.#gate.least = message.least;
        break;
      case 'close':
        this.close();
        break;
      case 'stop':
        this.#stopping = true;
        this.#handle(message);
        break;
      default:
        this.#handle(message);
    }
  }

  /** In parts: nobody waits until all of ten thousand have been looked at. */
  #view(id: number, views = this.#core.eachIkeSa()): void {
    const ikeSas: IkeSaView[] = [];
    let next = views.next();
    for (; next.done !== true; next = views.next()) {
      if (ikeSas.push(next.value) === VIEW_PART) break;
    }
    const isLast = next.done === true;
    this.#post({ type: 'view', id, ikeSas, isLast, drops: this.#core.drops() });
    if (!isLast) setImmediate(() => this.#view(id, views));
  }

  /** No timer fires afterwards, and the keys are wiped. The core's SAs are dropped as they are. */
  close(): void {
    this.#timers.clear();
    this.#setConnections([]);
  }

  /** Those that are not handed over anew stay the objects that they were, with their keys. */
  #changeConnections(names: readonly string[], fresh: readonly Connection[]): void {
    const known = new Map([...this.#connections, ...fresh].map((one) => [one.name, one]));
    this.#setConnections(names.flatMap((name) => known.get(name) ?? []));
  }

  #setConnections(connections: readonly Connection[]): void {
    const gone = this.#connections.filter((one) => !connections.includes(one));
    this.#connections = connections;
    this.#core.setConnections(connections);
    wipeKeys(gone);
  }

  #handle(event: Untimed): void {
    try {
      // Nobody else has the event: what comes between threads is a copy.
      const effects = this.#core.handle(Object.assign(event, { at: this.#now() }) as Event);
      for (const effect of effects) this.#apply(effect);
    } catch (error) {
      // A bug of ours must not let one message end the SAs of all peers.
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const message = `the IKE core failed on a ${event.type} event: ${reason}`;
      this.#post({ type: 'log', level: 'error', message });
    }
    if (this.#stopping && this.#core.isEmpty) {
      this.#stopping = false;
      this.#post({ type: 'stopped' });
    }
  }

  #apply(effect: Effect): void {
    switch (effect.type) {
      case 'send':
        this.#noteBeginning(effect);
        this.#send(effect);
        break;
      case 'start-timer':
        this.#timers.start(effect.timer, effect.delay);
        break;
      case 'cancel-timer':
        this.#timers.cancel(effect.timer);
        break;
      case 'compute':
        this.#compute(effect.id, effect.job);
        break;
      case 'install-child':
        this.#install(effect.sa, effect.standby);
        break;
      case 'prefer-child':
        this.#sad.prefer(effect.inboundSpi);
        break;
      case 'retire-child':
        this.#sad.retire(effect.inboundSpi);
        break;
      case 'move-child':
        this.#sad.move(effect.inboundSpi, effect.local, effect.remote);
        break;
      case 'remove-child':
        this.#sad.remove(effect.inboundSpi);
        this.#post({ type: 'spi', spi: effect.inboundSpi, state: 'free' });
        break;
      case 'log':
        this.#log(effect);
        break;
      default:
        this.#post(effect);
    }
  }

  /** Those who watch over half-open IKE SAs hear of what this datagram begins. */
  #noteBeginning({ remote, data }: Outgoing): void {
    const header = peekHeader(data);
    if (header?.exchangeType !== EXCHANGE.IKE_SA_INIT) return;
    const { response, initiatorSpi, responderSpi } = header;
    // Of a COOKIE, or an error, nothing is left.
    if (response && responderSpi === ZERO_IKE_SPI) return;
    const ourSpi = response ? responderSpi : initiatorSpi;
    this.#post({ type: 'half-open', address: remote.address, initiatorSpi, ourSpi });
  }

  #log(line: Extract<Effect, { type: 'log' }>): void {
    const { level } = line;
    const message = this.#gate.remark(level);
    if (message !== undefined) this.#post({ type: 'log', level, message });
    this.#post(line);
  }

  /**
   * A cheap job is done here, in a turn of its own; a dear one goes to the pool, whose way there
   * and back costs about 0.15 ms of CPU in all. Generating and deriving, in place and through the
   * pool, in ms (a virtual Xeon, Node 20): P-256 0.19 and 0.31, X25519 1.1 and 1.4, P-384 2.5 and
   * 2.6, P-521 6.1 and 6.3, MODP-2048 0.6 and 1.1, MODP-4096 2.9 and 7.2. What counts for the dear
   * ones is that the worker's other SAs need not wait: posting takes 0.02 ms.
   */
  #compute(id: string, job: Job): void {
    const isProof = job.type === 'verify' || job.type === 'recheck';
    if (!isProof && belongsInPool(job)) {
      const packed = packJob(job);
      this.#post({ type: 'compute', id, job: packed }, transferOf(packed));
      return;
    }
    const done = (result: JobResult) => this.#handle({ type: 'computed', job: id, result });
    setImmediate(() => {
      if (isProof) this.#verifier.verify(job, done);
      else done(runJob(job));
    });
  }

  #install(sa: ChildSa, standby: boolean): void {
    const { inboundSpi: spi, policy } = sa;
    this.#noteKeys?.(sa);
    try {
      this.#sad.install(sa, standby);
      this.#post({ type: 'spi', spi, state: 'installed', policy });
    } catch (error) {
      const explanation = `cannot install the ESP SAs: ${error instanceof Error ? error.message : error}`;
      const [connection = policy, child = ''] = policy.split('/');
      this.#post({ type: 'log', level: 'error', message: explanation });
      this.#sad.releaseSpi(spi);
      this.#post({ type: 'spi', spi, state: 'free' });
      // The peer believes in these SAs, and would send into a hole: Deletes tell it.
      queueMicrotask(() => this.#handle({ type: 'terminate', connection }));
      this.#post({ type: 'failed', connection, child, notify: 'TEMPORARY_FAILURE', explanation });
    } finally {
      sa.inboundKey.wipe();
      sa.outboundKey.wipe();
    }
  }
}
