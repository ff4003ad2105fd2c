/**
 * AH and the headers around it, with a real Linux kernel: options of IPv4 and extension headers of
 * IPv6, which it covers or takes for zero (RFC 4302 §3.3.3.1, Appendix A), and what routers change
 * on the way.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TRANSFORMS } from '../transforms.js';
import { internetChecksum } from '../unit/dataplane/packets.js';
import { type Cell, makeCell, PINGS } from './matrix/cells.js';
import { MatrixGateway } from './matrix/gateway.js';
import { LinuxPeer } from './matrix/linux-peer.js';
import { essence, pingsOf } from './matrix/pings.js';
import { isLinkLocal } from './matrix/wire.js';
import { whyNoPrograms } from './support/network.js';

const why = whyNoPrograms('linux.uml', 'modprobe', 'g++');

const AH = ['AH HMAC-SHA1-96', 'AH HMAC-SHA2-256-128', 'AH HMAC-SHA2-512-256'].map(
  (name) => TRANSFORMS.find((transform) => transform.name === name)!,
);
const inTransport = (family: 4 | 6, esn: boolean) =>
  ({ mode: 'transport', inner: family, outer: family, esn, udp: false }) as const;

/** RFC 791 §3.1, RFC 2113; the last is unassigned. In each, what AH has to take for zero differs. */
const OPTIONS: Record<string, readonly number[]> = {
  'Router Alert, which no router changes': [148, 4, 0, 0],
  'Record Route, which every router changes': [7, 11, 4, ...zeros(8), 0],
  'Timestamp, likewise': [68, 12, 5, 0, ...zeros(8)],
  'No Operation between others': [1, 148, 4, 0, 0, 1, 1, 0],
  'an option that nobody knows': [30, 6, 1, 2, 3, 4, 0, 0],
};

/** RFC 8200 §4, one after the other; their first octet, the next header, is filled in. */
const EXTENSIONS: Record<string, readonly (readonly [type: number, header: readonly number[]])[]> =
  {
    'hop-by-hop options': [[0, [0, 0, 5, 2, 0, 0, 1, 0]]],
    'destination options': [[60, [0, 0, 0x1e, 4, 1, 2, 3, 4]]],
    'a destination option that may change on the way': [[60, [0, 0, 0x3e, 4, 1, 2, 3, 4]]],
    'a routing header whose route is used up': [
      [43, [0, 2, 0, 0, ...zeros(4), ...documentation()]],
    ],
    'all of them': [
      [0, [0, 0, 5, 2, 0, 0, 1, 0]],
      [43, [0, 2, 0, 0, ...zeros(4), ...documentation()]],
      [60, [0, 1, 0x3e, 4, 1, 2, 3, 4, 0x1e, 4, 5, 6, 7, 8, 1, 0]],
    ],
  };

function zeros(count: number): number[] {
  return new Array<number>(count).fill(0);
}

function documentation(): number[] {
  return [0x20, 1, 0x0d, 0xb8, ...zeros(11), 9];
}

type Change = (packet: Uint8Array) => Uint8Array;
const unchanged: Change = (packet) => packet;

describe.skipIf(why)(`AH with Linux${why === undefined ? '' : ` (${why})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-ah-'));
  const columns = [4, 6].flatMap((family) =>
    [false, true].map((esn) => inTransport(family as 4 | 6, esn)),
  );
  const cells = AH.flatMap((ah, i) => columns.map((column, j) => makeCell(i * 4 + j, ah, column)));
  /** Packets that each cell has carried so far, by who sent them. */
  const carried = new Map(cells.map((cell) => [cell, { byUs: 0, byLinux: 0 }]));
  let gateway: MatrixGateway;
  let linux: LinuxPeer;
  /** What happens to frames on the way. */
  let way: { toLinux: Change; toUs: Change } = { toLinux: unchanged, toUs: unchanged };

  beforeAll(async () => {
    gateway = new MatrixGateway(`ah-${process.pid}`, cells);
    linux = await LinuxPeer.start(folder);
    linux.onFrame((frame) => {
      if (!isLinkLocal(frame)) gateway.fromWire(way.toUs(frame));
    });
    for (const cell of cells) gateway.install(cell);
    expect(await linux.install(cells)).toEqual(new Map());
  }, 120_000);

  afterEach(() => {
    way = { toLinux: unchanged, toUs: unchanged };
  });

  afterAll(async () => {
    gateway?.stop();
    await linux?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Sends packets, and takes what comes within the time, or until so many have come. */
  async function answers(
    requests: readonly Uint8Array[],
    count: number,
    milliseconds = 30_000,
  ): Promise<string[]> {
    gateway.send(requests);
    const delivered: Uint8Array[] = [];
    const deadline = performance.now() + milliseconds;
    while (delivered.length < count && performance.now() < deadline) {
      for (const frame of gateway.toWire()) linux.send(way.toLinux(frame));
      delivered.push(...gateway.delivered());
      await pause(1);
    }
    return delivered.map(essence).sort();
  }

  /** Pings through each cell of a family, with its requests changed; all must be answered. */
  async function pingAll(family: 4 | 6, change: Change = unchanged): Promise<void> {
    const own = cells.filter(({ column }) => column.outer === family);
    const pings = own.flatMap(pingsOf);
    const requests = pings.map(({ request }) => change(request));
    const replies = pings.map(({ reply }) => essence(reply)).sort();
    expect(await answers(requests, pings.length)).toEqual(replies);
    for (const cell of own) count(cell, { byUs: PINGS, byLinux: PINGS });
    await expectCounters(own);
  }

  function count(cell: Cell, more: { byUs: number; byLinux: number }): void {
    const { byUs, byLinux } = carried.get(cell)!;
    carried.set(cell, { byUs: byUs + more.byUs, byLinux: byLinux + more.byLinux });
  }

  async function expectCounters(own: readonly Cell[]): Promise<void> {
    const counters = await linux.counters(own);
    for (const cell of own) {
      const { byUs, byLinux } = carried.get(cell)!;
      expect(counters.get(cell)).toEqual({ received: byUs, sent: byLinux, failures: 0 });
      const ours = { inPackets: BigInt(byLinux), outPackets: BigInt(byUs), inDrops: {} };
      expect(gateway.counters(cell)).toMatchObject(ours);
    }
  }

  it.each(Object.entries(OPTIONS))('covers IPv4 with %s', async (_, options) => {
    await pingAll(4, (request) => withOptions(request, options));
  });

  it.each(Object.entries(EXTENSIONS))('covers IPv6 with %s', async (_, headers) => {
    await pingAll(6, (request) => withExtensions(request, headers));
  });

  it('takes what Linux sends with options and extension headers', async () => {
    const arriving = answers([], 2 * cells.length);
    await linux.run(sendWithHeaders(cells));
    const texts = (await arriving).map((packet) => packet.slice(-12));
    const expected = cells.flatMap(() => ['first!', 'second']);
    expect(texts.map((text) => Buffer.from(text, 'hex').toString()).sort()).toEqual(
      expected.sort(),
    );
    for (const cell of cells) count(cell, { byUs: 0, byLinux: 2 });
    await expectCounters(cells);
  });

  it.each([4, 6] as const)('does not mind what routers change in IPv%s', async (family) => {
    way = { toLinux: routed, toUs: routed };
    await pingAll(family);
    expect(await linux.errors()).toBe('');
    expect(gateway.drops).toEqual({});
  });

  it('minds a bit of the payload, at either end', async () => {
    const [cell] = cells;
    const requests = pingsOf(cell!).map(({ request }) => request);
    way = { toLinux: withLastBitFlipped, toUs: unchanged };
    expect(await answers(requests, 1, 500)).toEqual([]);
    expect((await linux.counters([cell!])).get(cell!)).toMatchObject({ failures: PINGS });
    expect(await linux.errors()).toBe(`XfrmInStateProtoError   \t${PINGS}`);

    way = { toLinux: unchanged, toUs: withLastBitFlipped };
    expect(await answers(requests, 1, 500)).toEqual([]);
    expect(gateway.counters(cell!).inDrops).toEqual({ icv_bad: BigInt(PINGS) });
    expect(gateway.drops).toEqual({ icv_bad: PINGS });
  });
});

function withOptions(packet: Uint8Array, options: readonly number[]): Uint8Array {
  const header = Uint8Array.from([...packet.subarray(0, 20), ...options]);
  const view = new DataView(header.buffer);
  header[0] = 0x40 | (header.length / 4);
  view.setUint16(2, packet.length + options.length);
  view.setUint16(10, 0);
  view.setUint16(10, internetChecksum(header));
  return Uint8Array.from([...header, ...packet.subarray(20)]);
}

function withExtensions(
  packet: Uint8Array,
  headers: readonly (readonly [type: number, header: readonly number[]])[],
): Uint8Array {
  const upper = packet[6]!;
  const types = [...headers.map(([type]) => type), upper];
  const chain = headers.flatMap(([, [, ...rest]], i) => [types[i + 1]!, ...rest]);
  const out = Uint8Array.from([...packet.subarray(0, 40), ...chain, ...packet.subarray(40)]);
  out[6] = types[0]!;
  new DataView(out.buffer).setUint16(4, out.length - 40);
  return out;
}

/** A frame behind a few routers, of which one has marked it: RFC 4302 Appendix A. */
function routed(frame: Uint8Array): Uint8Array {
  const out = Uint8Array.from(frame);
  const view = new DataView(out.buffer);
  if (out[14]! >> 4 === 6) {
    view.setUint32(14, 0x6b8_54321);
    out[14 + 7]! -= 3;
    return out;
  }
  out[14 + 1] = 0xbb;
  out[14 + 8]! -= 3;
  const header = out.subarray(14, 14 + (out[14]! & 15) * 4);
  view.setUint16(14 + 10, 0);
  view.setUint16(14 + 10, internetChecksum(header));
  return out;
}

function withLastBitFlipped(frame: Uint8Array): Uint8Array {
  const out = Uint8Array.from(frame);
  out[out.length - 1]! ^= 1;
  return out;
}

/** A script for the guest: two datagrams through each cell, with different headers. */
function sendWithHeaders(cells: readonly Cell[]): string {
  const ends = cells.map(({ column, theirs, ours }) => [column.outer, theirs, ours]);
  return `python3 - <<'EOF'
import json, socket
IPV6_HOPOPTS, IPV6_DSTOPTS, IPV6_FREEBIND = 54, 59, 78
for family, here, there in json.loads('${JSON.stringify(ends)}'):
    if family == 4:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        headers = [(socket.IPPROTO_IP, socket.IP_OPTIONS, options) for options in
                   (bytes([148, 4, 0, 0]), bytes([7, 11, 4] + 9 * [0]))]
    else:
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        headers = [(socket.IPPROTO_IPV6, IPV6_HOPOPTS, bytes([0, 0, 5, 2, 0, 0, 1, 0])),
                   (socket.IPPROTO_IPV6, IPV6_DSTOPTS, bytes([0, 1, 0x3e, 4, 1, 2, 3, 4, 0x1e, 4, 5, 6, 7, 8, 1, 0]))]
    s.bind((here, 0))
    for header, text in zip(headers, (b'first!', b'second')):
        s.setsockopt(*header)
        s.sendto(text, (there, 9))
EOF`;
}
