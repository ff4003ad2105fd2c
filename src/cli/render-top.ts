/** What `esplane top` shows: rates between two statuses. Pure. */
import type { Status } from '../api/status.js';
import type { QueueRings } from '../dataplane/dataplane.js';
import { bits, duration } from './render-status.js';

/** Rates, a second. */
export interface Top {
  readonly name: string;
  readonly uptimeSeconds: number;
  readonly seconds: number;
  readonly workers: readonly WorkerRates[];
  readonly tunnels: readonly TunnelRates[];
  readonly drops: Readonly<Record<string, number>>;
}

export interface WorkerRates {
  readonly worker: number;
  readonly packets: number;
  /** Of its time, 0 to 1. */
  readonly busy: number;
  /** Ticks of the time stamp counter; 0 without packets. */
  readonly cyclesPerPacket: number;
  readonly helpedBursts: number;
  /** Of the fullest ring of its queues, 0 to 1; without AF_XDP there are none. */
  readonly receiveRing?: number;
  readonly transmitRing?: number;
}

export interface TunnelRates {
  readonly connection: string;
  readonly child: string;
  readonly inPackets: number;
  readonly inBits: number;
  readonly outPackets: number;
  readonly outBits: number;
  readonly ageSeconds: number;
}

/** @param before  an earlier status of the same gateway */
export function topOf(before: Status, now: Status): Top {
  const seconds = Math.max(now.uptimeSeconds - before.uptimeSeconds, 1e-3);
  const rate = (after: number, earlier = 0) => Math.max(0, (after - earlier) / seconds);
  const workers = now.workerLoads.map((load, worker): WorkerRates => {
    const old = before.workerLoads[worker] ?? {
      packets: 0,
      helpedBursts: 0,
      busyCycles: 0,
      cycles: 0,
    };
    const [packets, busy] = [load.packets - old.packets, load.busyCycles - old.busyCycles];
    return {
      worker,
      packets: rate(load.packets, old.packets),
      busy: busy / Math.max(1, load.cycles - old.cycles),
      cyclesPerPacket: packets > 0 ? busy / packets : 0,
      helpedBursts: rate(load.helpedBursts, old.helpedBursts),
      ...ringsOf(load.rings),
    };
  });
  const drops = Object.entries(now.drops)
    .map(([name, total]) => [name, rate(total, before.drops[name])] as const)
    .filter(([, value]) => value > 0);
  return {
    name: now.name,
    uptimeSeconds: now.uptimeSeconds,
    seconds,
    workers,
    tunnels: tunnelRates(before, now, rate),
    drops: Object.fromEntries(drops),
  };
}

function ringsOf(queues: readonly QueueRings[]): Pick<WorkerRates, 'receiveRing' | 'transmitRing'> {
  if (queues.length === 0) return {};
  const fullest = (ring: 'receive' | 'transmit') =>
    Math.max(...queues.map((queue) => queue[ring].used / queue[ring].size));
  return { receiveRing: fullest('receive'), transmitRing: fullest('transmit') };
}

/** By connection and Child SA: what is rekeyed goes on counting. */
function tunnelRates(
  before: Status,
  now: Status,
  rate: (after: number, earlier?: number) => number,
): TunnelRates[] {
  const old = new Map(childSas(before).map(({ sa }) => [sa.inboundSpi, sa]));
  const tunnels = new Map<string, TunnelRates>();
  for (const { connection, sa } of childSas(now)) {
    const earlier = old.get(sa.inboundSpi);
    const key = `${connection}/${sa.name}`;
    const sum = tunnels.get(key);
    tunnels.set(key, {
      connection,
      child: sa.name,
      inPackets: (sum?.inPackets ?? 0) + rate(sa.inPackets, earlier?.inPackets),
      inBits: (sum?.inBits ?? 0) + 8 * rate(sa.inBytes, earlier?.inBytes),
      outPackets: (sum?.outPackets ?? 0) + rate(sa.outPackets, earlier?.outPackets),
      outBits: (sum?.outBits ?? 0) + 8 * rate(sa.outBytes, earlier?.outBytes),
      ageSeconds: Math.min(sum?.ageSeconds ?? Number.POSITIVE_INFINITY, sa.ageSeconds),
    });
  }
  return [...tunnels.values()].sort((a, b) => b.inBits + b.outBits - a.inBits - a.outBits);
}

function childSas({ connections }: Status) {
  return connections.flatMap(({ name, ikeSas }) =>
    ikeSas.flatMap((ike) => ike.childSas.map((sa) => ({ connection: name, sa }))),
  );
}

/** @param rows  lines that there is room for; the quietest tunnels are left out */
export function renderTop(top: Top, rows = Number.POSITIVE_INFINITY): string {
  const number = (value: number) => Math.round(value).toLocaleString('en');
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
  const workers = table(
    ['worker', 'packets/s', 'busy', 'cycles/packet', 'bursts helped/s', 'rx ring', 'tx ring'],
    top.workers.map((one) => [
      String(one.worker),
      number(one.packets),
      percent(one.busy),
      one.cyclesPerPacket === 0 ? '-' : number(one.cyclesPerPacket),
      number(one.helpedBursts),
      one.receiveRing === undefined ? '-' : percent(one.receiveRing),
      one.transmitRing === undefined ? '-' : percent(one.transmitRing),
    ]),
  );
  const drops = Object.entries(top.drops)
    .sort(([, a], [, b]) => b - a)
    .map(([name, value]) => `${name} ${number(value)}`);
  const foot = ['', `drops a second: ${drops.length === 0 ? 'none' : drops.join(', ')}`];
  const head = [`gateway ${top.name}, up ${duration(top.uptimeSeconds)}`, '', ...workers, ''];
  const room = Math.max(1, rows - head.length - foot.length - 2);
  const shown = top.tunnels.slice(0, room);
  const tunnels = table(
    ['tunnel', 'received', 'packets/s', 'sent', 'packets/s', 'SA age'],
    shown.map((one) => [
      `${one.connection}/${one.child}`,
      bits(one.inBits),
      number(one.inPackets),
      bits(one.outBits),
      number(one.outPackets),
      duration(one.ageSeconds),
    ]),
  );
  const left = top.tunnels.length - shown.length;
  const more = left === 0 ? [] : [`and ${left} more that carry less`];
  return `${[...head, ...tunnels, ...more, ...foot].join('\n')}\n`;
}

/** The first column to the left, all others to the right. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [heads, ...rows];
  const widths = heads.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  return all.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}
