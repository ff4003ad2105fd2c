/**
 * Two gateways with a tunnel, and somebody on the path between them who sends what he likes: what
 * was said changed, repeated, sent back, cut off, with other SPIs and message IDs; half-open SAs
 * by the hundred, from anywhere and in the peer's name; and, as a peer of gateway b, authentic
 * messages with garbage inside.
 *
 * After every batch the tunnel has to be as it was; nothing may be answered by more than it
 * asked; and in the end the gateways still talk, take the tunnel down, and have nothing left.
 */
import {
  decodeMessage,
  EXCHANGE,
  encodeMessage,
  NOTIFY,
  peekHeader,
  ZERO_IKE_SPI,
} from '../../src/wire/index.js';
import {
  ADDRESS_A,
  ADDRESS_B,
  connectionOf,
  type Datagram,
  Peer,
} from '../exchange/harness/peer.js';
import { SeededRandom } from '../exchange/harness/random.js';
import { Insider } from './insider.js';
import { mutate, noise, splice } from './mutation.js';
import { Random } from './random.js';

const INSIDER_ADDRESS = '192.0.2.66';
/** Virtual time between two datagrams of the attack: two hundred a second. */
const STEP_MILLISECONDS = 5;
const CORPUS_SIZE = 96;
/** What an answer may be longer than what asked for it: the notifications of NAT detection. */
const MOST_GAIN_OCTETS = 128;
/** Cases between two looks at the tunnel, and between two tunnels. */
const CASES_A_LOOK = 500;
const CASES_A_TUNNEL = 20_000;

const FLOOD = 'half-open flood';

type Target = 'a' | 'b';
type Case = {
  readonly kind: string;
  readonly target: Target;
  /** Who is said to have sent it. */
  readonly source: { readonly address: string; readonly port: number };
  readonly port: number;
  readonly data: Uint8Array;
};

export class IkeAttack {
  readonly a: Peer;
  readonly b: Peer;
  /** Cases by what became of them. */
  readonly outcomes = new Map<string, number>();
  tunnels = 0;
  mostTimers = 0;
  now = 0;
  readonly #random: Random;
  readonly #insider: Insider;
  /** What the gateways have said to each other, and what is on its way. */
  readonly #corpus: Datagram[] = [];
  readonly #inFlight: Datagram[] = [];
  readonly #inits = new Map<Target, Datagram>();
  /** Requests of the flood that were answered by a COOKIE, with it. */
  readonly #proved: Case[] = [];
  #octets: Uint8Array[] = [];
  #expected = '';
  #sinceTunnel = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    const random = new SeededRandom(seed);
    this.a = new Peer('a', new SeededRandom(random.next()));
    this.b = new Peer('b', new SeededRandom(random.next()));
    const livenessSeconds = 2;
    const localId = 'insider.example.org';
    const psk = 'known to the insider';
    this.a.ike.setConnections([connectionOf('a', { livenessSeconds })]);
    this.b.ike.setConnections([
      connectionOf('b', { livenessSeconds }),
      connectionOf('b', {
        name: 'anybody',
        remoteAddress: '%any',
        remoteId: localId,
        psk,
        remoteSelectors: ['10.66.0.0/16'],
      }),
    ]);
    this.#insider = new Insider(this.#random, {
      identity: localId,
      peerIdentity: 'b.example.org',
      psk,
      localNetwork: '10.66.0.0/16',
      peerNetwork: '10.2.0.0/16',
    });
    this.#newTunnel();
  }

  /** Runs this many cases. Throws with the case that broke something. */
  run(count: number): void {
    for (let n = 1; n <= count; n++) {
      const attack = this.#makeCase();
      try {
        this.#attempt(attack);
        this.#advance(STEP_MILLISECONDS);
        if (n % CASES_A_LOOK === 0 || n === count) this.#checkTunnel();
        if (++this.#sinceTunnel === CASES_A_TUNNEL) this.#renewTunnel();
      } catch (error) {
        const { kind, target, data } = attack;
        const octets = Buffer.from(data).toString('hex');
        throw new Error(`case ${n}, ${kind} to ${target}: ${octets}`, { cause: error });
      }
    }
  }

  /** The attack ends: what is half open goes, the tunnel stays. */
  calm(): void {
    this.#settle(300, 1_000);
    this.#checkTunnel();
  }

  /** Takes the tunnel down in order, after which nothing is left on either side. */
  takeDown(): void {
    this.a.handle({ type: 'terminate', connection: 'site' });
    this.b.handle({ type: 'terminate', connection: 'anybody' });
    this.#settle(300, 1_000);
    for (const { name, isClean, timers } of [this.a, this.b]) {
      if (!isClean) throw new Error(`${name} is not clean: ${[...timers.keys()].slice(0, 5)}`);
    }
  }

  // --- the tunnel --------------------------------------------------------------------------

  #newTunnel(): void {
    const [starter] = this.#random.oneIn(2) ? [this.a] : [this.b];
    starter!.handle({ type: 'initiate', connection: 'site' });
    // While half-open SAs pour in, also in the peer's name, a COOKIE has to be enough.
    for (let n = 0; n < 100 && !this.#isUp(); n++) {
      this.#deliverAll();
      for (let k = 0; k < 20 && this.#inits.size > 0; k++) this.#attempt(this.#flood());
      this.#advance(100);
    }
    this.#expected = this.#describeTunnel();
    if (!this.#isUp()) throw new Error(`no tunnel: ${this.#expected}`);
    this.tunnels++;
    this.#sinceTunnel = 0;
  }

  /** Delete from either side, then another tunnel, while the attack goes on. */
  #renewTunnel(): void {
    const [ender] = this.#random.oneIn(2) ? [this.a] : [this.b];
    ender!.handle({ type: 'terminate', connection: 'site' });
    const isGone = () => site(this.a).length + site(this.b).length === 0;
    this.#settle(20, 100, isGone);
    if (!isGone()) throw new Error('the Delete has left something');
    this.#newTunnel();
  }

  #isUp(): boolean {
    return [this.a, this.b].every((peer) => {
      const [sa, ...more] = site(peer);
      return sa?.state === 'established' && sa.children.length === 1 && more.length === 0;
    });
  }

  #describeTunnel(): string {
    const sides = [this.a, this.b].map((peer) =>
      site(peer).map(({ state, initiatorSpi, responderSpi, local, remote, children }) => ({
        state,
        initiatorSpi,
        responderSpi,
        local,
        remote,
        children: children.map(({ inboundSpi }) => [inboundSpi, peer.installed.has(inboundSpi)]),
      })),
    );
    return JSON.stringify(sides);
  }

  #checkTunnel(): void {
    const found = this.#describeTunnel();
    if (found !== this.#expected) {
      throw new Error(`the tunnel has changed\nwas ${this.#expected}\nis  ${found}`);
    }
    this.mostTimers = Math.max(this.mostTimers, this.a.timers.size, this.b.timers.size);
  }

  // --- time and the network ----------------------------------------------------------------

  /** Nobody attacks for a while. */
  #settle(steps: number, milliseconds: number, done: () => boolean = () => false): void {
    for (let n = 0; n < steps && !done(); n++) {
      this.#deliverAll();
      this.#advance(milliseconds);
    }
    this.#deliverAll();
  }

  /** Lets time go by; what the gateways send by themselves is on its way afterwards. */
  #advance(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (const peer of [this.a, this.b]) {
      for (const [timer, at] of peer.timers) {
        if (at > end) continue;
        peer.now = Math.max(peer.now, at);
        peer.runTimer(timer);
      }
    }
    this.now = this.a.now = this.b.now = end;
    for (const peer of [this.a, this.b]) {
      for (const datagram of peer.outbox.splice(0)) this.#overhear(datagram);
      forgetHistory(peer);
    }
  }

  /** The network delivers all that is on its way, and what is answered. */
  #deliverAll(): void {
    for (;;) {
      const datagram = this.#inFlight.shift() ?? this.a.outbox.shift() ?? this.b.outbox.shift();
      if (datagram === undefined) return;
      this.#remember(datagram);
      this.#deliver(datagram);
    }
  }

  #deliver({ local: remote, remote: local, data }: Datagram): void {
    const event = { type: 'datagram', local, remote, data } as const;
    if (local.address === ADDRESS_A) this.a.handle(event);
    else if (local.address === ADDRESS_B) this.b.handle(event);
    else if (local.address === INSIDER_ADDRESS) this.#insider.receive(data);
  }

  #overhear(datagram: Datagram): void {
    this.#inFlight.push(datagram);
    this.#remember(datagram);
  }

  #remember(datagram: Datagram): void {
    if (!isBetweenGateways(datagram)) return;
    if (this.#corpus.length === CORPUS_SIZE) this.#corpus.splice(this.#random.below(48), 1);
    this.#corpus.push(datagram);
    this.#octets = this.#corpus.map(({ data }) => data);
    if (isInitRequest(datagram.data)) this.#inits.set(targetOf(datagram), datagram);
  }

  // --- the attack --------------------------------------------------------------------------

  #attempt(attack: Case): void {
    const { kind, target, source, port, data } = attack;
    const peer = target === 'a' ? this.a : this.b;
    const address = target === 'a' ? ADDRESS_A : ADDRESS_B;
    peer.handle({ type: 'datagram', local: { address, port }, remote: source, data });
    const answers = peer.outbox.splice(0);
    const octets = answers.reduce((sum, { data: answer }) => sum + answer.length, 0);
    if (source.address !== INSIDER_ADDRESS && octets > data.length + MOST_GAIN_OCTETS) {
      throw new Error(`${data.length} octets are answered by ${octets}`);
    }
    const outcome = `${kind}: ${describeOutcome(answers, peer)}`;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    for (const answer of answers) {
      if (kind === FLOOD) this.#obeyCookie(attack, answer);
      this.#deliver(answer);
    }
    // The network is slow enough for the attacker to be faster than the peer.
    if (this.#random.oneIn(8)) this.#deliverAll();
  }

  /** The flooder is where it says: it comes again with the COOKIE (RFC 7296 §2.6). */
  #obeyCookie(attack: Case, { data }: Datagram): void {
    const [cookie] = decodeMessage(data).payloads;
    if (cookie?.kind !== 'N' || cookie.notifyType !== NOTIFY.COOKIE) return;
    if (isGateway(attack.source.address) || this.#proved.length > 100) return;
    const { header, payloads } = decodeMessage(attack.data);
    this.#proved.push({
      ...attack,
      data: encodeMessage({ header, payloads: [cookie, ...payloads] }),
    });
  }

  #makeCase(): Case {
    const random = this.#random;
    const chance = random.below(100);
    if (chance < 5) return this.#fromInsider();
    if (chance < 12) return this.#flood();
    if (chance < 20) return this.#aimed();
    const datagram = random.pick(this.#corpus);
    const to = targetOf(datagram);
    const data = datagram.data.slice();
    const source = random.oneIn(3) ? anywhere(random) : datagram.local;
    const toIts = { target: to, source, port: datagram.remote.port } as const;
    if (chance < 26) return { kind: 'replayed', ...toIts, data };
    if (chance < 31) {
      const back = to === 'a' ? 'b' : 'a';
      const { local, remote } = datagram;
      return { kind: 'reflected', target: back, source: remote, port: local.port, data };
    }
    if (chance < 36) {
      const cut = data.slice(0, random.below(data.length));
      return { kind: 'truncated', ...toIts, data: random.oneIn(2) ? cut : withLength(cut) };
    }
    if (chance < 48) return { kind: 'other header', ...toIts, data: this.#otherHeader(data) };
    if (chance < 52) return { kind: 'huge length', ...toIts, data: hugeLength(random, data) };
    if (chance < 55) {
      const length = random.oneIn(20) ? 65_507 : random.below(200);
      return { kind: 'noise', ...toIts, data: noise(random, length) };
    }
    const mutated = mutate(data, random, this.#octets);
    return { kind: 'mutated', ...toIts, data: random.oneIn(5) ? mutated : withLength(mutated) };
  }

  #fromInsider(): Case {
    const { kind, data } = this.#insider.next();
    const source = { address: INSIDER_ADDRESS, port: 500 };
    return { kind: `insider, ${kind}`, target: 'b', source, port: 500, data };
  }

  /** Fits the windows of the tunnel's IKE SA in all but its ICV, or what is on its way, changed. */
  #aimed(): Case {
    const random = this.#random;
    const onItsWay = this.#inFlight.filter(isBetweenGateways);
    const near = onItsWay.length > 0 && random.oneIn(2);
    const datagram = near ? random.pick(onItsWay) : this.#lastRequest();
    const data = datagram.data.slice();
    const view = new DataView(data.buffer);
    if (!near && data.length >= 28) view.setUint32(20, view.getUint32(20) + 1);
    const body = mutate(data.slice(28), random, this.#octets);
    const source = random.oneIn(3) ? anywhere(random) : datagram.local;
    const changed = random.oneIn(8) ? data : withLength(splice(data, 28, data.length, body));
    const { port } = datagram.remote;
    return { kind: 'aimed', target: targetOf(datagram), source, port, data: changed };
  }

  #lastRequest(): Datagram {
    const isRequest = ({ data }: Datagram) => peekHeader(data)?.response === false;
    return this.#corpus.findLast(isRequest) ?? this.#corpus[0]!;
  }

  /** An IKE_SA_INIT request like a good one, with its own SPI and nonce. */
  #flood(): Case {
    const random = this.#random;
    const proved = random.oneIn(3) ? this.#proved.pop() : undefined;
    if (proved !== undefined) return { ...proved, kind: 'half-open flood with a COOKIE' };
    const model = this.#inits.get(random.oneIn(2) ? 'a' : 'b') ?? [...this.#inits.values()][0]!;
    const data = model.data.slice();
    data.set(noise(random, 8), 0);
    const source = random.oneIn(3) ? model.local : anywhere(random);
    return { kind: FLOOD, target: targetOf(model), source, port: 500, data };
  }

  #otherHeader(data: Uint8Array): Uint8Array {
    const random = this.#random;
    if (data.length < 28) return data;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    switch (random.below(6)) {
      case 0:
        data.set(noise(random, 8), random.oneIn(2) ? 0 : 8);
        break;
      case 1: {
        const initiator = data.slice(0, 8);
        data.copyWithin(0, 8, 16);
        data.set(initiator, 8);
        break;
      }
      case 2:
        data.fill(0, random.oneIn(2) ? 0 : 8, 16);
        break;
      case 3:
        view.setUint32(20, random.oneIn(3) ? random.next() : view.getUint32(20) + 1);
        break;
      case 4:
        data[18] = random.oneIn(3) ? random.below(256) : 34 + random.below(4);
        break;
      default:
        data[19] = random.oneIn(3) ? random.below(256) : data[19]! ^ (8 << random.below(3));
    }
    return data;
  }
}

function targetOf({ remote }: Datagram): Target {
  return remote.address === ADDRESS_A ? 'a' : 'b';
}

function isGateway(address: string): boolean {
  return address === ADDRESS_A || address === ADDRESS_B;
}

function isBetweenGateways({ local, remote }: Datagram): boolean {
  return isGateway(local.address) && isGateway(remote.address);
}

function site(peer: Peer) {
  return peer.ike.ikeSas().filter(({ connection }) => connection === 'site');
}

/** A peer of the simulation keeps what it was told for tests to look at. */
function forgetHistory(peer: Peer): void {
  const { log, logTimes, failures, established, closed } = peer;
  for (const list of [log, logTimes, failures, established, closed]) list.length = 0;
}

function anywhere(random: Random) {
  const address = `198.${random.below(256)}.${random.below(256)}.${random.below(256)}`;
  return { address, port: 1 + random.below(65_535) };
}

function withLength(data: Uint8Array): Uint8Array {
  if (data.length >= 28) new DataView(data.buffer, data.byteOffset).setUint32(24, data.length);
  return data;
}

/** Lengths are 16 bits wide but for the header's. */
function hugeLength(random: Random, data: Uint8Array): Uint8Array {
  if (data.length < 32) return data;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (random.oneIn(4)) view.setUint32(24, random.oneIn(2) ? 0xffffffff : random.next());
  else view.setUint16(30 + random.below(data.length - 31), random.oneIn(2) ? 0xffff : 0);
  return data;
}

function isInitRequest(data: Uint8Array): boolean {
  const header = peekHeader(data);
  return (
    header?.exchangeType === EXCHANGE.IKE_SA_INIT &&
    !header.response &&
    header.responderSpi === ZERO_IKE_SPI
  );
}

const STORIES: readonly (readonly [RegExp, string])[] = [
  [/N\((\w+)\)$/, 'N'],
  [/is not authentic/, 'not authentic, ignored'],
  [/is outside the window/, 'outside the window, ignored'],
  [/is a stray/, 'a stray, ignored'],
  [/came again/, 'answered again'],
  [/is refused/, 'refused'],
  [/is ignored/, 'does not decode, ignored'],
  [/IKE SA closed/, 'its IKE SA ends'],
];

function describeOutcome(answers: readonly Datagram[], { log }: Peer): string {
  const lines = log.splice(0).join('\n');
  const answered = answers.length > 0 ? 'answered' : 'silence';
  const story = STORIES.find(([pattern]) => pattern.test(lines));
  const detail = story?.[1] === 'N' ? story[0].exec(lines)![1] : story?.[1];
  return detail === undefined ? answered : `${answered}, ${detail}`;
}
