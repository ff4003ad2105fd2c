/**
 * The status for people, laid out as `wg show` does: a heading, then one fact a line. Pure: a
 * status in, text out; the lab draws with it too.
 */
import type { ChildSaStatus, ConnectionStatus, IkeSaStatus, Status } from '../api/status.js';

/** @param previous an earlier status of the same gateway: rates are shown too */
export function renderStatus(status: Status, previous?: Status): string {
  const seconds =
    previous === undefined ? 0 : Math.max(0, status.uptimeSeconds - previous.uptimeSeconds);
  const rates = seconds > 0 ? new Rates(previous!, seconds) : undefined;
  const lines = [
    `gateway: ${status.name}`,
    `  esplane ${status.version}, up ${duration(status.uptimeSeconds)}, ` +
      `${count(status.workers, 'worker')}, AES-GCM on ${status.cryptoKernel}`,
    ...status.ports.map(renderPort),
    ...status.connections.flatMap((connection) => ['', ...renderConnection(connection, rates)]),
    '',
    ...renderDrops(status, rates),
  ];
  return `${lines.join('\n')}\n`;
}

function renderPort(port: Status['ports'][number]): string {
  const note = port.note === '' ? '' : ` (${port.note})`;
  const traffic = `${packets(port.rxPackets)} in, ${packets(port.txPackets)} out`;
  return `  ${port.role} ${port.device}: ${port.mode}${note}, ${count(port.queues, 'queue')}, ${traffic}`;
}

function renderConnection(connection: ConnectionStatus, rates: Rates | undefined): string[] {
  const up = connection.ikeSas.some((sa) => sa.childSas.length > 0);
  const lines = [`connection: ${connection.name}`, `  state: ${stateOf(connection, up)}`];
  if (connection.interface !== undefined) {
    const { name, mtu, inPackets, outPackets } = connection.interface;
    const traffic = `${packets(inPackets)} received, ${packets(outPackets)} sent`;
    lines.push(`  interface: ${name}, MTU ${mtu}, ${traffic}`);
  }
  if (connection.lastError !== undefined && !up) {
    lines.push(...indent(connection.lastError, '  last error: '));
  }
  return [...lines, ...connection.ikeSas.flatMap((sa) => renderIkeSa(sa, rates))];
}

function stateOf(connection: ConnectionStatus, up: boolean): string {
  if (up) return 'up';
  if (connection.ikeSas.some((sa) => sa.state === 'connecting')) return 'connecting';
  return { up: 'down, retrying', down: 'down', 'on-demand': 'waiting for traffic or the peer' }[
    connection.wanted
  ];
}

function renderIkeSa(sa: IkeSaStatus, rates: Rates | undefined): string[] {
  const nat = sa.nat === 'none' ? 'no NAT' : `NAT: ${sa.nat}`;
  return [
    `  IKE SA: ${sa.initiatorSpi} ${sa.responderSpi}, ${sa.state}, ${sa.role}`,
    `    ${sa.local} [${sa.localId}] <-> ${sa.remote} [${sa.remoteId}], ${nat}`,
    sa.state === 'connecting'
      ? `    begun ${duration(sa.ageSeconds)} ago`
      : `    ${sa.proposal}, ${duration(sa.ageSeconds)} old`,
    ...sa.childSas.flatMap((child) => renderChildSa(child, rates)),
  ];
}

function renderChildSa(sa: ChildSaStatus, rates: Rates | undefined): string[] {
  const udp = sa.udpEncapsulation ? ' in UDP' : '';
  const form = `${sa.protocol.toUpperCase()}${udp} ${sa.mode}`;
  const whose = sa.resource === undefined ? '' : `, ${queueOf(sa.resource)}`;
  const lines = [
    `  Child SA: ${sa.name}, ${form}${whose}, SPI ${sa.inboundSpi} in, ${sa.outboundSpi} out`,
    `    ${sa.localSelectors.join(', ')} <-> ${sa.remoteSelectors.join(', ')}`,
    `    ${sa.proposal}, ${duration(sa.ageSeconds)} old`,
    `    transfer: ${bytes(sa.inBytes)} received (${packets(sa.inPackets)}), ` +
      `${bytes(sa.outBytes)} sent (${packets(sa.outPackets)})`,
  ];
  const rate = rates?.of(sa);
  if (rate !== undefined) {
    lines.push(`    rate: ${bits(rate.inBits)} received, ${bits(rate.outBits)} sent`);
  }
  return lines;
}

function queueOf(resource: number | 'all'): string {
  return resource === 'all' ? 'of all queues' : `of queue ${resource}`;
}

function renderDrops(status: Status, rates: Rates | undefined): string[] {
  const drops = Object.entries(status.drops).sort(([, a], [, b]) => b - a);
  if (drops.length === 0) return ['drops: none'];
  return [
    'drops:',
    ...drops.map(([name, total]) => {
      const now = rates?.drops(name, total) ?? 0;
      return `  ${name}: ${packets(total)}${now > 0 ? `, ${decimal(now)} a second` : ''}`;
    }),
  ];
}

/** Differences to an earlier status, a second. */
class Rates {
  readonly #children = new Map<string, ChildSaStatus>();
  readonly #drops: Readonly<Record<string, number>>;
  readonly #seconds: number;

  constructor(previous: Status, seconds: number) {
    this.#seconds = seconds;
    this.#drops = previous.drops;
    for (const connection of previous.connections) {
      for (const child of connection.ikeSas.flatMap((sa) => sa.childSas)) {
        this.#children.set(child.inboundSpi, child);
      }
    }
  }

  of(sa: ChildSaStatus): { inBits: number; outBits: number } | undefined {
    const before = this.#children.get(sa.inboundSpi);
    if (before === undefined) return undefined;
    const rate = (now: number, then: number) => Math.max(0, ((now - then) * 8) / this.#seconds);
    return {
      inBits: rate(sa.inBytes, before.inBytes),
      outBits: rate(sa.outBytes, before.outBytes),
    };
  }

  drops(name: string, total: number): number {
    return Math.max(0, (total - (this.#drops[name] ?? 0)) / this.#seconds);
  }
}

function indent(text: string, head: string): string[] {
  return text.split('\n').map((line, i) => `${i === 0 ? head : '    '}${line}`);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function packets(number: number): string {
  return `${number.toLocaleString('en')} ${number === 1 ? 'packet' : 'packets'}`;
}

/** Three digits, as many as a rate deserves. */
function decimal(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let unit = 0;
  let rest = value;
  for (; rest >= step && unit < units.length - 1; unit++) rest /= step;
  return `${unit === 0 ? Math.round(rest) : decimal(rest)} ${units[unit]}`;
}

export function bytes(value: number): string {
  return scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']);
}

export function bits(perSecond: number): string {
  return scaled(perSecond, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s']);
}

/** The two largest units, such as `2 hours 5 minutes`. */
export function duration(seconds: number): string {
  const units: [string, number][] = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
    ['second', 1],
  ];
  let rest = Math.floor(seconds);
  const parts: string[] = [];
  for (const [name, size] of units) {
    const value = Math.floor(rest / size);
    rest -= value * size;
    if (value > 0) parts.push(count(value, name));
  }
  return parts.slice(0, 2).join(' ') || '0 seconds';
}
