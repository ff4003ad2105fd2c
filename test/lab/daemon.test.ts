import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ApiClient } from '../../src/api/client.js';
import { gatewayConfig } from '../../src/lab/gateway-process.js';
import { execute, inNamespace, ipBatch, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { Program, waitFor } from '../../src/lab/program.js';
import { makeTopology, type Site, type Topology, WAN } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { compileIfStale, program } from '../compiled.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)('the daemon on its host', () => {
  let lab: Topology;
  let folder: string;
  const running: Program[] = [];
  beforeAll(() => compileIfStale());
  beforeEach(() => {
    lab = makeTopology();
    folder = mkdtempSync(join(tmpdir(), 'esplane-daemon-'));
  });
  afterEach(async () => {
    for (const one of running.splice(0)) await one.stop();
    lab.remove();
    rmSync(folder, { recursive: true });
  });

  function run(site: Site, start: 'always' | 'wait', log = 'log') {
    const other = site === lab.a ? lab.b : lab.a;
    const place = join(folder, site.name);
    mkdirSync(place, { recursive: true });
    const end = ({ wan, networks }: Site) => ({ address: wan.ipv4, networks: [networks.ipv4] });
    const psk = 'a key for the two of them';
    const settings = { name: site.name, local: end(site), remote: end(other), psk, start } as const;
    const socket = join(place, 'api.sock');
    writeFileSync(join(place, 'gateway.toml'), gatewayConfig(settings, socket));
    writeFileSync(join(place, 'psk'), psk, { mode: 0o600 });
    const daemon = new Program({
      namespace: site.gatewayNamespace,
      command: [process.execPath, program, 'run', '-c', join(place, 'gateway.toml')],
      logFile: join(place, log),
    });
    running.push(daemon);
    return { daemon, api: new ApiClient(socket) };
  }

  const answering = (api: ApiClient) =>
    waitFor('the daemon', 20, () => api.health().catch(() => undefined));

  const childSas = async (api: ApiClient) =>
    (await api.status()).connections.flatMap(({ ikeSas }) => ikeSas.flatMap((sa) => sa.childSas));

  const ruleset = (site: Site) =>
    execute(inNamespace(site.gatewayNamespace, ['nft', 'list', 'ruleset']));

  it('refuses to be a second one, and leaves the first alone', async () => {
    const first = run(lab.a, 'wait');
    await answering(first.api);
    const rules = ruleset(lab.a);
    const second = run(lab.a, 'wait', 'second.log');
    expect(await second.daemon.exited).toEqual({ code: 1, signal: null });
    expect(second.daemon.log()).toMatch(/^esplane: another esplane answers on .*api\.sock/);
    expect(ruleset(lab.a)).toBe(rules);
    expect((await first.api.health()).pid).toBe(first.daemon.pid);
  });

  it('takes up an address that comes later, and keeps it when it goes and comes back', async () => {
    const { a, b } = lab;
    const address = `${a.wan.ipv4}/24 dev ${WAN}`;
    const routes = execute(
      inNamespace(a.gatewayNamespace, ['ip', 'route', 'show', 'via', b.wan.ipv4]),
    );
    const addAddress = () =>
      ipBatch(a.gatewayNamespace, [
        `addr add ${address}`,
        ...routes
          .trim()
          .split('\n')
          .map((route) => `route replace ${route.trim()} via ${b.wan.ipv4}`),
      ]);
    ipBatch(a.gatewayNamespace, [`addr del ${address}`]);
    const [here, there] = [run(a, 'always'), run(b, 'wait')];
    await Promise.all([answering(here.api), answering(there.api)]);
    expect(here.daemon.log()).toContain(`${a.wan.ipv4} is not on this host (yet)`);
    addAddress();
    const up = async () => ((await childSas(here.api)).length > 0 ? true : undefined);
    await waitFor('the tunnel', 20, up);
    ipBatch(a.gatewayNamespace, [`addr del ${address}`]);
    addAddress();
    expect(await here.api.down('lab')).toEqual({ connection: 'lab', deletedIkeSas: 1 });
    expect(await here.api.up('lab')).toEqual({ connection: 'lab', result: 'established' });
    // The port's own idea of the address may follow a moment later than the socket's.
    const answered = async () =>
      (await ping(a.hostNamespace, b.host.ipv4, { count: 1 })).received === 1 ? true : undefined;
    await waitFor('the first ping', 5, answered);
    const { received } = await ping(a.hostNamespace, b.host.ipv4, { count: 3 });
    expect(received).toBe(3);
  });

  it('ends at once on a second signal, and the next one starts', async () => {
    const [here, there] = [run(lab.a, 'always'), run(lab.b, 'wait')];
    await answering(there.api);
    await waitFor('the tunnel', 20, async () =>
      (await childSas(there.api)).length > 0 ? true : undefined,
    );
    // The peer is gone without a word: our Delete would wait for its answer.
    there.daemon.kill('SIGKILL');
    await there.daemon.exited;
    here.daemon.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(here.daemon.running).toBe(true);
    const before = performance.now();
    here.daemon.kill('SIGTERM');
    expect((await here.daemon.exited).code).toBe(1);
    expect(performance.now() - before).toBeLessThan(500);
    expect(ruleset(lab.a)).toContain('esplane_a');
    await answering(run(lab.a, 'wait').api);
  });

  it('waits no more than two seconds for a peer that does not answer its Delete', async () => {
    const [here, there] = [run(lab.a, 'always'), run(lab.b, 'wait')];
    await answering(there.api);
    await waitFor('the tunnel', 20, async () =>
      (await childSas(there.api)).length > 0 ? true : undefined,
    );
    there.daemon.kill('SIGKILL');
    await there.daemon.exited;
    const before = performance.now();
    expect(await here.daemon.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - before).toBeLessThan(4_000);
    const links = execute(inNamespace(lab.a.gatewayNamespace, ['ip', '-br', 'link']));
    expect(links).not.toMatch(/esp-a|xdp/);
  });
});
