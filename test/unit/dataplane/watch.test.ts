import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type CaptureOptions,
  type PacketFilter,
  startCapture,
  startTrace,
} from '../../../src/dataplane/watch.js';
import { parseFilter } from '../../../src/watch/filter.js';
import { BlockCounter, fileHead } from '../../../src/watch/pcapng.js';
import { collect, Pair, until } from './gateways.js';
import { frame, ipPacket, pattern, udp } from './packets.js';

let pair: Pair;
beforeEach(() => {
  pair = new Pair();
});
afterEach(() => pair.stop());

const addresses = { source: '10.1.0.5', destination: '10.2.0.7' };
const datagram = (port: number, source = addresses.source) => {
  const ends = { ...addresses, source };
  const payload = udp(ends, [4000, port], pattern(30));
  return frame(ipPacket({ ...ends, protocol: 17, payload }));
};
const everything: PacketFilter = [];
/** native/pipeline/capture.h, Record. */
const RECORD_BYTES = 24;
const options = {
  outside: true,
  inside: true,
  interfaceFilter: everything,
  snapBytes: 65_535,
  ringBytes: 1 << 20,
};

/** What tshark reads in the blocks. */
function read(blocks: Uint8Array, ...fields: string[]): string[] {
  const file = Buffer.concat([
    fileHead('test', [
      { name: 'lan', description: '', link: 'ethernet' },
      { name: 'wan', description: '', link: 'ethernet' },
      { name: 'host', description: '', link: 'ip' },
    ]),
    blocks,
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'esplane-watch-'));
  try {
    const path = join(folder, 'a.pcapng');
    writeFileSync(path, file);
    const args = ['-r', path, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])];
    return execFileSync('tshark', args, { encoding: 'utf8', stdio: 'pipe' })
      .replace(/\n$/, '')
      .split('\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('a capture', () => {
  it('has packets before and behind the transform, as tshark reads them', async () => {
    pair.connect();
    const capture = startCapture(pair.a.dataplane.id, { ...options, filter: everything });
    pair.a.host.send([datagram(53)]);
    await collect(pair.b.host, 1);
    const lines = read(
      capture.read(),
      'frame.interface_name',
      'frame.packet_flags_direction',
      'ip.src',
      'ip.proto',
      'udp.dstport',
    );
    expect(lines).toEqual([
      'lan\t0x00000001\t10.1.0.5\t17\t53',
      'wan\t0x00000002\t192.0.2.1\t50\t',
    ]);
    expect(capture.counts()).toEqual({ passed: 2, dropped: 0 });
    capture.stop();
    pair.a.host.send([datagram(53)]);
    await collect(pair.b.host, 1);
    expect(capture.read()).toHaveLength(0);
  });

  it('takes what passes its filter, on the sides that are asked for', async () => {
    const spis = pair.connect();
    const packets = [datagram(53), datagram(54), datagram(53, '10.1.0.6')];
    const passed = async (text: string, sides = {}) => {
      const filter = parseFilter(text);
      const capture = startCapture(pair.a.dataplane.id, { ...options, ...sides, filter });
      pair.a.host.send(packets);
      await collect(pair.b.host, packets.length);
      const { passed } = capture.counts();
      capture.stop();
      return passed;
    };
    expect(await passed('')).toBe(6);
    expect(await passed('', { outside: false })).toBe(3);
    expect(await passed('udp port 53')).toBe(2);
    expect(await passed('src host 10.1.0.5 and not dst port 54')).toBe(1);
    expect(await passed('net 10.1.0.0/30 or esp')).toBe(3);
    expect(await passed(`spi ${spis.b}`)).toBe(3);
    expect(await passed('ip6')).toBe(0);
  });

  it('has what the host sends through tunnels, and what enters it there', async () => {
    pair.connect();
    const { a, b } = pair;
    const capture = startCapture(a.dataplane.id, {
      ...options,
      outside: false,
      filter: everything,
    });
    expect(capture.portPlaces()).toBe(2);
    const [ours] = a.site.gateway;
    const there = { source: '10.2.0.7', destination: ours! };
    const back = { source: ours!, destination: '10.2.0.7' };
    const packet = (ends: typeof there, port: number) =>
      ipPacket({ ...ends, protocol: 17, payload: udp(ends, [4000, port], pattern(30)) });
    b.host.send([frame(packet(there, 53))]);
    await collect(a.kernel, 1);
    a.kernel.send([packet(back, 54)]);
    await collect(b.host, 1);
    const fields = [
      'frame.interface_name',
      'frame.packet_flags_direction',
      'ip.dst',
      'udp.dstport',
    ];
    expect(read(capture.read(), ...fields)).toEqual([
      `host\t0x00000002\t${ours}\t53`,
      'host\t0x00000001\t10.2.0.7\t54',
    ]);
    capture.stop();
  });

  it('leaves out interfaces that are not asked for, and has a filter for those that are', async () => {
    pair.connect();
    const { a, b } = pair;
    const [destination] = a.site.gateway;
    const ends = { source: '10.2.0.7', destination: destination! };
    const packet = (port: number) =>
      frame(ipPacket({ ...ends, protocol: 17, payload: udp(ends, [4000, port], pattern(30)) }));
    const passed = async (more: Partial<CaptureOptions>) => {
      const inside = { ...options, outside: false, filter: everything, ...more };
      const capture = startCapture(a.dataplane.id, inside);
      b.host.send([packet(53), packet(54)]);
      await collect(a.kernel, 2);
      capture.stop();
      return capture.counts().passed;
    };
    expect(await passed({})).toBe(2);
    expect(await passed({ interfaces: [0] })).toBe(2);
    expect(await passed({ interfaces: [1] })).toBe(0);
    expect(await passed({ inside: false })).toBe(0);
    expect(await passed({ interfaceFilter: parseFilter('udp port 53') })).toBe(1);
  });

  it('cuts packets, and counts those that find its ring full', async () => {
    pair.connect();
    const small = { filter: everything, snapBytes: 64, ringBytes: 1 << 16 };
    const capture = startCapture(pair.a.dataplane.id, { ...options, ...small });
    const sent = 1200;
    for (let n = 0; n < sent; n += 40) {
      pair.a.host.send(Array.from({ length: 40 }, () => datagram(53)));
      await collect(pair.b.host, 40);
    }
    const { passed, dropped } = capture.counts();
    const counter = new BlockCounter();
    counter.take(Buffer.from(capture.read()));
    expect(passed).toBe(2 * sent);
    expect(counter.packets).toBe(passed - dropped);
    expect(counter.packets).toBe(Math.floor((1 << 16) / (RECORD_BYTES + 64)));
    expect(() => startCapture(pair.a.dataplane.id, { ...options, ...small })).toThrow(
      'another capture runs',
    );
    capture.stop();
  });
});

describe('a trace', () => {
  const packets = (filter: PacketFilter) => ({ filter, interfaceFilter: everything });

  /** The packet may be there before its worker has told of it. */
  async function reportOf(trace: ReturnType<typeof startTrace>) {
    await until(() => trace.report() !== null, 'a packet is traced');
    return trace.report()!;
  }

  it('tells SA, verdict and cycles of the one packet, and no other is out of its place', async () => {
    const spis = pair.connect();
    const trace = startTrace(pair.a.dataplane.id, packets(parseFilter('port 7')));
    expect(trace.report()).toBeNull();
    const ports = [1, 2, 7, 7, 5];
    pair.a.host.send(ports.map((port) => datagram(port)));
    const received = await collect(pair.b.host, ports.length);
    expect(received.map((bytes) => Buffer.from(bytes).readUInt16BE(14 + 22))).toEqual(ports);
    const report = await reportOf(trace);
    expect(report).toMatchObject({
      ...{ outbound: true, receivedAt: { port: 0 }, spi: spis.b, verdict: 'sent' },
      ...{ sentAt: { port: 1 }, sentFrames: 1 },
      received: { source: '10.1.0.5', destination: '10.2.0.7', protocol: 17, destinationPort: 7 },
      sent: { source: '192.0.2.1', destination: '192.0.2.2', protocol: 50 },
    });
    expect(report.beginTicks + report.workTicks + report.finishTicks).toBeGreaterThan(0);
    trace.stop();
  });

  it('follows a packet inwards, and names what drops one', async () => {
    const spis = pair.connect();
    const inwards = startTrace(pair.b.dataplane.id, packets(parseFilter('esp')));
    pair.a.host.send([datagram(9)]);
    await collect(pair.b.host, 1);
    expect(await reportOf(inwards)).toMatchObject({
      ...{ outbound: false, spi: spis.b, verdict: 'sent', sentAt: { port: 0 } },
      sent: { source: '10.1.0.5', destinationPort: 9 },
    });
    inwards.stop();
    const refused = startTrace(pair.a.dataplane.id, packets(everything));
    pair.a.host.send([
      frame(ipPacket({ ...addresses, destination: '127.0.0.1', payload: pattern(8) })),
    ]);
    expect(await reportOf(refused)).toMatchObject({
      verdict: 'not_forwardable',
      dropped: true,
      sent: null,
    });
    refused.stop();
  });

  it('follows what the host sends into a tunnel, and what enters it there', async () => {
    const spis = pair.connect();
    const { a, b } = pair;
    const [ours] = a.site.gateway;
    const there = { source: '10.2.0.7', destination: ours! };
    const back = { source: ours!, destination: '10.2.0.7' };
    const packet = (ends: typeof there) =>
      ipPacket({ ...ends, protocol: 17, payload: udp(ends, [4000, 53], pattern(30)) });
    const entering = startTrace(a.dataplane.id, {
      filter: parseFilter('esp'),
      interfaceFilter: everything,
    });
    b.host.send([frame(packet(there))]);
    await collect(a.kernel, 1);
    expect(await reportOf(entering)).toMatchObject({
      ...{ outbound: false, receivedAt: { port: 1 }, spi: spis.a, verdict: 'reinjected' },
      ...{ sentAt: { interface: 0 }, sentFrames: 1, sent: { source: '10.2.0.7', protocol: 17 } },
    });
    entering.stop();
    const elsewhere = { filter: everything, interfaceFilter: everything, interfaces: [1] };
    const other = startTrace(a.dataplane.id, elsewhere);
    a.kernel.send([packet(back)]);
    await collect(b.host, 1);
    expect(other.report()).toBeNull();
    other.stop();
    const leaving = startTrace(a.dataplane.id, {
      filter: parseFilter('ip6'),
      interfaceFilter: parseFilter('dst host 10.2.0.7'),
    });
    a.kernel.send([packet(back)]);
    await collect(b.host, 1);
    expect(await reportOf(leaving)).toMatchObject({
      ...{ outbound: true, receivedAt: { interface: 0 }, spi: spis.b, verdict: 'sent' },
      ...{ sentAt: { port: 1 }, sent: { protocol: 50 } },
      received: { source: ours!, destination: '10.2.0.7', destinationPort: 53 },
    });
    leaving.stop();
  });
});
