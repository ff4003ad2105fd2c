/** What this machine lacks for a configuration: hints, since it may be meant for another one. */
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import type { GatewayConfig } from './gateway-config.js';
import { sourceFiles } from './source.js';

export function hintsForHost(config: GatewayConfig): string[] {
  const hints: string[] = [];
  for (const { device, role } of config.ports) {
    hints.push(...hintsForPort({ device, role }, flagsOf(device)));
  }
  const addresses = new Set(
    Object.values(networkInterfaces()).flatMap((list) => list?.map((one) => one.address) ?? []),
  );
  for (const { name, local, children } of config.connections) {
    if (!addresses.has(local.address)) {
      hints.push(`no interface has ${local.address}, the local address of connection "${name}"`);
    }
    if (config.routeTable === 0 && children.some(({ mode }) => mode === 'transport')) {
      hints.push(
        `connection "${name}" is in transport mode, but with route_table = 0 what this host itself ` +
          'sends does not reach the dataplane: it is dropped, never sent in clear',
      );
    }
  }
  if (config.espKeysFile !== undefined) {
    hints.push(
      `lab_esp_keys: whoever reads ${config.espKeysFile} can read what the tunnels protect`,
    );
  }
  const { metricsListen: listen } = config;
  if (listen !== undefined && !/^(127\.|::1$)/.test(listen.address)) {
    hints.push(
      `metrics_listen: whoever reaches ${listen.address} can read with whom this gateway talks`,
    );
  }
  return [...hints, ...certificateHints(config), ...forwardingHints(config)];
}

const WRITABLE_BY_OTHERS = 0o002;
const STICKY = 0o1000;

/** What of a configuration anybody may write, and so decide what is protected. */
export function hintsForFiles(path: string): string[] {
  const files = sourceFiles(path);
  const folders = new Set(files.map((file) => dirname(file)));
  return [...folders, ...files]
    .filter((one) => {
      const { mode } = statSync(one);
      return (mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0;
    })
    .map((one) => `anybody may write ${one}, and so decide what is protected: chmod o-w ${one}`);
}

const INTERFACE_UP = 1; // IFF_UP (netdevice(7))

/** @param flags  of the interface; undefined: there is none */
export function hintsForPort(
  { device, role }: Pick<GatewayConfig['ports'][number], 'device' | 'role'>,
  flags: number | undefined,
): string[] {
  if (flags === undefined) return [`there is no interface "${device}" (${role}) on this machine`];
  if ((flags & INTERFACE_UP) !== 0) return [];
  return [`interface "${device}" (${role}) is down: ip link set ${device} up`];
}

function flagsOf(device: string): number | undefined {
  try {
    return Number(readFileSync(`/sys/class/net/${device}/flags`, 'utf8'));
  } catch {
    return undefined;
  }
}

const SOON_MS = 30 * 86_400_000;

/** Our certificates that are over, or soon will be. */
function certificateHints({ connections }: GatewayConfig): string[] {
  return connections.flatMap(({ name, local: { authentication } }) => {
    const [leaf] = authentication.type === 'certificate' ? authentication.chain : [];
    if (leaf === undefined) return [];
    const { validTo } = new X509Certificate(leaf);
    const isLong = Date.parse(validTo) - Date.now() > SOON_MS;
    return isLong ? [] : [`our certificate of connection "${name}" is valid until ${validTo}`];
  });
}

/** The kernel forwards what is not protected only if it is told to. */
function forwardingHints(config: GatewayConfig): string[] {
  const families = new Set(
    config.spd.flatMap((entry) => entry.localSelectors.map((selector) => selector.family)),
  );
  const switches = { 4: 'net.ipv4.ip_forward', 6: 'net.ipv6.conf.all.forwarding' } as const;
  return [...families]
    .filter((family) => readSysctl(switches[family]) === '0')
    .map(
      (family) =>
        `${switches[family]} is 0: the kernel forwards no other traffic (esplane's tunnels work)`,
    );
}

function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
