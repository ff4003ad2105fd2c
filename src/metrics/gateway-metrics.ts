/** The metrics of a gateway: made from its status, the dataplane's counters and what has happened. */
import { connectionState } from '../api/explain.js';
import type { ConnectionStatus, Status } from '../api/status.js';
import type { DataplaneStatistics, PortStatus } from '../dataplane/dataplane.js';
import type { ConnectionCounters } from './connection-counters.js';
import type { Family, Sample, Samples } from './exposition.js';

export interface MetricsSources {
  readonly status: Status;
  readonly statistics: DataplaneStatistics;
  readonly ports: readonly PortStatus[];
  readonly counters: ConnectionCounters;
  /** Messages that the control plane dropped or refused, by name. */
  readonly ikeDrops: Readonly<Record<string, number>>;
  /** One row for each Child SA too. */
  readonly perSa: boolean;
}

export function gatewayMetrics(sources: MetricsSources): Family[] {
  return [
    ...gatewayFamilies(sources),
    ...connectionFamilies(sources),
    ...workerFamilies(sources.statistics),
    ...portFamilies(sources.ports),
    ...(sources.perSa ? saFamilies(sources.status) : []),
    ...processFamilies(),
  ];
}

type Labels = Readonly<Record<string, string>>;

const gauge = (name: string, help: string, samples: Samples): Family => ({
  name: `esplane_${name}`,
  type: 'gauge',
  help,
  samples,
});

const counter = (name: string, help: string, samples: Samples): Family => ({
  name: `esplane_${name}_total`,
  type: 'counter',
  help,
  samples,
});

const sample = (value: number | bigint, labels: Labels = {}): Sample => ({
  labels,
  value: Number(value),
});

function gatewayFamilies({ status, ikeDrops }: MetricsSources): Family[] {
  const { version, name, cryptoKernel } = status;
  const states = ['connecting', 'established', 'replaced', 'deleting'] as const;
  const ikeSas = status.connections.flatMap((connection) => connection.ikeSas);
  return [
    gauge('info', 'The version, and the AES-GCM kernel in use.', [
      sample(1, { version, gateway: name, aes_gcm: cryptoKernel }),
    ]),
    gauge('uptime_seconds', 'Since the gateway started.', [sample(status.uptimeSeconds)]),
    gauge(
      'ike_sas',
      'IKE SAs by state.',
      states.map((state) => sample(ikeSas.filter((sa) => sa.state === state).length, { state })),
    ),
    counter(
      'ike_dropped',
      'Messages that the control plane dropped or refused, by reason.',
      Object.entries(ikeDrops).map(([reason, value]) => sample(value, { reason })),
    ),
  ];
}

function connectionFamilies({ status, counters }: MetricsSources): Family[] {
  const { connections } = status;
  const each = (value: (connection: ConnectionStatus) => Sample[]) => () =>
    connections.flatMap(value);
  const one = (value: (connection: ConnectionStatus) => number) => () =>
    connections.map((connection) => sample(value(connection), { connection: connection.name }));
  const states = ['up', 'connecting', 'down', 'waiting'] as const;
  return [
    gauge(
      'connection_wanted_up',
      'Whether the connection is to be up: 1, or 0 for on demand and taken down.',
      one(({ wanted }) => Number(wanted === 'up')),
    ),
    gauge(
      'connection_up',
      'Whether a Child SA of the connection is there.',
      one((connection) => Number(connectionState(connection) === 'up')),
    ),
    gauge(
      'connection_state',
      'The state of the connection: 1 for the one it is in.',
      each((connection) =>
        states.map((state) =>
          sample(Number(connectionState(connection) === state), {
            connection: connection.name,
            state,
          }),
        ),
      ),
    ),
    gauge(
      'connection_age_seconds',
      'Age of the oldest established IKE SA of the connection; 0 without one.',
      one(({ ikeSas }) => Math.max(0, ...ikeSas.map(({ ageSeconds }) => ageSeconds))),
    ),
    gauge(
      'connection_child_sas',
      'Child SAs of the connection.',
      one(({ ikeSas }) => ikeSas.reduce((sum, { childSas }) => sum + childSas.length, 0)),
    ),
    gauge(
      'interface_mtu_bytes',
      'Largest packet that fits the tunnel of an interface.',
      each(({ name: connection, interface: door }) =>
        door === undefined ? [] : [sample(door.mtu, { connection, interface: door.name })],
      ),
    ),
    counter(
      'interface_packets',
      'Packets that the host sent into the interface of a tunnel, and that came in there by it.',
      each(({ name: connection, interface: door }) =>
        door === undefined
          ? []
          : (['out', 'in'] as const).map((direction) =>
              sample(door[`${direction}Packets`], {
                connection,
                interface: door.name,
                direction,
              }),
            ),
      ),
    ),
    counter(
      'connection_established',
      'IKE SAs that were established, rekeyed ones not counted.',
      one(({ name }) => counters.of(name).established),
    ),
    counter(
      'connection_rekeys',
      'Rekeyings of the connection, by what was rekeyed and with which outcome.',
      each(({ name }) => rekeySamples(name, counters)),
    ),
    counter(
      'connection_failures',
      'Attempts that came to nothing, by notify type.',
      each(({ name: connection }) =>
        [...counters.of(connection).failures].map(([reason, value]) =>
          sample(value, { connection, reason }),
        ),
      ),
    ),
    gauge(
      'connection_last_failure_timestamp_seconds',
      'When the last attempt failed, and why.',
      each(({ name: connection }) => {
        const last = counters.of(connection).lastFailure;
        return last === undefined
          ? []
          : [sample(last.at / 1000, { connection, reason: last.reason })];
      }),
    ),
  ];
}

/** All outcomes, those that have not happened too: a rate is known from the first on. */
function rekeySamples(connection: string, counters: ConnectionCounters): Sample[] {
  const { rekeys } = counters.of(connection);
  return (['child', 'ike'] as const).flatMap((what) =>
    (['done', 'failed'] as const).map((outcome) =>
      sample(rekeys.get(`${what} ${outcome}`) ?? 0, { connection, what, outcome }),
    ),
  );
}

function workerFamilies(statistics: DataplaneStatistics): Family[] {
  const { workers, icmpErrors, mssClamped, dummiesSent, oddEcn } = statistics;
  type Worker = (typeof workers)[number];
  const one = (value: (worker: Worker) => bigint) =>
    workers.map((worker, i) => sample(value(worker), { worker: String(i) }));
  const both = (out: (worker: Worker) => bigint, into: (worker: Worker) => bigint) =>
    workers.flatMap((worker, i) => [
      sample(out(worker), { worker: String(i), direction: 'out' }),
      sample(into(worker), { worker: String(i), direction: 'in' }),
    ]);
  return [
    counter(
      'worker_packets',
      'Packets received from the worker’s own queues.',
      one((w) => w.packets),
    ),
    counter(
      'worker_esp_packets',
      'ESP and AH packets sent, and those that were authentic and new.',
      both(
        (w) => w.espOutPackets,
        (w) => w.espInPackets,
      ),
    ),
    counter(
      'worker_esp_bytes',
      'Bytes of their outer IP packets.',
      both(
        (w) => w.espOutBytes,
        (w) => w.espInBytes,
      ),
    ),
    counter(
      'worker_helped_bursts',
      'Groups of up to 64 packets of other workers’ queues that it encrypted or decrypted.',
      one((w) => w.helpedBursts),
    ),
    counter(
      'worker_busy_cycles',
      'Ticks of the time stamp counter in loops that had work; by worker_packets: cycles a packet.',
      one((w) => w.busyCycles),
    ),
    counter(
      'worker_cycles',
      'Ticks since the worker started, sleep included.',
      one((w) => w.cycles),
    ),
    counter(
      'worker_drops',
      'Packets that went no further, by reason.',
      workers.flatMap(({ drops }, i) =>
        Object.entries(drops).map(([reason, value]) =>
          sample(value, { worker: String(i), reason }),
        ),
      ),
    ),
    ...ringFamilies(workers),
    counter('icmp_errors', 'ICMP errors that we made.', [sample(icmpErrors)]),
    counter('tcp_mss_clamped', 'TCP SYNs whose MSS option was lowered.', [sample(mssClamped)]),
    counter('esp_dummies_sent', 'Dummy packets that we made.', [sample(dummiesSent)]),
    counter('odd_ecn', 'Packets with ECN fields that no router makes.', [sample(oddEcn)]),
  ];
}

/** As they are when asked: a backlog shows over several readings. */
function ringFamilies(workers: DataplaneStatistics['workers']): Family[] {
  const rings = workers.flatMap(({ rings }, i) =>
    rings.flatMap((queue) =>
      (['receive', 'transmit', 'fill', 'completion'] as const).map((ring) => ({
        fill: queue[ring],
        labels: { worker: String(i), port: queue.port, queue: String(queue.queue), ring },
      })),
    ),
  );
  return [
    gauge(
      'ring_used',
      'Entries in use of a ring that a queue shares with the kernel.',
      rings.map(({ fill, labels }) => sample(fill.used, labels)),
    ),
    gauge(
      'ring_entries',
      'Entries of such a ring.',
      rings.map(({ fill, labels }) => sample(fill.size, labels)),
    ),
  ];
}

function portFamilies(ports: readonly PortStatus[]): Family[] {
  const labels = ({ name, role }: PortStatus) => ({ port: name, role });
  return [
    gauge(
      'port_queues',
      'Queues of the port that are served, and how.',
      ports.map((port) => sample(port.queues, { ...labels(port), mode: port.mode })),
    ),
    counter(
      'port_packets',
      'Packets that the port received and sent.',
      ports.flatMap((port) => [
        sample(port.rxPackets, { ...labels(port), direction: 'in' }),
        sample(port.txPackets, { ...labels(port), direction: 'out' }),
      ]),
    ),
    counter(
      'port_rx_dropped',
      'Packets that came while the receive ring was full, or there was no free frame.',
      ports.map((port) => sample(port.rxDropped, labels(port))),
    ),
    counter(
      'port_tx_full',
      'Packets that found the send ring full.',
      ports.map((port) => sample(port.txFull, labels(port))),
    ),
  ];
}

/** SAs come and go, and with them time series: only who asks for them gets them. */
function saFamilies({ connections }: Status): Family[] {
  const sas = connections.flatMap(({ name: connection, ikeSas }) =>
    ikeSas.flatMap(({ childSas }) =>
      childSas.map((sa) => ({ sa, labels: { connection, child: sa.name, spi: sa.inboundSpi } })),
    ),
  );
  type Sa = (typeof sas)[number]['sa'];
  const both = (into: (sa: Sa) => number, out: (sa: Sa) => number) => () =>
    sas.flatMap(({ sa, labels }) => [
      sample(into(sa), { ...labels, direction: 'in' }),
      sample(out(sa), { ...labels, direction: 'out' }),
    ]);
  return [
    counter(
      'child_sa_packets',
      'Packets of the Child SA.',
      both(
        (sa) => sa.inPackets,
        (sa) => sa.outPackets,
      ),
    ),
    counter(
      'child_sa_bytes',
      'Bytes of the Child SA.',
      both(
        (sa) => sa.inBytes,
        (sa) => sa.outBytes,
      ),
    ),
    gauge('child_sa_age_seconds', 'Age of the Child SA.', () =>
      sas.map(({ sa, labels }) => sample(sa.ageSeconds, labels)),
    ),
  ];
}

/** As every client library names them. */
function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage();
  return [
    {
      name: 'process_cpu_seconds_total',
      type: 'counter',
      help: 'CPU time of all threads.',
      samples: [{ value: (user + system) / 1e6 }],
    },
    {
      name: 'process_resident_memory_bytes',
      type: 'gauge',
      help: 'Resident memory.',
      samples: [{ value: process.memoryUsage.rss() }],
    },
  ];
}
