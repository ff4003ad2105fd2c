/** What tune has measured, as a report: for each curve what to conclude, the curve, and how. */
import type { Chart, Report, Section } from '../report/report.js';
import { isBusy, loadFact } from './load.js';
import { portRate, type Setting, speedUp } from './recommend.js';
import { type PortPoint, packetsPerSecond, SIZES, type TuneMeasurements } from './tune.js';

export interface TunedMachine {
  readonly cpu: string;
  readonly cpus: number;
  readonly kernel: string;
  readonly version: string;
  /** Runnable processes on average before it began (the first load average). */
  readonly load: number;
}

const BUSY_WARNING =
  'But the machine did other work meanwhile, and that decides too: measure again when it is idle.';

/**
 * @param listing  the lines of the configuration, where they are to be shown
 */
export function tuneReport(
  measured: TuneMeasurements,
  settings: readonly Setting[],
  machine: TunedMachine,
  listing: Report['listing'],
): Report {
  return {
    title: 'esplane tune: what this machine carries',
    says: `${conclusion(measured, settings)}${isBusy(machine.load) ? ` ${BUSY_WARNING}` : ''}`,
    facts: [
      ['machine', `${machine.cpu}, ${machine.cpus} CPU${machine.cpus === 1 ? '' : 's'}`],
      ['software', `esplane ${machine.version}, Linux ${machine.kernel}`],
      loadFact(machine.load),
    ],
    sections: [
      settingsSection(settings),
      workersSection(measured, settings),
      burstsSection(measured),
      cryptoSection(measured),
      ...portSections(measured, settings),
    ],
    ...(listing === undefined ? {} : { listing }),
    missing: whatIsMissing(measured),
  };
}

function conclusion({ workers, ports }: TuneMeasurements, settings: readonly Setting[]): string {
  const chosen = settings.find(({ key }) => key === 'workers')!.value;
  const point = (bytes: number) =>
    workers.find((p) => p.bytes === bytes && p.workers === chosen && p.queues === chosen)!;
  const rate = (bytes: number) => packetsPerSecond(point(bytes));
  const who = chosen === 1 ? 'One worker carries' : `${chosen} workers carry`;
  const small = `${mpps(rate(SIZES[0]))} million packets a second of ${SIZES[0]} bytes`;
  const full = `${gbits(rate(SIZES[2]), SIZES[2])} Gbit/s of ${SIZES[2]}-byte packets`;
  const limit =
    ports === undefined ? 'not counting network cards' : `and ${portLimit(ports.points)}`;
  return `${who} ${small} or ${full} through ESP on this machine, ${limit}. Set workers = ${chosen}.`;
}

function portLimit(points: readonly PortPoint[]): string {
  const best = Math.max(...points.map(portRate));
  return `the ports ${mpps(best)} million packets a second at best`;
}

function workersSection(measured: TuneMeasurements, settings: readonly Setting[]): Section {
  const { value, evidence } = settings.find(({ key }) => key === 'workers')!;
  const counts = [...new Set(measured.workers.map(({ workers }) => workers))];
  const most = Math.max(...counts);
  const shared =
    most === 1
      ? 'There is one CPU, so there is nothing to compare.'
      : `Where one queue feeds all ${most} workers, they carry ${speedUp(measured.workers, most, 1).toFixed(2)} times what one does.`;
  const owned = measured.workers.filter(({ workers, queues }) => workers === queues);
  return {
    title: 'Workers',
    says: `${capital(evidence)}. ${shared}`,
    chart: {
      title: 'Packets through the pipeline, by workers with a queue each',
      x: { label: 'workers' },
      y: { label: 'packets a second', unit: 'Mpps' },
      series: SIZES.map((bytes) => ({
        name: `${bytes} B`,
        points: owned
          .filter((point) => point.bytes === bytes)
          .map((point) => ({ x: point.workers, y: packetsPerSecond(point) / 1e6 })),
      })),
      mark: { x: value, label: 'recommended' },
    },
    table: {
      columns: [
        { title: 'workers', digits: 0 },
        { title: 'queues', digits: 0 },
        ...SIZES.map((bytes) => ({ title: `${bytes} B, Mpps`, digits: 2 })),
        { title: `${SIZES[2]} B, Gbit/s`, digits: 2 },
      ],
      rows: measured.workers
        .filter(({ bytes }) => bytes === SIZES[0])
        .map(({ workers, queues }) => {
          const rates = SIZES.map((bytes) =>
            packetsPerSecond(
              measured.workers.find(
                (p) => p.bytes === bytes && p.workers === workers && p.queues === queues,
              )!,
            ),
          );
          const full = (rates[2]! * SIZES[2] * 8) / 1e9;
          return [workers, queues, ...rates.map((rate) => rate / 1e6), full];
        }),
    },
    notes: [
      `Tunnel mode, AES-${measured.keyBits}-GCM, one tunnel, over memory ports; as many packets out as in; sizes are those of inner IP packets; of many repetitions the fastest.`,
    ],
  };
}

function burstsSection({ bursts }: TuneMeasurements): Section {
  const rate = (burst: number, bytes: number) =>
    packetsPerSecond(bursts.find((p) => p.burst === burst && p.bytes === bytes)!);
  const gain = rate(64, SIZES[0]) / rate(1, SIZES[0]);
  return {
    title: 'Bursts',
    says: `Bursts of 64 carry ${gain.toFixed(1)} times the small packets that single packets do; a worker takes up to 64 whenever they wait, so there is nothing to set.`,
    chart: {
      title: 'Packets through one worker, by packets in a burst',
      x: { label: 'packets in a burst' },
      y: { label: 'packets a second', unit: 'Mpps' },
      series: SIZES.map((bytes) => ({
        name: `${bytes} B`,
        points: bursts
          .filter((point) => point.bytes === bytes)
          .map((point) => ({ x: point.burst, y: packetsPerSecond(point) / 1e6 })),
      })),
      mark: { x: 64, label: 'in use' },
    },
  };
}

function cryptoSection({ crypto }: TuneMeasurements): Section {
  const bytes = Math.max(...crypto.map((figure) => figure.bytes));
  const full = crypto
    .filter((figure) => figure.bytes === bytes)
    .sort((a, b) => b.gigabitsPerSecond - a.gigabitsPerSecond);
  const [first, last] = [full[0]!, full.at(-1)!];
  const times = first.gigabitsPerSecond / last.gigabitsPerSecond;
  return {
    title: 'Algorithms',
    says: `${first.suite} is the fastest here, ${first.gigabitsPerSecond.toFixed(1)} Gbit/s of ${bytes}-byte packets on a core: ${times.toFixed(1)} times ${last.suite}.`,
    chart: {
      title: 'Encryption alone on one core, by size',
      x: { label: 'bytes of text in a packet' },
      y: { label: 'encrypted text', unit: 'Gbit/s' },
      series: [...new Set(crypto.map(({ suite }) => suite))].map((suite) => ({
        name: shortName(suite),
        points: crypto
          .filter((figure) => figure.suite === suite)
          .map((figure) => ({ x: figure.bytes, y: figure.gigabitsPerSecond })),
      })),
    },
    table: {
      columns: [
        { title: 'algorithms' },
        { title: 'engine' },
        { title: `${bytes} B, Gbit/s`, digits: 1 },
      ],
      rows: full.map((figure) => [figure.suite, figure.engine, figure.gigabitsPerSecond]),
    },
  };
}

/** As people call them; the table has the whole name. */
function shortName(suite: string): string {
  return suite
    .replace(/^AES-GCM-16-(\d+)$/, 'AES-$1-GCM')
    .replace(/^ChaCha20-Poly1305$/, 'ChaCha20')
    .replace(/^AES-CBC-(\d+)\/.*$/, 'AES-$1-CBC');
}

const CURVES: readonly {
  readonly varied: PortPoint['varied'];
  readonly title: string;
  readonly label: string;
  readonly key?: Setting['key'];
}[] = [
  { varied: 'workers', title: 'Workers on the port', label: 'workers' },
  { varied: 'burst', title: 'Bursts on the port', label: 'packets in a burst' },
  { varied: 'ringEntries', title: 'Rings', label: 'entries of a ring', key: 'frames' },
  {
    varied: 'busyPollMicroseconds',
    title: 'Busy polling',
    label: 'microseconds',
    key: 'busy_poll_microseconds',
  },
];

function portSections({ ports }: TuneMeasurements, settings: readonly Setting[]): Section[] {
  if (ports === undefined) return [];
  const path =
    ports.receiver === undefined
      ? `${ports.sender} sends (${ports.modes.join(', ')})`
      : `${ports.sender} to ${ports.receiver} (${ports.modes.join(', ')})`;
  return CURVES.map(({ varied, title, label, key }) => {
    const points = ports.points.filter((point) => point.varied === varied);
    const best = points.reduce((a, b) => (portRate(b) > portRate(a) ? b : a));
    const setting = settings.find((one) => one.key === key);
    const says =
      setting === undefined
        ? `Most pass with ${label} = ${best[varied]}: ${mpps(portRate(best))} million packets a second.`
        : `${capital(setting.evidence)}.`;
    const chart: Chart = {
      title: `Packets over the port, by ${label}`,
      x: { label },
      y: { label: 'packets a second', unit: 'Mpps' },
      series: [
        { name: 'sent', points: points.map((p) => ({ x: p[varied], y: p.sentPerSecond / 1e6 })) },
        ...(ports.receiver === undefined
          ? []
          : [
              {
                name: 'received',
                points: points.map((p) => ({ x: p[varied], y: p.receivedPerSecond! / 1e6 })),
              },
            ]),
      ],
    };
    return { title, says, chart, notes: [`${path}, packets of 64 bytes, without the pipeline.`] };
  });
}

function settingsSection(settings: readonly Setting[]): Section {
  return {
    title: 'Recommended',
    says: `In [gateway]: ${settings.map(({ key, value }) => `${key} = ${value}`).join(', ')}.`,
    table: {
      columns: [{ title: 'setting' }, { title: 'because' }],
      rows: settings.map(({ key, value, evidence }) => [`${key} = ${value}`, evidence]),
    },
  };
}

function whatIsMissing({ ports }: TuneMeasurements): string[] {
  if (ports === undefined) {
    return [
      'network cards: rings, busy polling and what the driver costs (--port eth0 sends from a port; --port eth0 --port eth1, joined by a cable, receives too)',
    ];
  }
  if (ports.receiver === undefined) {
    return [
      `receiving: nothing is cabled to ${ports.sender} that sends back (--port ${ports.sender} --port OTHER, joined by a cable)`,
    ];
  }
  return [];
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function mpps(perSecond: number): string {
  return (perSecond / 1e6).toFixed(2);
}

function gbits(perSecond: number, bytes: number): string {
  return ((perSecond * bytes * 8) / 1e9).toFixed(2);
}
