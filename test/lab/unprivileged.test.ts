/** The daemon as its systemd unit runs it: a user of its own, and just the capabilities it needs. */
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient } from '../../src/api/client.js';
import { gatewayConfig } from '../../src/lab/gateway-process.js';
import { execute, ipBatch, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { Program, waitFor } from '../../src/lab/program.js';
import { makeTopology, type Site, type Topology, WAN } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { compileIfStale, program } from '../compiled.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const NOBODY = 65_534;
const CAPABILITIES = '-all,+net_admin,+net_raw,+bpf,+perfmon,+net_bind_service';
/** Bits of capabilities(7). */
const [NET_BIND_SERVICE, NET_ADMIN, NET_RAW, BPF] = [10n, 12n, 13n, 39n];

/** Appends each datagram of a Unix socket to a file, as systemd would read it. */
const LISTEN = `import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
print("listening", flush=True)
while True:
    print(s.recv(4096).decode().replace(chr(10), " "), flush=True)
`;

describe.skipIf(reason !== undefined)('a daemon without root', () => {
  let lab: Topology;
  let folder: string;
  let daemon: Program;
  let supervisor: Program;
  let there: Program;
  let api: ApiClient;

  beforeAll(async () => {
    compileIfStale();
    lab = makeTopology();
    folder = mkdtempSync(join(tmpdir(), 'esplane-unprivileged-'));
    chownSync(folder, NOBODY, NOBODY);
    const socket = join(folder, 'notify');
    supervisor = new Program({
      namespace: lab.a.gatewayNamespace,
      command: ['python3', '-c', LISTEN, socket],
      logFile: join(folder, 'told'),
    });
    await waitFor('the supervisor', 10, () => supervisor.log().includes('listening') || undefined);
    there = start(lab.b, []);
    await answering(lab.b);
    daemon = start(lab.a, unprivileged, { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '500000' });
    api = await answering(lab.a);
  });
  afterAll(async () => {
    await Promise.all([daemon?.stop(), there?.stop(), supervisor?.stop()]);
    lab?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const unprivileged = [
    ...['setpriv', '--no-new-privs'],
    ...[`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'],
    ...[`--inh-caps=${CAPABILITIES}`, `--ambient-caps=${CAPABILITIES}`],
    `--bounding-set=${CAPABILITIES}`,
  ];

  function start(
    site: Site,
    before: readonly string[],
    environment: Record<string, string> = {},
  ): Program {
    const place = join(folder, site.name);
    mkdirSync(place);
    const other = site === lab.a ? lab.b : lab.a;
    const end = ({ wan, networks }: Site) => ({ address: wan.ipv4, networks: [networks.ipv4] });
    const psk = 'a key for the two of them';
    const settings = { name: site.name, local: end(site), remote: end(other), psk } as const;
    // As much memory as RLIMIT_MEMLOCK lets any user lock, for three ports.
    const gatewayLines = ['workers = 2', 'frames = 512'];
    const wanted = site === lab.a ? 'always' : 'wait';
    const text = gatewayConfig(
      { ...settings, start: wanted, gatewayLines },
      join(place, 'api.sock'),
    );
    writeFileSync(join(place, 'gateway.toml'), text);
    writeFileSync(join(place, 'psk'), psk, { mode: 0o600 });
    if (before.length > 0) {
      for (const path of [place, join(place, 'psk')]) chownSync(path, NOBODY, NOBODY);
    }
    return new Program({
      namespace: site.gatewayNamespace,
      command: [...before, process.execPath, program, 'run', '-c', place],
      logFile: join(place, 'log'),
      environment,
    });
  }

  function answering(site: Site): Promise<ApiClient> {
    const client = new ApiClient(join(folder, site.name, 'api.sock'));
    return waitFor('the daemon', 20, () =>
      client.health().then(
        () => client,
        () => undefined,
      ),
    );
  }

  const told = (what: string) =>
    waitFor(what, 10, () => supervisor.log().includes(what) || undefined);

  /** Permitted capabilities of each thread of the daemon. */
  function threads(): { name: string; permitted: bigint }[] {
    const tasks = `/proc/${daemon.pid}/task`;
    return readdirSync(tasks).map((task) => {
      const status = readFileSync(`${tasks}/${task}/status`, 'utf8');
      const field = (key: string) => new RegExp(`^${key}:\\s+(.*)$`, 'm').exec(status)![1]!;
      return { name: field('Name'), permitted: BigInt(`0x${field('CapPrm')}`) };
    });
  }

  it('brings its tunnel up and carries traffic', async () => {
    const up = async () => {
      const [connection] = (await api.status()).connections;
      return connection!.ikeSas.some((sa) => sa.childSas.length > 0) || undefined;
    };
    await waitFor('the tunnel', 20, up);
    const { received } = await ping(lab.a.hostNamespace, lab.b.host.ipv4, { count: 3 });
    expect(received).toBe(3);
    expect((await api.status()).ports.map(({ mode }) => mode.slice(0, 3))).toEqual(['xdp', 'xdp']);
  });

  it('has no capability where packets of peers are read, and few elsewhere', () => {
    const all = threads();
    const dataplane = all.filter(({ name }) => /^esplane-\d+$/.test(name));
    expect(dataplane.length).toBeGreaterThan(0);
    for (const { permitted } of dataplane) expect(permitted).toBe(0n);
    const main = all[0]!;
    const kept = [NET_BIND_SERVICE, NET_ADMIN, BPF].reduce((mask, bit) => mask | (1n << bit), 0n);
    expect(main.permitted).toBe(kept);
    // Opens ports later, and does nothing else.
    const opener = all.find(({ name }) => name === 'esplane-ports')!;
    expect(opener.permitted & (1n << NET_RAW)).not.toBe(0n);
    // The IKE worker and those that it shares its fate with.
    expect(all.filter(({ permitted }) => permitted === 0n).length).toBeGreaterThan(
      dataplane.length,
    );
  });

  it('follows a change of its files and of addresses with what it has kept', async () => {
    const file = join(folder, 'a', 'gateway.toml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(
      file,
      text.replace(lab.a.wan.ipv4, '192.0.2.77').replace('10.1.0.0/24', '10.1.0.0/25'),
    );
    await api.apply();
    ipBatch(lab.a.gatewayNamespace, [`address add 192.0.2.77/24 dev ${WAN}`]);
    const listening = () =>
      /listening on 192\.0\.2\.77/.test(readFileSync(join(folder, 'a', 'log'), 'utf8')) ||
      undefined;
    await waitFor('the new address', 10, listening);
    const rules = execute([
      'ip',
      'netns',
      'exec',
      lab.a.gatewayNamespace,
      'nft',
      'list',
      'ruleset',
    ]);
    expect(rules).toContain('10.1.0.0/25');
  });

  it('opens another port, and takes one away, with what it has kept', async () => {
    const { gatewayNamespace } = lab.a;
    ipBatch(gatewayNamespace, [
      'link add wan2 type veth peer name far2',
      'link set wan2 up',
      'link set far2 up',
    ]);
    const file = join(folder, 'a', 'gateway.toml');
    const text = readFileSync(file, 'utf8');
    const withPorts = (wan: string) => text.replace(/^wan = .*$/m, `wan = ${wan}`);
    writeFileSync(file, withPorts(`["${WAN}", "wan2"]`));
    expect((await api.apply()).ports).toEqual([{ port: 'wan2', action: 'add', to: 'wan' }]);
    const modes = async () =>
      (await api.status()).ports.map(({ name, mode }) => `${name} ${mode.slice(0, 3)}`);
    expect(await modes()).toEqual(['lan xdp', `${WAN} xdp`, 'wan2 xdp']);
    writeFileSync(file, withPorts(`["${WAN}"]`));
    await api.apply();
    expect(await modes()).toEqual(['lan xdp', `${WAN} xdp`]);
    // Whoever serves queues has no capability after the change either.
    for (const { name, permitted } of threads())
      if (/^esplane-\d+$/.test(name)) expect(permitted).toBe(0n);
  });

  it('tells systemd that it is ready, alive, and stops', async () => {
    await told('READY=1 STATUS=gateway a runs, 1 connection');
    await told('WATCHDOG=1');
    await daemon.stop();
    await told('STOPPING=1');
  });
});
