/**
 * What it takes to go from one configuration to another: which connections start, stop, are set up
 * anew or stay as they are. Pure: a plan in, nothing done (`reconfigure.ts` carries it out).
 */
import { KeyObject } from 'node:crypto';
import { equalsSecretly } from '../crypto/auth.js';
import { Secret } from '../crypto/secret.js';
import type { PortOptions } from '../dataplane/dataplane.js';
import type { Connection } from '../policy/connection.js';
import type { GatewayConfig } from './gateway-config.js';
import { changesOfPorts, type PortChange } from './port-changes.js';

/**
 * - start: it is new.
 * - stop: it is gone, and its SAs with it.
 * - restart: who the peer is, how it proves it or what is protected has changed: its SAs end, and
 *   new ones take their place. Its traffic waits meanwhile.
 * - renew: new SAs are set up beside the old ones, which end when the new ones serve.
 * - adjust: the SAs that stay are not touched; Child SAs may come and go beside them, and those of a
 *   peer end whose certificate is not good any more.
 * - stay: nothing has changed.
 */
export type ConnectionAction = 'start' | 'stop' | 'restart' | 'renew' | 'adjust' | 'stay';

export interface ConnectionChange {
  readonly connection: string;
  readonly action: ConnectionAction;
  /** Keys of the configuration that differ; none of `start`, `stop` and `stay`. */
  readonly changed: readonly string[];
}

export interface SettingChange {
  /** Of the table [gateway]. */
  readonly key: string;
  readonly from: string;
  readonly to: string;
  /** Whether it counts at once, or from the daemon's next start. */
  readonly when: 'now' | 'next start';
}

/** Of one network port: counts at once, and no other port loses a packet by it. */
export interface PlannedPort {
  readonly port: string;
  readonly action: PortChange['action'];
  /** Role, kind where it is not "auto", queues where they are said. */
  readonly from?: string;
  readonly to?: string;
}

export interface Plan {
  readonly connections: readonly ConnectionChange[];
  readonly ports: readonly PlannedPort[];
  readonly settings: readonly SettingChange[];
  /** Whether `[[policy]]` tables differ, or the order in which policies are consulted. */
  readonly policies: boolean;
}

type Effect = Exclude<ConnectionAction, 'start' | 'stop' | 'stay'>;

/**
 * What a change of each field of a connection asks for, and its key in the configuration. A field
 * that is not here asks for a restart.
 */
const CONNECTION_FIELDS: Readonly<Record<string, readonly [key: string, effect: Effect]>> = {
  'local.identity': ['local.id', 'restart'],
  'local.chain': ['local.cert', 'renew'],
  'local.key': ['local.key', 'renew'],
  'local.rsaPadding': ['local.rsa_padding', 'renew'],
  'remote.identity': ['remote.id', 'restart'],
  'remote.anchors': ['remote.ca', 'restart'],
  'remote.pinned': ['remote.cert', 'restart'],
  'remote.crls': ['remote.crl', 'adjust'],
  'remote.revocation': ['remote.revocation', 'adjust'],
  'remote.onRevocation': ['remote.on_revocation', 'adjust'],
  ikeProposals: ['ike', 'renew'],
  livenessSeconds: ['liveness_seconds', 'renew'],
  fragmentBytes: ['ike_fragment_bytes', 'renew'],
  windowSize: ['ike_window', 'renew'],
  forceUdpEncapsulation: ['udp_encapsulation', 'renew'],
  natTraversal: ['nat_traversal', 'renew'],
  childless: ['childless', 'renew'],
  interface: ['interface', 'restart'],
  lifetime: ['ike_rekey_seconds or ike_lifetime_seconds', 'renew'],
  reauthSeconds: ['reauth_seconds', 'renew'],
};

const CHILD_FIELDS: Readonly<Record<string, readonly [key: string, effect: Effect]>> = {
  start: ['start', 'adjust'],
  localSelectors: ['local networks', 'restart'],
  remoteSelectors: ['remote networks', 'restart'],
  proposals: ['esp or ah', 'renew'],
  mode: ['mode', 'restart'],
  replayWindow: ['replay_window', 'renew'],
  fragmentation: ['fragmentation', 'renew'],
  perResource: ['per_resource', 'renew'],
  outer: ['df or dscp', 'renew'],
  tfc: ['tfc', 'renew'],
  lifetime: ['rekey_seconds or lifetime_seconds', 'renew'],
};

/** Of GatewayConfig: the key in the configuration, and when a change counts. */
const SETTINGS = {
  name: ['name', 'next start'],
  workers: ['workers', 'now'],
  cpus: ['cpus', 'now'],
  queueWorkers: ['queue_workers', 'now'],
  framesPerQueue: ['frames', 'next start'],
  frameBytes: ['frame_bytes', 'next start'],
  busyPollMicroseconds: ['busy_poll_microseconds', 'next start'],
  ikeWorkers: ['ike_workers', 'next start'],
  maxChildSas: ['max_child_sas', 'next start'],
  halfOpenPerAddress: ['half_open_per_address', 'next start'],
  apiSocket: ['api_socket', 'next start'],
  apiGroup: ['api_group', 'next start'],
  metricsListen: ['metrics_listen', 'next start'],
  logLevel: ['log_level', 'now'],
  routeTable: ['route_table', 'next start'],
  guardOnStop: ['guard_on_stop', 'now'],
  espKeysFile: ['lab_esp_keys', 'next start'],
  plainForwarding: ['lab_plain_forwarding', 'next start'],
} as const satisfies Record<
  Exclude<keyof GatewayConfig, 'connections' | 'spd' | 'ports'>,
  readonly [string, SettingChange['when']]
>;

export function planChange(from: GatewayConfig, to: GatewayConfig): Plan {
  const before = new Map(from.connections.map((connection) => [connection.name, connection]));
  const after = new Set(to.connections.map(({ name }) => name));
  const gone = from.connections.filter(({ name }) => !after.has(name));
  return {
    connections: [
      ...gone.map(({ name }) => ({ connection: name, action: 'stop', changed: [] }) as const),
      ...to.connections.map((connection) => changeOf(before.get(connection.name), connection)),
    ],
    ports: changesOfPorts(from.ports, to.ports).map(plannedPort),
    settings: settingChanges(from, to),
    policies: !isSame(policyOrder(from, to), policyOrder(to, from)),
  };
}

/** Whether carrying it out would do anything. */
export function isEmptyPlan({ connections, ports, settings, policies }: Plan): boolean {
  const same = ports.length === 0 && settings.length === 0 && !policies;
  return same && connections.every(({ action }) => action === 'stay');
}

function plannedPort({ action, before, after }: PortChange): PlannedPort {
  return {
    port: (after ?? before).name,
    action,
    ...(before === undefined ? {} : { from: showPort(before) }),
    ...(after === undefined ? {} : { to: showPort(after) }),
  };
}

function showPort({ role, kind, queues }: PortOptions): string {
  const said = [...(kind === 'auto' ? [] : [kind]), ...(queues === 0 ? [] : [`${queues} queues`])];
  return [role, ...said].join(', ');
}

function changeOf(before: Connection | undefined, after: Connection): ConnectionChange {
  const { name: connection } = after;
  if (before === undefined) return { connection, action: 'start', changed: [] };
  const found = [...connectionDifferences(before, after), ...childDifferences(before, after)];
  const action = (['restart', 'renew', 'adjust'] as const).find((one) =>
    found.some(([, effect]) => effect === one),
  );
  return {
    connection,
    action: action ?? 'stay',
    changed: [...new Set(found.map(([key]) => key))],
  };
}

type Difference = readonly [key: string, effect: Effect];

function connectionDifferences(before: Connection, after: Connection): Difference[] {
  return differingFields(flat(before), flat(after)).map(
    (field) => CONNECTION_FIELDS[field] ?? [field, 'restart'],
  );
}

/** Both sides' fields as if they were the connection's own, and what they prove themselves by. */
function flat({ local, remote, children: _, ...rest }: Connection): Fields {
  const prefixed = (side: string, { authentication, ...fields }: Fields) => {
    const { type, psk, ...proof } = authentication as Fields & { readonly type: string };
    const all = Object.entries({ ...fields, ...proof });
    const byKey = type === 'psk' ? [['psk', psk]] : [];
    return [...byKey, ...all.map(([name, value]) => [`${side}.${name}`, value])];
  };
  return {
    ...rest,
    ...Object.fromEntries([...prefixed('local', local), ...prefixed('remote', remote)]),
  };
}

/** A Child SA that comes or goes changes nothing for the others. */
function childDifferences(before: Connection, after: Connection): Difference[] {
  const old = new Map(before.children.map((child) => [child.name, child]));
  const fresh = new Set(after.children.map(({ name }) => name));
  const gone = before.children.filter(({ name }) => !fresh.has(name));
  return [
    ...gone.map(({ name }): Difference => [`child ${name} is gone`, 'adjust']),
    ...after.children.flatMap((child): Difference[] => {
      const same = old.get(child.name);
      if (same === undefined) return [[`child ${child.name} is new`, 'adjust']];
      return differingFields({ ...same }, { ...child }).map(
        (field) => CHILD_FIELDS[field] ?? [field, 'restart'],
      );
    }),
  ];
}

type Fields = Readonly<Record<string, unknown>>;

function differingFields(a: Fields, b: Fields): string[] {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].filter((name) => !isSame(a[name], b[name]));
}

/** What stands in `[[policy]]` tables, and the order of the connections that both have. */
function policyOrder({ spd }: GatewayConfig, other: GatewayConfig): unknown[] {
  const common = new Set(other.spd.map(({ policy }) => policy));
  return spd
    .filter(({ policy }) => policy === undefined || common.has(policy))
    .map((entry) => entry.policy ?? entry);
}

function settingChanges(from: GatewayConfig, to: GatewayConfig): SettingChange[] {
  const fields = Object.keys(SETTINGS) as (keyof typeof SETTINGS)[];
  return fields
    .filter((field) => !isSame(from[field], to[field]))
    .map((field) => {
      const [key, when] = SETTINGS[field];
      return { key, from: show(from[field]), to: show(to[field]), when };
    });
}

function show(value: unknown): string {
  if (value === undefined) return 'not set';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** By value; secrets without telling by time how far they agree. */
function isSame(a: unknown, b: unknown): boolean {
  if (a instanceof Secret && b instanceof Secret) return equalsSecretly(a.bytes, b.bytes);
  if (a instanceof KeyObject && b instanceof KeyObject) return a.equals(b);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const [keysA, keysB] = [Object.keys(a), Object.keys(b)];
  return (
    keysA.length === keysB.length &&
    keysA.every((key) => isSame((a as Fields)[key], (b as Fields)[key]))
  );
}
