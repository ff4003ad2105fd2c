/**
 * What the lab shows: the network, and below it the tunnel, its SAs, the traffic and the drops.
 * Pure: a view in, lines of text out. `Screen` puts them on a terminal, in place.
 */
import type { ChildSaStatus, Status } from '../api/status.js';
import { bits, duration } from '../cli/render-status.js';
import type { PingResult } from './traffic.js';

export interface LabView {
  readonly headline: string;
  readonly elapsedSeconds: number;
  readonly a: GatewayView;
  readonly b: GatewayView;
  readonly wire: WireView | undefined;
  readonly ping: PingResult;
  /** Latest figure of each direction. */
  readonly bulk: { readonly name: string; readonly aToB?: number; readonly bToA?: number };
  readonly doing: string;
}

export interface GatewayView {
  readonly host: readonly [string, string];
  readonly wan: readonly [string, string];
  readonly status: Status | undefined;
  /** An earlier status, for rates. */
  readonly previous: Status | undefined;
}

export interface WireView {
  readonly espPackets: number;
  readonly clearTextPackets: number;
}

/** The whole picture, 80 columns wide. */
export function draw(view: LabView): string[] {
  return [
    `${view.headline.padEnd(66)}${clock(view.elapsedSeconds).padStart(14)}`,
    '',
    ...drawNetwork(view),
    '',
    ...drawTunnel(view),
    '',
    `ping    ${pingLine(view.ping)}`,
    `${view.bulk.name.padEnd(8)}a -> b ${rate(view.bulk.aToB)}   b -> a ${rate(view.bulk.bToA)}`,
    `drops   gateway a: ${dropsLine(view.a.status)}`,
    `        gateway b: ${dropsLine(view.b.status)}`,
    '',
    view.doing,
  ];
}

/** The same in one line, for a log. */
export function drawLine(view: LabView): string {
  const flows = directions(view).map(({ name, sa, before, seconds }) => {
    const { packets, bitsPerSecond } = flowRates(sa, before, seconds);
    return `${name} ${whole(packets)} packets/s ${bits(bitsPerSecond)}`;
  });
  const wire = view.wire === undefined ? [] : [`clear text ${view.wire.clearTextPackets}`];
  return [
    `${clock(view.elapsedSeconds)}  ${flows.length === 0 ? 'no tunnel' : flows.join(', ')}`,
    `ping ${view.ping.received}/${view.ping.sent}`,
    ...wire,
    `drops ${dropsLine(view.a.status)} / ${dropsLine(view.b.status)}`,
  ].join('; ');
}

function drawNetwork({ a, b, wire }: LabView): string[] {
  const cells = [a.host, a.wan, b.wan, b.host].map((pair) => pair.map((text) => text.padEnd(11)));
  const [hostA, wanA, wanB, hostB] = cells as [string[], string[], string[], string[]];
  const esp = wire === undefined ? '' : `ESP ${whole(wire.espPackets)}`;
  const clear = wire === undefined ? '' : `clear text ${whole(wire.clearTextPackets)}`;
  const box = '───────────';
  return [
    ` host a         gateway a           the wire         gateway b        host b`,
    `┌${box}┐  ┌${box}┐                        ┌${box}┐  ┌${box}┐`,
    `│${hostA[0]}├──┤${wanA[0]}╞════════════════════════╡${wanB[0]}├──┤${hostB[0]}│`,
    `│${hostA[1]}│  │${wanA[1]}│${centre(esp)}│${wanB[1]}│  │${hostB[1]}│`,
    `└${box}┘  └${box}┘${centre(clear)}└${box}┘  └${box}┘`,
    `               ${portLine(a.status).padEnd(37)}${portLine(b.status)}`,
  ];
}

function centre(text: string): string {
  const left = Math.max(0, Math.floor((24 - text.length) / 2));
  return `${' '.repeat(left)}${text}`.padEnd(24);
}

/** The modes of a gateway's ports: once, where they are the same. */
function portLine(status: Status | undefined): string {
  return [...new Set(status?.ports.map((port) => port.mode))].join(', ');
}

function drawTunnel(view: LabView): string[] {
  const connection = view.a.status?.connections[0];
  if (connection === undefined) return ['tunnel  none'];
  const sa = connection.ikeSas[0];
  if (sa === undefined) {
    const why = connection.lastError?.split('\n')[0] ?? 'not up yet';
    return [`tunnel  ${connection.name}: ${why}`];
  }
  return [
    `tunnel  ${connection.name}: IKE SA ${sa.state}, ${duration(sa.ageSeconds)} old`,
    `        SPIs ${sa.initiatorSpi} and ${sa.responderSpi}`,
    `        ${sa.proposal}`,
    '',
    '        SPI       algorithm           packets/s      bits/s       sent  received',
    ...directions(view).map(flowLine),
  ];
}

interface Direction {
  readonly name: string;
  /** The SA pair at its sender, now and before. */
  readonly sa: ChildSaStatus;
  readonly before: ChildSaStatus | undefined;
  readonly received: number | undefined;
  readonly seconds: number;
}

/** Both SAs of the newest tunnel, each seen from its sender. */
function directions({ a, b }: LabView): Direction[] {
  return [
    { name: 'a -> b', from: a, to: b },
    { name: 'b -> a', from: b, to: a },
  ].flatMap(({ name, from, to }) => {
    const sa = childSas(from.status).at(-1);
    if (sa === undefined) return [];
    const peer = childSas(to.status).find(({ inboundSpi }) => inboundSpi === sa.outboundSpi);
    const before = childSas(from.previous).find(({ inboundSpi }) => inboundSpi === sa.inboundSpi);
    const seconds = (from.status?.uptimeSeconds ?? 0) - (from.previous?.uptimeSeconds ?? 0);
    return [{ name, sa, before, received: peer?.inPackets, seconds }];
  });
}

export function childSas(status: Status | undefined): ChildSaStatus[] {
  const connections = status?.connections ?? [];
  return connections.flatMap(({ ikeSas }) => ikeSas.flatMap((sa) => sa.childSas));
}

function flowRates(sa: ChildSaStatus, before: ChildSaStatus | undefined, seconds: number) {
  if (before === undefined || seconds <= 0) return { packets: 0, bitsPerSecond: 0 };
  return {
    packets: (sa.outPackets - before.outPackets) / seconds,
    bitsPerSecond: ((sa.outBytes - before.outBytes) * 8) / seconds,
  };
}

function flowLine({ name, sa, before, received, seconds }: Direction): string {
  const { packets, bitsPerSecond } = flowRates(sa, before, seconds);
  const algorithm = `${sa.proposal}${sa.udpEncapsulation ? ' in UDP' : ''}`;
  return [
    `${name}  ${sa.outboundSpi}  ${algorithm.padEnd(18)}`,
    `${whole(packets).padStart(9)}${bits(bitsPerSecond).padStart(12)}`,
    `${whole(sa.outPackets).padStart(10)}${(received === undefined ? '-' : whole(received)).padStart(10)}`,
  ].join(' ');
}

function pingLine({ sent, received, milliseconds }: PingResult): string {
  const time = milliseconds === undefined ? '' : `, ${milliseconds.toFixed(2)} ms`;
  return `${whole(sent)} sent, ${whole(received)} received${time}`;
}

function dropsLine(status: Status | undefined): string {
  const drops = Object.entries(status?.drops ?? {}).filter(([, count]) => count > 0);
  return drops.map(([name, count]) => `${name} ${whole(count)}`).join(', ') || 'none';
}

const rate = (bitsPerSecond: number | undefined): string =>
  bitsPerSecond === undefined ? '-' : bits(bitsPerSecond);

const whole = (value: number): string => Math.round(value).toLocaleString('en');

function clock(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}

/** A terminal that is drawn over in place, or a log that gets a line each time. */
export class Screen {
  readonly #out: NodeJS.WriteStream;
  #drawn = false;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  show(view: LabView): void {
    if (!this.#out.isTTY) {
      const lines = this.#drawn ? [drawLine(view)] : draw(view);
      this.#out.write(`${lines.join('\n')}\n`);
    } else {
      const width = Math.max(40, this.#out.columns || 80);
      // Each line is cleared first: behind a full one, the cursor still stands on its last column.
      const lines = draw(view).map((line) => `\x1b[2K${line.slice(0, width)}\n`);
      // Home without clearing first: no flicker. The very first time, clear what was there.
      this.#out.write(`${this.#drawn ? '' : '\x1b[2J'}\x1b[?25l\x1b[H${lines.join('')}\x1b[J`);
    }
    this.#drawn = true;
  }

  /** Gives the cursor back. */
  close(): void {
    if (this.#out.isTTY) this.#out.write('\x1b[?25h');
  }
}
