/** One seeded session of the simulation: what it plays, and what has to be true at its end. */
import { BACKGROUND, isOfKind, Network, STORM } from '../harness/network.js';
import { connectionOf, type Peer } from '../harness/peer.js';
import { SeededRandom } from '../harness/random.js';

/** One session in a hundred plays each of these, all others X25519. */
const RARE_GROUPS = ['ecp256', 'ecp384', 'ecp521', 'modp2048', 'modp3072', 'modp4096'];
const RARE_SUITES = ['aes256-sha256', 'aes192gcm16-prfsha512', 'aes256gcm16-prfsha384'];

export type Story =
  | 'a initiates'
  | 'both initiate'
  | 'b deletes'
  | 'wrong key'
  | 'no proposal'
  | 'no selectors'
  | 'a guesses the group wrong';

export interface Outcome {
  readonly seed: number;
  readonly story: Story;
  readonly end: 'established' | 'failed';
  /** What is wrong with the end; undefined: nothing. */
  readonly problem: string | undefined;
  readonly network: Network;
}

/** Plays the session with this seed to its end. */
export function playSession(seed: number): Outcome {
  const dice = new SeededRandom(seed);
  const story = pickStory(dice);
  const network = new Network(dice.next(), STORM, { halfOpenTimeout: 60_000 });
  configure(network, story, pickProposal(dice));
  play(network, story, dice);
  const established = network.a.states.includes('established');
  const problem = failureOf(network, story);
  return { seed, story, end: established ? 'established' : 'failed', problem, network };
}

function pickStory(dice: SeededRandom): Story {
  const draw = dice.below(100);
  if (draw < 55) return 'a initiates';
  if (draw < 75) return 'both initiate';
  if (draw < 85) return 'b deletes';
  if (draw < 88) return 'wrong key';
  if (draw < 91) return 'no proposal';
  if (draw < 95) return 'no selectors';
  return 'a guesses the group wrong';
}

function pickProposal(dice: SeededRandom): { suite: string; group: string } {
  const group = RARE_GROUPS[dice.below(100)] ?? 'x25519';
  const suite = RARE_SUITES[dice.below(10)] ?? 'aes128gcm16-prfsha256';
  return { suite, group };
}

function configure(
  { a, b }: Network,
  story: Story,
  { suite, group }: { suite: string; group: string },
): void {
  const ike = `${suite}-${group}`;
  const other = group === 'x25519' ? 'ecp256' : 'x25519';
  const guess = story === 'a guesses the group wrong';
  // Liveness checks are what clears an SA of which the other side has given up its half.
  const both = { livenessSeconds: 30 };
  const optionsA = {
    ...both,
    ike: [guess ? `${suite}-${other}-${group}` : ike],
    ...(story === 'wrong key' && { psk: 'not the same' }),
    ...(story === 'no selectors' && { localSelectors: ['172.16.0.0/12'] }),
  };
  const optionsB = { ...both, ike: [story === 'no proposal' ? 'aes128-sha512-x25519' : ike] };
  a.ike.setConnections([connectionOf('a', optionsA)]);
  b.ike.setConnections([connectionOf('b', optionsB)]);
}

const SLICE = 10_000;
const LONGEST = 600_000;

/**
 * Lets attempts end and SAs that only one side has be cleared. Liveness checks go on for ever, so
 * the end is where nothing else happens and both have as many SAs; or it does not come.
 */
function runToRest(network: Network): void {
  const end = network.now + LONGEST;
  do network.run(network.now + SLICE);
  while (network.now < end && !isAtRest(network));
}

function isAtRest(network: Network): boolean {
  return network.isAtRest && network.a.states.length === network.b.states.length;
}

function play(network: Network, story: Story, dice: SeededRandom): void {
  const { a, b } = network;
  a.handle({ type: 'initiate', connection: 'site' });
  if (story === 'both initiate') {
    // Sometimes at once, sometimes in the middle of the other's attempt.
    network.run(dice.below(4) === 0 ? 0 : dice.below(3000));
    b.handle({ type: 'initiate', connection: 'site' });
  }
  runToRest(network);
  if (story !== 'b deletes') return;
  b.handle({ type: 'terminate', connection: 'site' });
  runToRest(network);
}

function failureOf({ a, b }: Network, story: Story): string | undefined {
  for (const peer of [a, b]) {
    const broken = peer.log.find((line) => line.startsWith('error'));
    if (broken !== undefined) return `${peer.name} logs ${broken}`;
    if (peer.reserved.size > 0) return `${peer.name} holds SPIs`;
    if (peer.jobs.length > 0) return `${peer.name} has jobs left`;
  }
  const established = [a, b].map((peer) => peer.states.filter((state) => state === 'established'));
  if (a.states.length !== b.states.length) {
    return `a has ${a.states.join(', ') || 'nothing'}, b has ${b.states.join(', ') || 'nothing'}`;
  }
  if (established[0]!.length !== a.states.length) return `a has ${a.states.join(', ')}`;
  if (a.states.length > 1) return `${a.states.length} IKE SAs are left`;
  if (a.states.length === 0) return failureOfNothing(a, b);
  if (story === 'wrong key' || story === 'no proposal' || story === 'b deletes') {
    return `${story}, and there is an IKE SA`;
  }
  return failureOfTunnel(a, b, story === 'no selectors' ? 0 : 1);
}

/** Nothing is left: no Child SA, no timer. Where nobody deleted it, somebody has been told why. */
function failureOfNothing(a: Peer, b: Peer): string | undefined {
  for (const peer of [a, b]) {
    if (!peer.isClean) {
      const timers = [...peer.timers.keys()].join(', ');
      return `${peer.name} is not clean: ${peer.installed.size} Child SAs, timers ${timers}`;
    }
  }
  const explained = a.failures.length + b.failures.length + a.closed.length + b.closed.length > 0;
  return explained ? undefined : 'it ends in nothing, without a reason';
}

function failureOfTunnel(a: Peer, b: Peer, children: number): string | undefined {
  const [sa] = a.ike.ikeSas();
  const [other] = b.ike.ikeSas();
  if (sa!.initiatorSpi !== other!.initiatorSpi || sa!.responderSpi !== other!.responderSpi) {
    return 'the two have different IKE SAs';
  }
  if (a.installed.size !== children || b.installed.size !== children) {
    return `a has ${a.installed.size} Child SAs, b has ${b.installed.size}`;
  }
  for (const child of a.installed.values()) {
    const crossed = [...b.installed.values()].find((one) => one.inboundSpi === child.outboundSpi);
    if (crossed === undefined || crossed.outboundSpi !== child.inboundSpi) return 'SPIs differ';
    if (crossed.outboundKey !== child.inboundKey || crossed.inboundKey !== child.outboundKey) {
      return 'keys differ';
    }
    if (crossed.esn !== child.esn || crossed.encryption !== child.encryption)
      return 'suites differ';
  }
  const stray = [a, b].flatMap((peer) =>
    [...peer.timers.keys()].filter((timer) => !isOfKind(timer, BACKGROUND)),
  );
  return stray.length > 0 ? `timers are left: ${stray.join(', ')}` : undefined;
}
