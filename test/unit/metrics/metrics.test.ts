import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { DataplaneStatistics } from '../../../src/dataplane/dataplane.js';
import { ConnectionCounters } from '../../../src/metrics/connection-counters.js';
import { type Family, renderFamilies } from '../../../src/metrics/exposition.js';
import { gatewayMetrics } from '../../../src/metrics/gateway-metrics.js';
import { type MetricsServer, serveMetrics } from '../../../src/metrics/server.js';
import { ZERO_IKE_SPI } from '../../../src/wire/index.js';
import { GatewayEvents } from '../../../src/workers/gateway-event.js';
import { busyStatus } from '../fixtures.js';

const statistics: DataplaneStatistics = {
  verdicts: {},
  drops: { no_sa: 7n },
  ...{ espOutPackets: 1n, espInPackets: 10n, espOutBytes: 100n, espInBytes: 1536n, icmpErrors: 2n },
  ...{ mssClamped: 3n, dummiesSent: 4n, oddEcn: 5n },
  removedPorts: { rxDropped: 0n, txFull: 0n },
  workers: [
    {
      packets: 12_345n,
      ...{ espOutPackets: 1n, espInPackets: 10n, espOutBytes: 100n, espInBytes: 1536n },
      drops: { no_sa: 7n, replay_duplicate: 0n },
      helpedBursts: 3n,
      busyCycles: 1_000n,
      cycles: 9_000n,
      rings: [
        {
          port: 'wan0',
          queue: 1,
          receive: { used: 17, size: 512 },
          transmit: { used: 0, size: 512 },
          fill: { used: 495, size: 512 },
          completion: { used: 3, size: 512 },
        },
      ],
    },
  ],
};

function metricsOf(events: GatewayEvents, perSa = false) {
  const counters = new ConnectionCounters(events);
  const port = {
    number: 0,
    name: 'lan0',
    role: 'lan',
    device: 'lan0',
    mode: 'xdp-native-copy',
    note: '',
  } as const;
  const ports = [{ ...port, queues: 1, rxPackets: 5n, txPackets: 6n, rxDropped: 7n, txFull: 8n }];
  const ikeDrops = { 'ike-malformed': 4 };
  return () =>
    textOf(gatewayMetrics({ status: busyStatus, statistics, ports, counters, ikeDrops, perSa }));
}

const textOf = (families: readonly Family[]) => [...renderFamilies(families)].join('');

describe('the metrics', () => {
  it('have the state of connections, the load of workers, and drops by name', () => {
    const text = metricsOf(new GatewayEvents())();
    for (const line of [
      'esplane_connection_up{connection="office"} 1',
      'esplane_connection_wanted_up{connection="home"} 1',
      'esplane_connection_state{connection="home",state="down"} 1',
      'esplane_connection_state{connection="home",state="up"} 0',
      'esplane_connection_age_seconds{connection="office"} 3700',
      'esplane_worker_packets_total{worker="0"} 12345',
      'esplane_worker_esp_bytes_total{worker="0",direction="in"} 1536',
      'esplane_worker_drops_total{worker="0",reason="no_sa"} 7',
      'esplane_worker_busy_cycles_total{worker="0"} 1000',
      'esplane_ring_used{worker="0",port="wan0",queue="1",ring="receive"} 17',
      'esplane_ring_used{worker="0",port="wan0",queue="1",ring="fill"} 495',
      'esplane_ring_entries{worker="0",port="wan0",queue="1",ring="completion"} 512',
      'esplane_port_tx_full_total{port="lan0",role="lan"} 8',
      'esplane_ike_dropped_total{reason="ike-malformed"} 4',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).not.toContain('child_sa_bytes');
    expect(metricsOf(new GatewayEvents(), true)()).toContain(
      'esplane_child_sa_bytes_total{connection="office",child="net",spi="01000001",direction="in"} 1536',
    );
  });

  it('count rekeyings by outcome, and failures by reason, which a peer cannot make up', () => {
    const events = new GatewayEvents();
    const render = metricsOf(events);
    const office = { connection: 'office' } as const;
    const failed = { type: 'failed', ...office, explanation: '', unproved: false } as const;
    events.emit({ ...failed, notify: 'AUTHENTICATION_FAILED' });
    events.emit({ type: 'ike-established', ...office, ikeSpi: ZERO_IKE_SPI, peerIdentity: 'b' });
    events.emit({ type: 'child-up', ...office, child: 'net' });
    events.emit({ type: 'rekeyed', ...office, what: 'child' });
    events.emit({ ...failed, notify: 'TEMPORARY_FAILURE', child: 'net' });
    events.emit({ ...failed, notify: '40961', unproved: true });
    const lines = render().split('\n');
    for (const line of [
      'esplane_connection_established_total{connection="office"} 1',
      'esplane_connection_rekeys_total{connection="office",what="child",outcome="done"} 1',
      'esplane_connection_rekeys_total{connection="office",what="child",outcome="failed"} 1',
      'esplane_connection_rekeys_total{connection="office",what="ike",outcome="failed"} 0',
      'esplane_connection_failures_total{connection="office",reason="authentication_failed"} 1',
      'esplane_connection_failures_total{connection="office",reason="other"} 1',
    ]) {
      expect(lines).toContain(line);
    }
  });

  it('are text in which each family has its help and type once, and labels are escaped', () => {
    const labels = { connection: 'a"b\\c\nd' };
    const samples = [{ labels, value: 1 }, { value: 2.5 }];
    expect(textOf([{ name: 'a_total', type: 'counter', help: 'What.', samples }])).toBe(
      '# HELP a_total What.\n# TYPE a_total counter\na_total{connection="a\\"b\\\\c\\nd"} 1\na_total 2.5\n',
    );
    expect(textOf([{ name: 'b', type: 'gauge', help: '', samples: [] }])).toBe('');
    const text = metricsOf(new GatewayEvents(), true)();
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
    expect(new Set(types.map(([, name]) => name)).size).toBe(types.length);
    for (const [, name, type] of types) {
      expect(name!.endsWith('_total')).toBe(type === 'counter');
      expect(text).toMatch(new RegExp(`^# HELP ${name} .+\\.$`, 'm'));
    }
  });
});

describe('the listener for machines', () => {
  let server: MetricsServer | undefined;
  afterEach(() => server?.close());

  it('serves metrics, health and readiness, and nothing else', async () => {
    let problems: string[] = [];
    const verdict = () => ({ ok: problems.length === 0, problems });
    server = await serveMetrics(
      { address: '127.0.0.1', port: 0 },
      {
        metrics: async (perSa) => [
          { name: 'sas', type: 'gauge', help: 'Asked for.', samples: [{ value: Number(perSa) }] },
        ],
        health: async () => verdict(),
        ready: verdict,
      },
    );
    const get = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${server!.port}${path}`, { method });
      return [response.status, await response.text()] as const;
    };
    expect(await get('/metrics')).toEqual([
      200,
      '# HELP sas Asked for.\n# TYPE sas gauge\nsas 0\n',
    ]);
    expect((await get('/metrics?sas=true'))[1]).toContain('sas 1');
    expect(await get('/health')).toEqual([200, '{"ok":true,"problems":[]}\n']);
    problems = ['192.0.2.1 is not on this host'];
    expect((await get('/ready'))[0]).toBe(503);
    expect((await get('/v1/status'))[0]).toBe(404);
    expect((await get('/metrics', 'POST'))[0]).toBe(405);
    const taken = { address: '127.0.0.1', port: server.port };
    await expect(serveMetrics(taken, {} as never)).rejects.toThrow(
      /metrics_listen: .*another program listens there/,
    );
  });

  it('tells of very many connections in parts, between which others have their turns', async () => {
    const samples = Array.from({ length: 20_000 }, (_, value) => ({ labels: { n: 'x' }, value }));
    const families = [{ name: 'a', type: 'gauge', help: 'What.', samples: () => samples } as const];
    const verdict = { ok: true, problems: [] };
    server = await serveMetrics(
      { address: '127.0.0.1', port: 0 },
      { metrics: async () => families, health: async () => verdict, ready: () => verdict },
    );
    const response = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    expect(response.headers.has('content-length')).toBe(false);
    expect(await response.text()).toBe(textOf(families));
  });

  it('does not wait for who sends no request, or takes no answer', async () => {
    const many = { name: 'many', type: 'gauge', help: 'x'.repeat(8 << 20), samples: [] } as const;
    const watched = {
      metrics: async () => [{ ...many, samples: [{ value: 1 }] }],
      health: async () => ({ ok: true, problems: [] }),
      ready: () => ({ ok: true, problems: [] }),
    };
    server = await serveMetrics({ address: '127.0.0.1', port: 0 }, watched, 300);
    const { port } = server;
    const closed: Promise<unknown>[] = [];
    const opened: Promise<unknown>[] = [];
    // As many as it serves: some that say nothing, some half a request, some that do not read.
    for (let n = 0; n < 16; n++) {
      const socket = connect(port, '127.0.0.1').pause();
      socket.on('error', () => {});
      opened.push(once(socket, 'connect'));
      closed.push(closeOf(socket));
      socket.write(
        ['', 'GET /health HTTP/1.1\r\nHost', 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'][n % 3]!,
      );
    }
    await Promise.all(opened);
    const get = () => fetch(`http://127.0.0.1:${port}/health`).then(({ status }) => status);
    await Promise.all(closed);
    expect(await get()).toBe(200);
  });
});

/** Resolves when the other end has closed it, although nothing is read. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      socket.write('\r', (error) => {
        if (!error) return;
        clearInterval(timer);
        socket.destroy();
        resolve();
      });
    }, 50);
  });
}
