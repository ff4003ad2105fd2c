/** What a run of the lab has shown: the JSON object at its end, and whether all went well. */
import type { Status } from '../api/status.js';
import type { PingResult, TcpResult } from './traffic.js';

export interface LabReport {
  readonly ok: boolean;
  /** What did not go well. */
  readonly problems: readonly string[];
  readonly network: 'namespaces' | 'memory';
  readonly plain: boolean;
  /** The mode that each port got, by `<gateway>/<device>`. */
  readonly ports: Readonly<Record<string, string>>;
  /** Established, at gateway a. */
  readonly ikeSas: number;
  readonly childSas: number;
  readonly ping: PingResult;
  readonly tcp?: BulkResult;
  /** In place of TCP, where there are no hosts: datagrams as fast as the gateways take them. */
  readonly bulk?: BulkResult;
  /** Both gateways together. */
  readonly esp: { readonly outPackets: number; readonly inPackets: number };
  readonly drops: Readonly<Record<string, number>>;
  /** Between the gateways; as counted by the tap on the wire. */
  readonly cleartextPackets: number;
  readonly wire: WireCounts;
}

export interface BulkResult {
  readonly bitsPerSecond: number;
  readonly aToB: number;
  readonly bToA: number;
}

export interface WireCounts {
  readonly espPackets: number;
  readonly ikePackets: number;
  readonly clearTextPackets: number;
  /** Packets that the tap could not count; where there are some, its counts are too low. */
  readonly missed: number;
}

/** What was seen when the traffic had stopped. */
export interface Observation {
  readonly network: LabReport['network'];
  readonly plain: boolean;
  readonly a: Status;
  readonly b: Status;
  readonly wire: WireCounts;
  readonly ping: PingResult;
  readonly bulk: BulkResult;
  /** Failures on the way, such as a TCP connection that broke. */
  readonly failures: readonly string[];
}

export function makeReport(seen: Observation): LabReport {
  const { a, b, wire, ping, network, plain } = seen;
  const ikeSas = a.connections.flatMap((connection) => connection.ikeSas);
  const established = ikeSas.filter((sa) => sa.state === 'established');
  const esp = {
    outPackets: a.esp.outPackets + b.esp.outPackets,
    inPackets: a.esp.inPackets + b.esp.inPackets,
  };
  const report = {
    network,
    plain,
    ports: { ...portModes('a', a), ...portModes('b', b) },
    ikeSas: established.length,
    childSas: established.reduce((sum, sa) => sum + sa.childSas.length, 0),
    ping,
    ...(network === 'memory' ? { bulk: seen.bulk } : { tcp: seen.bulk }),
    esp,
    drops: addUp(a.drops, b.drops),
    cleartextPackets: wire.clearTextPackets,
    wire,
  };
  const problems = [...seen.failures, ...findProblems(report, seen.bulk)];
  return { ok: problems.length === 0, problems, ...report };
}

function findProblems(
  report: Omit<LabReport, 'ok' | 'problems'>,
  { aToB, bToA }: BulkResult,
): string[] {
  const { ping, esp, wire } = report;
  const rules: [boolean, string][] = [
    [ping.sent > 0, 'no ping was sent'],
    [ping.received === ping.sent, `${ping.sent - ping.received} pings were lost`],
    [aToB > 0 && bToA > 0, 'no bulk traffic in one direction'],
    ...(report.plain ? plainRules(report) : protectedRules(report)),
    [wire.missed === 0, `the tap missed ${wire.missed} packets`],
    [
      wire.espPackets === esp.outPackets,
      `the wire saw ${wire.espPackets} ESP packets, the gateways sent ${esp.outPackets}`,
    ],
  ];
  return rules.filter(([holds]) => !holds).map(([, problem]) => problem);
}

function protectedRules(report: Omit<LabReport, 'ok' | 'problems'>): [boolean, string][] {
  const { ikeSas, childSas, esp, cleartextPackets } = report;
  return [
    [ikeSas > 0 && childSas > 0, 'no tunnel'],
    [esp.inPackets > 0, 'no ESP packet was accepted'],
    [cleartextPackets === 0, `${cleartextPackets} packets crossed the wire in clear`],
  ];
}

/** With encryption off, the tap must see what it must never see otherwise. */
function plainRules({ cleartextPackets, esp }: Omit<LabReport, 'ok' | 'problems'>) {
  const rules: [boolean, string][] = [
    [cleartextPackets > 0, 'the tap saw no clear text although encryption is off'],
    [esp.outPackets === 0, 'ESP although encryption is off'],
  ];
  return rules;
}

function portModes(gateway: string, { ports }: Status): Record<string, string> {
  return Object.fromEntries(ports.map(({ device, mode }) => [`${gateway}/${device}`, mode]));
}

function addUp(...counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const [name, count] of counts.flatMap(Object.entries) as [string, number][]) {
    sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}

/** Mean rates of several measurements, weighted by their length. */
export function bulkResult(aToB: readonly TcpResult[], bToA: readonly TcpResult[]): BulkResult {
  const mean = (results: readonly TcpResult[]): number => {
    const seconds = results.reduce((sum, result) => sum + result.seconds, 0);
    const bytes = results.reduce((sum, result) => sum + result.bytes, 0);
    return seconds > 0 ? Math.round((bytes * 8) / seconds) : 0;
  };
  return { bitsPerSecond: mean([...aToB, ...bToA]), aToB: mean(aToB), bToA: mean(bToA) };
}
