/**
 * The IKE core alone on real UDP sockets, for interop tests of the protocol without a dataplane.
 * Runs in a namespace as a process; lines of JSON go in (`Command`) and out (`Report`). The keys
 * of Child SAs are reported, so that a test can compare them with those of the peer.
 */
import { randomFillSync } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { type CertificateKeys, readCertificates } from '../../../src/config/authentication.js';
import { Secret } from '../../../src/crypto/secret.js';
import type {
  Effect,
  Environment,
  Event,
  IkeSaView,
  IkeSpi,
  JobResult,
  RekeyWhat,
} from '../../../src/ike/event.js';
import { Ike } from '../../../src/ike/ike.js';
import type { IkeOptions } from '../../../src/ike/options.js';
import { PeerVerifier } from '../../../src/pki/peer-verifier.js';
import {
  type Connection,
  DEFAULT_FRAGMENT_BYTES,
  NO_LIFETIME,
} from '../../../src/policy/connection.js';
import { parseIdentity } from '../../../src/policy/identity.js';
import { parseProposal } from '../../../src/policy/proposal.js';
import type { EspSpi } from '../../../src/sad/sad.js';
import { classifyUdp4500, parseSelector, withNonEspMarker } from '../../../src/wire/index.js';
import { askByHttp } from '../../../src/workers/ask-by-http.js';
import { realJob } from '../../real-job.js';
import { sharedKey } from '../../shared-key.js';

export interface GatewayConfig {
  /** Default: `site`. */
  readonly name?: string;
  readonly local: { address: string; id: string; networks: readonly string[] };
  readonly remote: { address: string; id: string; networks: readonly string[] };
  readonly psk: string;
  readonly ike: readonly string[];
  readonly esp: readonly string[];
  readonly livenessSeconds?: number;
  readonly ppk?: { readonly id: string; readonly secret: string; readonly required: boolean };
  readonly mobike?: boolean;
  /** Our addresses beside the first one. */
  readonly alternatives?: readonly string[];
  readonly fragmentBytes?: number;
  readonly windowSize?: number;
  readonly forceUdp?: boolean;
  readonly childless?: boolean;
  /** Of all its Child SAs (RFC 9611). */
  readonly perResource?: 'auto' | number;
  readonly reauthSeconds?: number;
  /** Paths of files, as the configuration has them, in place of the pre-shared key. */
  readonly certificates?: {
    readonly local?: Partial<CertificateKeys['local']>;
    readonly remote?: CertificateKeys['remote'];
  };
  /** In place of the one Child SA `net`: the networks of each, ours first. */
  readonly children?: Children;
}

/** Networks of each Child SA, those of whose configuration it is first, and where it differs. */
export type Children = Readonly<
  Record<string, readonly [readonly string[], readonly string[], ChildWords?]>
>;

export interface ChildWords {
  readonly esp?: string;
  /** In place of ESP. */
  readonly ah?: string;
  readonly mode?: 'transport';
}

export type Command =
  | { readonly type: 'configure'; readonly config: GatewayConfig | readonly GatewayConfig[] }
  | { readonly type: 'initiate'; readonly connection?: string; readonly child?: string }
  | { readonly type: 'rekey'; readonly what: RekeyWhat }
  /** Deletes the Child SA with this inbound SPI. */
  | { readonly type: 'delete-child'; readonly spiIn: string }
  /** Listens there, and is at these addresses alone. */
  | { readonly type: 'addresses'; readonly present: readonly string[] }
  /** Begins an IKE SA with the peer that nobody ever finishes. */
  | { readonly type: 'knock' }
  | { readonly type: 'terminate'; readonly connection?: string }
  /** Looks at the peer's certificate again. */
  | { readonly type: 'recheck' }
  | { readonly type: 'stop' | 'view' };

export type Report =
  | { readonly type: 'ready' }
  | { readonly type: 'view'; readonly ikeSas: readonly IkeSaView[] }
  | { readonly type: 'installed'; readonly spiIn: string; readonly spiOut: string }
  | Extract<Effect, { type: 'failed' | 'ike-established' | 'ike-closed' | 'log' }>
  | {
      readonly type: 'child';
      readonly child: string;
      readonly spiIn: string;
      readonly spiOut: string;
      readonly keyIn: string;
      readonly keyOut: string;
      readonly esn: boolean;
    }
  | { readonly type: 'moved'; readonly local: string; readonly remote: string }
  | { readonly type: 'removed'; readonly spiIn: string };

const address = process.argv[2]!;
const options = JSON.parse(process.argv[3] ?? '{}') as Partial<IkeOptions>;
const timers = new Map<string, NodeJS.Timeout>();
const verifier = new PeerVerifier({ ask: askByHttp });
const random = (octets: number) => randomFillSync(new Uint8Array(octets));

const environment: Environment = {
  random,
  allocateIkeSpi: () => Buffer.from(random(8)).toString('hex') as IkeSpi,
  allocateSpi: () => (0x1000 + (Buffer.from(random(4)).readUInt32BE() >>> 2)) as EspSpi,
  releaseSpi: () => {},
};
const ike = new Ike(environment, options);
let connections: readonly Connection[] = [];
/** By address and port. */
const sockets = new Map<string, Socket>();

function report(line: Report): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

type Untimed<E> = E extends Event ? Omit<E, 'at'> : never;

function handle(event: Untimed<Event>): void {
  for (const effect of ike.handle({ ...event, at: performance.now() } as Event)) apply(effect);
}

function apply(effect: Effect): void {
  switch (effect.type) {
    case 'send': {
      const { local, remote, marker, data } = effect;
      const datagram = marker ? withNonEspMarker(data) : data;
      sockets.get(`${local.address} ${local.port}`)?.send(datagram, remote.port, remote.address);
      break;
    }
    case 'start-timer': {
      const { timer, delay } = effect;
      clearTimeout(timers.get(timer));
      timers.set(
        timer,
        setTimeout(() => handle({ type: 'timer', timer }), delay),
      );
      break;
    }
    case 'cancel-timer':
      clearTimeout(timers.get(effect.timer));
      break;
    case 'compute': {
      const { id, job } = effect;
      const done = (result: JobResult) => handle({ type: 'computed', job: id, result });
      setImmediate(() => {
        if (job.type === 'verify' || job.type === 'recheck') verifier.verify(job, done);
        else done(realJob(job));
      });
      break;
    }
    case 'install-child': {
      const { inboundSpi, outboundSpi, inboundKey, outboundKey, esn } = effect.sa;
      const spis = { spiIn: spi(inboundSpi), spiOut: spi(outboundSpi) };
      const child = effect.sa.policy.split('/')[1]!;
      const keys = { keyIn: hex(inboundKey), keyOut: hex(outboundKey) };
      report({ type: 'child', child, ...spis, ...keys, esn });
      report({ type: 'installed', ...spis });
      break;
    }
    case 'prefer-child':
    case 'retire-child':
    case 'child-rekeyed':
    case 'probed':
      break;
    case 'move-child':
      report({ type: 'moved', local: effect.local.address, remote: effect.remote.address });
      break;
    case 'remove-child':
      report({ type: 'removed', spiIn: spi(effect.inboundSpi) });
      break;
    default:
      report(effect);
  }
}

const hex = (secret: Secret) => Buffer.from(secret.bytes).toString('hex');
const spi = (value: number) => value.toString(16).padStart(8, '0');

function readSides({ psk, certificates = {} }: GatewayConfig) {
  const { local, remote } = readCertificates(
    '/',
    { local: { rsa_padding: 'pss', ...certificates.local }, remote: certificates.remote ?? {} },
    (_, found, allowed) => {
      throw new Error(`${found}: ${allowed}`);
    },
  );
  const key = sharedKey(psk);
  return {
    local: local === 'psk' ? key : local!.authentication,
    remote: remote === 'psk' ? key : remote!.authentication,
  };
}

function connectionOf(config: GatewayConfig): Connection {
  const { local, remote } = config;
  const { children = { net: [local.networks, remote.networks] as const } } = config;
  const sides = readSides(config);
  return {
    name: config.name ?? 'site',
    local: {
      address: local.address,
      alternatives: config.alternatives ?? [],
      identity: parseIdentity(local.id),
      authentication: sides.local,
    },
    remote: {
      address: remote.address,
      identity: parseIdentity(remote.id),
      authentication: sides.remote,
    },
    ikeProposals: config.ike.map((text) => parseProposal('ike', text)),
    livenessSeconds: config.livenessSeconds ?? 0,
    ppk: config.ppk && { ...config.ppk, secret: new Secret(Buffer.from(config.ppk.secret)) },
    mobike: config.mobike ?? false,
    fragmentBytes: config.fragmentBytes ?? DEFAULT_FRAGMENT_BYTES,
    windowSize: config.windowSize ?? 1,
    forceUdpEncapsulation: config.forceUdp ?? false,
    natTraversal: true,
    lifetime: NO_LIFETIME,
    reauthSeconds: config.reauthSeconds ?? 0,
    childless: config.childless ?? false,
    children: Object.entries(children).map(([name, [ours, theirs, words = {}]]) => ({
      name,
      start: 'wait',
      mode: words.mode ?? 'tunnel',
      localSelectors: ours.map(parseSelector),
      remoteSelectors: theirs.map(parseSelector),
      proposals:
        words.ah === undefined
          ? [words.esp ?? config.esp].flat().map((text) => parseProposal('esp', text))
          : [parseProposal('ah', words.ah)],
      replayWindow: 64,
      ...(config.perResource !== undefined && { perResource: config.perResource }),
      lifetime: NO_LIFETIME,
    })),
  };
}

function configure(config: GatewayConfig | readonly GatewayConfig[]): void {
  connections = [config].flat().map(connectionOf);
  ike.setConnections(connections);
}

/** An IKE_SA_INIT request of another core, whose answer finds nobody. */
function knock(): void {
  const other = new Ike(environment);
  other.setConnections(connections);
  const events: Event[] = [{ type: 'initiate', connection: 'site', at: 0 }];
  for (let event = events.shift(); event !== undefined; event = events.shift()) {
    for (const effect of other.handle(event)) {
      if (effect.type === 'send') apply(effect);
      if (effect.type !== 'compute') continue;
      events.push({ type: 'computed', job: effect.id, result: realJob(effect.job), at: 0 });
    }
  }
}

function obey(command: Command): void {
  switch (command.type) {
    case 'knock':
      knock();
      break;
    case 'configure':
      configure(command.config);
      break;
    case 'view':
      report({ type: 'view', ikeSas: ike.ikeSas() });
      break;
    case 'stop':
      handle({ type: 'stop' });
      break;
    case 'delete-child': {
      const inboundSpi = Number.parseInt(command.spiIn, 16) as EspSpi;
      handle({ type: 'expire', inboundSpi, hard: true, cause: 'asked for' });
      break;
    }
    case 'addresses':
      void Promise.all(command.present.map(listen)).then(() => handle(command));
      break;
    default:
      handle({ connection: 'site', ...command });
  }
}

async function listen(own: string): Promise<void> {
  for (const port of [500, 4500]) if (!sockets.has(`${own} ${port}`)) await listenOn(own, port);
}

async function listenOn(own: string, port: number): Promise<void> {
  const socket = createSocket(own.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (message, from) => {
    const content =
      port === 4500 ? classifyUdp4500(message) : { type: 'ike' as const, data: message };
    if (content.type !== 'ike') return;
    const remote = { address: from.address, port: from.port };
    handle({
      type: 'datagram',
      local: { address: own, port },
      remote,
      data: new Uint8Array(content.data),
    });
  });
  sockets.set(`${own} ${port}`, socket);
  await new Promise<void>((resolve) => socket.bind(port, own, resolve));
}

await listen(address);
createInterface(process.stdin).on('line', (line) => obey(JSON.parse(line) as Command));
report({ type: 'ready' });
