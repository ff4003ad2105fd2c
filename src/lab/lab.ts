/**
 * `esplane lab`: two gateways, their hosts and the wire between them, in five namespaces of this
 * machine, with traffic through the tunnel and its status on the screen. Without root, or where
 * asked for, the same two gateways run in one process over memory ports.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Status } from '../api/status.js';
import { version } from '../version.js';
import { type LabView, Screen } from './draw.js';
import { LabTraffic } from './lab-traffic.js';
import { startMemoryLab } from './memory-lab.js';
import { NamespaceLab } from './namespace-lab.js';
import { whyNoNamespaces } from './namespaces.js';
import { sleep } from './program.js';
import { type LabReport, makeReport, type WireCounts } from './report.js';
import type { RunningLab } from './running-lab.js';
import { makeTopology, type SiteAddresses, siteAddresses } from './topology.js';

export interface LabOptions {
  /** Seconds of traffic; undefined: until a signal. */
  readonly durationSeconds: number | undefined;
  /** Print the report as one line of JSON, and what is for people on standard error. */
  readonly json: boolean;
  /** Memory ports in one process, even where namespaces can be had. */
  readonly memory: boolean;
  /** Encryption off: the control run. */
  readonly plain: boolean;
}

const REFRESH_MILLISECONDS = 1000;
/** For packets still on their way when the traffic has ended. */
const SETTLE_MILLISECONDS = 500;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs the lab to its end and removes it; resolves to whether all went well. */
export async function runLab(options: LabOptions): Promise<boolean> {
  const out = options.json ? process.stderr : process.stdout;
  const screen = new Screen(out);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    const why = options.memory ? undefined : whyNoNamespaces();
    if (why !== undefined) out.write(`no network namespaces (${why}): running in one process\n`);
    const inMemory = options.memory || why !== undefined;
    const run = inMemory ? runInMemory : runInNamespaces;
    const report = await run(options, screen, stop.signal);
    screen.close();
    if (report !== undefined) printReport(report, options);
    return report?.ok ?? true;
  } finally {
    screen.close();
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

/** Resolves to undefined where a signal ended it before its time. */
async function runInNamespaces(
  options: LabOptions,
  screen: Screen,
  signal: AbortSignal,
): Promise<LabReport | undefined> {
  const topology = makeTopology();
  const folder = mkdtempSync(join(tmpdir(), 'esplane-lab-'));
  try {
    const starting = NamespaceLab.start(topology, folder, options.plain);
    return await runUntilEnd(starting, options, screen, signal);
  } finally {
    topology.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runInMemory(
  options: LabOptions,
  screen: Screen,
  signal: AbortSignal,
): Promise<LabReport | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-lab-'));
  try {
    const starting = startMemoryLab(folder, options.plain);
    return await runUntilEnd(starting, options, screen, signal);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runUntilEnd(
  starting: Promise<RunningLab>,
  options: LabOptions,
  screen: Screen,
  signal: AbortSignal,
): Promise<LabReport | undefined> {
  const aborted = new Promise<undefined>((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const lab = await Promise.race([starting, aborted]);
  if (lab === undefined) return undefined;
  const seen = await Promise.race([observe(lab, options, screen, signal), aborted]);
  // In any case in an orderly way: the gateways tell each other with Deletes.
  const more = await lab.stop();
  return seen === undefined
    ? undefined
    : makeReport({ ...seen, failures: [...seen.failures, ...more] });
}

/** Shows the traffic while it runs; resolves to what was seen once it has stopped. */
async function observe(
  lab: RunningLab,
  options: LabOptions,
  screen: Screen,
  signal: AbortSignal,
): Promise<Parameters<typeof makeReport>[0]> {
  const traffic = new LabTraffic(await lab.makeTraffic(), options.durationSeconds);
  const started = performance.now();
  let over = false;
  const running = traffic.run().finally(() => {
    over = true;
  });
  let previous: { a: Status; b: Status } | undefined;
  while (!over && !signal.aborted) {
    const [now, wire] = await Promise.all([lab.statuses(), lab.wire()]);
    const elapsedSeconds = (performance.now() - started) / 1000;
    screen.show(view(lab, options, { now, previous, wire, traffic, elapsedSeconds }));
    previous = now;
    await Promise.race([sleep(REFRESH_MILLISECONDS), running]);
  }
  traffic.stop();
  await running;
  await sleep(SETTLE_MILLISECONDS);
  const [{ a, b }, wire] = await Promise.all([lab.statuses(), lab.wire()]);
  const { ping, bulk, failures } = traffic;
  return { network: lab.network, plain: options.plain, a, b, wire, ping, bulk, failures };
}

interface Moment {
  readonly now: { a: Status; b: Status };
  readonly previous: { a: Status; b: Status } | undefined;
  readonly wire: WireCounts;
  readonly traffic: LabTraffic;
  readonly elapsedSeconds: number;
}

function view(
  { headline, bulkName }: RunningLab,
  { plain, durationSeconds }: LabOptions,
  { now, previous, wire, traffic, elapsedSeconds }: Moment,
): LabView {
  const gateway = ({ name, host, wan }: SiteAddresses) => ({
    host: [host.ipv4, host.ipv6] as const,
    wan: [wan.ipv4, wan.ipv6] as const,
    status: now[name],
    previous: previous?.[name],
  });
  const rest =
    durationSeconds === undefined
      ? 'Ctrl-C ends it and removes everything.'
      : `Ends by itself after ${durationSeconds} s of traffic.`;
  return {
    headline: `esplane ${version}: ${headline}`,
    elapsedSeconds,
    a: gateway(siteAddresses('a')),
    b: gateway(siteAddresses('b')),
    wire,
    ping: traffic.ping,
    bulk: { name: bulkName, ...traffic.latest },
    doing: plain ? `Control run: encryption is off. ${rest}` : rest,
  };
}

function printReport(report: LabReport, { json }: LabOptions): void {
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else if (report.ok) process.stdout.write('lab: all went well\n');
  else process.stdout.write(`lab: not well: ${report.problems.join('; ')}\n`);
}
