/**
 * `ConfigFile` -> `GatewayConfig`: identities, proposals, selectors and the ordered SPD
 * (RFC 4301 §4.4.1). What the schema cannot see, because it takes two keys, is refused here.
 */
import type { PortOptions, SpdEntry } from '../dataplane/dataplane.js';
import { wipeKeys } from '../policy/authentication.js';
import type { ChildPolicy, Connection, Lifetime } from '../policy/connection.js';
import { formatIdentity, type Identity, parseIdentity, sameIdentity } from '../policy/identity.js';
import type { Proposal, Protocol } from '../policy/proposal.js';
import { DEFAULT_ESP, DEFAULT_IKE, parseProposal, UnknownAlgorithm } from '../policy/proposal.js';
import {
  hostSelector,
  intersect,
  parseAddress,
  parseSelector,
  type TrafficSelector,
} from '../wire/index.js';
import type { ReadAuthentication, SidesOfFile } from './authentication.js';
import { defaultApiSocket, type GatewayConfig } from './gateway-config.js';
import type { ParsedConfig } from './parse.js';
import { ConfigError, type ConfigProblem, didYouMean } from './problem.js';
import {
  type ChildFile,
  type ConfigFile,
  type ConnectionFile,
  type PolicyFile,
  parseListen,
} from './schema.js';
import {
  type Complain,
  checkConnection,
  checkInterfaces,
  checkQueueWorkers,
  checkTunnelInterfaces,
} from './semantics.js';
import { algorithmOfStrongSwan } from './strongswan-words.js';

/** Of a connection without tables of Child SAs. */
const ONLY_CHILD = 'net';

/** Throws `ConfigError` with every problem found; secrets already read are wiped then. */
export function buildGateway(
  parsed: ParsedConfig,
  readAuthentication: ReadAuthentication,
): GatewayConfig {
  const { file, problemAt } = parsed;
  const problems: ConfigProblem[] = [];
  const complain: Complain = (path, found, allowed) => {
    problems.push(problemAt(path, found, allowed));
  };
  checkInterfaces(file, complain);
  checkQueueWorkers(file, complain);
  checkTunnelInterfaces(file, complain);
  const connections = Object.entries(file.connection).flatMap(([name, entry]) => {
    checkConnection(name, entry, complain);
    const sides = readAuthentication(name, entry, complain);
    const ike = readProposals([name, 'ike'], 'ike', entry.ike ?? DEFAULT_IKE, complain);
    const child =
      readChildProposals([name], entry, complain) ??
      DEFAULT_ESP.map((text) => parseProposal('esp', text));
    return sides === undefined ? [] : [buildConnection(name, entry, sides, ike, child, complain)];
  });
  if (problems.length > 0) {
    wipeKeys(connections);
    throw new ConfigError(problems);
  }
  return { ...buildSettings(file), connections, spd: buildSpd(file.policy, connections) };
}

function buildSettings(file: ConfigFile): Omit<GatewayConfig, 'connections' | 'spd'> {
  const { gateway } = file;
  const port = (role: 'lan' | 'wan') => (device: string) =>
    ({ name: device, role, kind: gateway.port_kind, device, queues: gateway.queues }) as const;
  const ports: PortOptions[] = [...gateway.lan.map(port('lan')), ...gateway.wan.map(port('wan'))];
  return {
    name: gateway.name,
    ports,
    workers: gateway.workers,
    cpus: gateway.cpus,
    queueWorkers: gateway.queue_workers,
    framesPerQueue: gateway.frames,
    frameBytes: gateway.frame_bytes,
    busyPollMicroseconds: gateway.busy_poll_microseconds,
    ikeWorkers: gateway.ike_workers,
    maxChildSas: gateway.max_child_sas,
    halfOpenPerAddress: gateway.half_open_per_address,
    apiSocket: gateway.api_socket ?? defaultApiSocket(gateway.name),
    apiGroup: gateway.api_group,
    metricsListen:
      gateway.metrics_listen === undefined ? undefined : parseListen(gateway.metrics_listen),
    logLevel: gateway.log_level,
    routeTable: gateway.route_table,
    guardOnStop: gateway.guard_on_stop,
    espKeysFile: gateway.lab_esp_keys,
    plainForwarding: gateway.lab_plain_forwarding,
  };
}

/** Those of ESP or of AH, whichever a table has; undefined where it has neither. */
function readChildProposals(
  path: readonly string[],
  table: Pick<ChildFile, 'esp' | 'ah'>,
  complain: Complain,
): Proposal[] | undefined {
  const protocol = table.ah === undefined ? 'esp' : 'ah';
  const texts = table[protocol];
  return texts && readProposals([...path, protocol], protocol, texts, complain);
}

function readProposals(
  path: readonly string[],
  protocol: Protocol,
  texts: readonly string[],
  complain: Complain,
): Proposal[] {
  return texts.flatMap((text, i) => {
    try {
      return [parseProposal(protocol, text)];
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      complain(['connection', ...path, i], ...explainProposal(text, error));
      return [];
    }
  });
}

/** What was found in place of a proposal, and what is allowed. */
function explainProposal(text: string, error: RangeError): [found: string, allowed: string] {
  if (!(error instanceof UnknownAlgorithm)) return [`found "${text}": ${error.message}`, ''];
  const { word, known, allowed } = error;
  const near = algorithmOfStrongSwan(word) ?? didYouMean(word, known);
  const found = `found "${text}": unknown algorithm "${word}"`;
  return [found, near === undefined ? allowed : `did you mean "${near}"?`];
}

/**
 * What a side calls itself: as the file says, or its certificate, or its address. Where a
 * certificate says it too, its octets are taken, which peers may compare.
 */
function readIdentity(
  name: string,
  side: 'local' | 'remote',
  { id, address }: { readonly id?: string | undefined; readonly address: string },
  certified: readonly Identity[],
  complain: Complain,
): Identity {
  const [first] = certified;
  if (id === undefined && first !== undefined) return first;
  const path = ['connection', name, side, 'id'];
  const text = id ?? address;
  let identity: Identity;
  try {
    identity = parseIdentity(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const allowed = 'an address, "gw.example.org", "user@example.org", "C=CH, CN=gw", "keyid:TEXT"';
    complain(path, `found "${text}" (${reason})`, allowed);
    return { type: 0, data: new Uint8Array(0) };
  }
  const own = certified.find((each) => sameIdentity(each, identity));
  if (own === undefined && first !== undefined && side === 'local') {
    const allowed = certified.map((each) => `"${formatIdentity(each)}"`).join(', ');
    complain(path, `found "${text}", which the certificate does not prove`, allowed);
  }
  return own ?? identity;
}

function buildConnection(
  name: string,
  entry: ConnectionFile,
  sides: SidesOfFile,
  ikeProposals: readonly Proposal[],
  childProposals: readonly Proposal[],
  complain: Complain,
): Connection {
  const { local, remote } = entry;
  const identity = (side: 'local' | 'remote') =>
    readIdentity(name, side, entry[side], sides[side].identities, complain);
  return {
    name,
    local: {
      address: local.address,
      alternatives: local.alternatives,
      identity: identity('local'),
      authentication: sides.local.authentication,
    },
    remote: {
      address: remote.address,
      identity: identity('remote'),
      authentication: sides.remote.authentication,
    },
    ikeProposals,
    livenessSeconds: entry.liveness_seconds,
    ppk: sides.ppk,
    mobike: entry.mobike,
    fragmentBytes: entry.ike_fragment_bytes,
    windowSize: entry.ike_window,
    forceUdpEncapsulation: entry.udp_encapsulation === 'always',
    natTraversal: entry.nat_traversal,
    lifetime: lifetimeOf(entry.ike_rekey_seconds, entry.ike_lifetime_seconds),
    reauthSeconds: entry.reauth_seconds,
    childless: entry.childless,
    interface: entry.interface,
    children: childrenOf(entry).map(([childName, child]) => ({
      name: childName,
      start: child.start ?? entry.start,
      mode: child.mode ?? entry.mode,
      localSelectors: selectorsOf(entry, child, 'local'),
      remoteSelectors: selectorsOf(entry, child, 'remote'),
      proposals: readChildProposals([name, 'child', childName], child, complain) ?? childProposals,
      replayWindow: child.replay_window ?? entry.replay_window,
      fragmentation: child.fragmentation ?? entry.fragmentation,
      ...perResourceOf(child.per_resource ?? entry.per_resource),
      outer: { df: child.df ?? entry.df, dscp: child.dscp ?? entry.dscp },
      ...tfcOf(child.tfc ?? entry.tfc),
      lifetime: childLifetime(entry, child),
    })),
  };
}

/** The tables of Child SAs, or one for the networks of both sides. */
function childrenOf({ local, remote, child }: ConnectionFile): [string, ChildFile][] {
  if (child !== undefined) return Object.entries(child);
  return [[ONLY_CHILD, { local: local.networks, remote: remote.networks }]];
}

/** In transport mode what is protected is the gateway itself, be it a part of its traffic. */
function selectorsOf(
  entry: ConnectionFile,
  child: ChildFile,
  side: 'local' | 'remote',
): readonly TrafficSelector[] {
  const selectors = child[side]?.map(parseSelector);
  const address = parseAddress(entry[side].address);
  const isTransport = (child.mode ?? entry.mode) === 'transport';
  if (!isTransport || address === undefined) {
    const all = entry.interface === undefined ? [] : EVERYTHING.map(parseSelector);
    return selectors ?? all;
  }
  const itself = hostSelector(address);
  return selectors?.flatMap((selector) => intersect(selector, itself) ?? []) ?? [itself];
}

function perResourceOf(setting: boolean | number): Pick<ChildPolicy, 'perResource'> {
  if (setting === false) return {};
  return { perResource: setting === true ? 'auto' : setting };
}

function tfcOf(tfc: ChildFile['tfc']): Pick<ChildPolicy, 'tfc'> {
  if (tfc === undefined) return {};
  return { tfc: { padTo: tfc.pad_to, dummiesPerSecond: tfc.dummies_per_second } };
}

/** An end that is the connection's goes with its rekeying, not with another. */
function childLifetime(entry: ConnectionFile, child: ChildFile): Lifetime {
  const { rekey_seconds: rekey, lifetime_seconds: end } = child;
  if (rekey !== undefined) return lifetimeOf(rekey, end);
  return lifetimeOf(entry.child_rekey_seconds, end ?? entry.child_lifetime_seconds);
}

/** Where no end is said, a rekeying that comes to nothing has a tenth of the time for more tries. */
function lifetimeOf(
  rekeySeconds: number,
  endSeconds = rekeySeconds + Math.ceil(rekeySeconds / 10),
): Lifetime {
  return { rekeySeconds, endSeconds };
}

/**
 * What `[[policy]]` says comes first, in its order; then what the connections protect. Those with an
 * interface have an SPD of their own there.
 */
function buildSpd(policies: readonly PolicyFile[], connections: readonly Connection[]): SpdEntry[] {
  const protect = connections.flatMap((connection) =>
    connection.children.flatMap(({ name, localSelectors, remoteSelectors }) =>
      (['outbound', 'inbound'] as const).map((direction): SpdEntry => {
        const policy = `${connection.name}/${name}`;
        const place = connection.interface === undefined ? {} : { interface: connection.interface };
        return { action: 'protect', direction, policy, ...place, localSelectors, remoteSelectors };
      }),
    ),
  );
  return [...policies.flatMap(policyEntries), ...protect];
}

const EVERYTHING = ['0.0.0.0/0', '::/0'];

function policyEntries({ action, direction, local, remote }: PolicyFile): SpdEntry[] {
  const localSelectors = (local ?? EVERYTHING).map(parseSelector);
  const remoteSelectors = (remote ?? EVERYTHING).map(parseSelector);
  const directions = direction === 'both' ? (['outbound', 'inbound'] as const) : [direction];
  return directions.map((one) => ({ action, direction: one, localSelectors, remoteSelectors }));
}
