import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { BulkEsp } from '../../../src/dataplane/bulk-esp.js';
import { PacketBatch } from '../../../src/dataplane/packet-batch.js';
import { type EspSpi, SadFullError } from '../../../src/sad/sad.js';
import { A, B, childSa } from './gateways.js';
import { hex, ipPacket, pattern } from './packets.js';

const packet = (i: number, bytes = 40) =>
  ipPacket({ source: '10.1.0.5', destination: '10.2.0.7', payload: pattern(bytes, i) });

const opened: BulkEsp[] = [];
const make = (maxChildSas = 4) => {
  const esp = BulkEsp.create({ maxChildSas });
  opened.push(esp);
  return esp;
};
afterEach(() => {
  for (const esp of opened.splice(0)) esp.close();
});

/** Two SADs with one pair between them. */
function tunnel() {
  const [a, b] = [make(), make()];
  const [spiA, spiB] = [a.allocateSpi(), b.allocateSpi()];
  a.install(childSa(A, B, { inbound: spiA, outbound: spiB }));
  b.install(childSa(B, A, { inbound: spiB, outbound: spiA }));
  return { a, b, spiA, spiB };
}

const verdicts = (batch: PacketBatch) =>
  Array.from({ length: batch.size }, (_, i) => batch.verdictName(i));

describe('bulk ESP on batches in the caller’s memory', () => {
  it('gives back what went in, for more packets than one native batch holds', () => {
    const { a, b, spiA, spiB } = tunnel();
    const batch = new PacketBatch({ capacity: 150 });
    for (let i = 0; i < 150; i++) batch.add(packet(i, i * 9), spiA);
    expect(a.outbound(batch)).toBe(150);
    const outer = batch.packet(149);
    expect([outer[9], hex(outer.slice(12, 20))]).toEqual([50, 'c0000201c0000202']);
    expect(hex(outer)).not.toContain(hex(pattern(40, 149)));
    expect(b.inbound(batch)).toBe(150);
    for (let i = 0; i < 150; i++) {
      expect(hex(batch.packet(i))).toBe(hex(packet(i, i * 9)));
      expect(batch.pair[i]).toBe(spiB);
    }
    expect(a.counters(spiA)).toMatchObject({ outPackets: 150n, outSequence: 151n });
    expect(b.counters(spiB)).toMatchObject({ inPackets: 150n, inSequence: 150n, inDrops: {} });
  });

  it('names what became of each packet, and leaves the others to their fate', () => {
    const { a, b, spiA, spiB } = tunnel();
    const batch = new PacketBatch({ capacity: 5 });
    for (let i = 0; i < 4; i++) batch.add(packet(i), spiA);
    batch.add(packet(4), 0x12345678);
    expect(a.outbound(batch)).toBe(4);
    expect(batch.verdictName(4)).toBe('no_sa');
    expect(hex(batch.packet(4))).toBe(hex(packet(4)));

    const hostile = new PacketBatch({ capacity: 6 });
    const sealed = [0, 1, 2, 3].map((i) => batch.packet(i).slice());
    hostile.add(sealed[0]!);
    hostile.add(sealed[0]!);
    sealed[1]![40] = sealed[1]![40]! ^ 1;
    hostile.add(sealed[1]!);
    sealed[2]![20] = sealed[2]![20]! ^ 0x80;
    hostile.add(sealed[2]!);
    hostile.add(sealed[3]!.subarray(0, 30));
    hostile.add(packet(9));
    expect(b.inbound(hostile)).toBe(1);
    expect(verdicts(hostile)).toEqual([
      'pending',
      'replay_duplicate',
      'icv_bad',
      'unknown_spi',
      'bad_ip_length',
      'clear_text_inbound',
    ]);
    expect(b.counters(spiB)!.inDrops).toEqual({ replay_duplicate: 1n, icv_bad: 1n });
  });

  it('does nothing where a packet does not lie in one frame, or the arrays are too short', () => {
    const { a, spiA } = tunnel();
    const batch = new PacketBatch({ capacity: 2 });
    batch.add(packet(0), spiA);
    batch.add(packet(1), spiA);
    batch.length[1] = 2048;
    expect(() => a.outbound(batch)).toThrow('packet 1 does not lie within one frame');
    batch.offset[1] = 0xffff_fff0;
    expect(() => a.outbound(batch)).toThrow(RangeError);
    batch.size = 3;
    expect(() => a.outbound(batch)).toThrow('batch.offset: expected a Uint32Array of at least');
    const odd = new PacketBatch({ capacity: 1 });
    Object.defineProperty(odd, 'frames', { value: odd.frames.subarray(64) });
    expect(() => a.outbound(odd)).toThrow('batch.frames: expected memory that begins at');
    expect(() => a.outbound({} as PacketBatch)).toThrow(TypeError);
    expect(a.counters(spiA)!.outPackets).toBe(0n);
  });

  it('refuses frames that cannot be, packets that do not fit, and a full batch', () => {
    expect(() => new PacketBatch({ capacity: 1, frameBytes: 2000 })).toThrow(RangeError);
    const batch = new PacketBatch({ capacity: 1, frameBytes: 256 });
    expect(() => batch.add(new Uint8Array(129))).toThrow('129 bytes do not fit a frame of 256');
    batch.add(new Uint8Array(128));
    expect(() => batch.add(new Uint8Array(1))).toThrow('holds 1 packets already');
    const { a, spiA } = tunnel();
    batch.clear();
    batch.add(packet(1, 100), spiA);
    expect(a.outbound(batch)).toBe(0);
    expect(verdicts(batch)).toEqual(['no_headroom']);
  });

  it('tells a full SAD, a closed one, and one that is gone', () => {
    const esp = make(1);
    const { id } = esp;
    esp.allocateSpi();
    expect(() => esp.allocateSpi()).toThrow(SadFullError);
    esp.close();
    esp.close();
    expect(() => esp.allocateSpi()).toThrow('this BulkEsp was closed');
    expect(() => BulkEsp.attach(id)).toThrow('no such BulkEsp');
  });

  it('lets several threads send on one SA: every sequence number once', async () => {
    const { a, b, spiA, spiB } = tunnel();
    const library = join(import.meta.dirname, '../../../dist/index.js');
    const [threads, rounds, capacity] = [2, 20, 64];
    const source = `const { workerData, parentPort } = require('node:worker_threads');
      import(workerData.library).then(({ BulkEsp, PacketBatch }) => {
        const esp = BulkEsp.attach(workerData.id);
        for (let round = 0; round < workerData.rounds; round++) {
          const batch = new PacketBatch({ capacity: workerData.capacity, shared: true });
          while (batch.size < batch.capacity) batch.add(workerData.packet, workerData.pair);
          esp.outbound(batch);
          const sealed = Array.from({ length: batch.size }, (_, i) => batch.packet(i).slice());
          parentPort.postMessage(sealed);
        }
        esp.close();
      });`;
    const workerData = { library, id: a.id, pair: spiA, packet: packet(7), rounds, capacity };
    const sealed: Uint8Array[] = [];
    const exits = Array.from({ length: threads }, () => {
      const worker = new Worker(source, { eval: true, workerData });
      worker.on('message', (packets: Uint8Array[]) => sealed.push(...packets));
      return once(worker, 'exit');
    });
    await Promise.all(exits);
    const sequence = (outer: Uint8Array) => Buffer.from(outer).readUInt32BE(24);
    expect(sealed.map(sequence).sort((x, y) => x - y)).toEqual(
      Array.from({ length: threads * rounds * capacity }, (_, i) => i + 1),
    );
    sealed.sort((x, y) => sequence(x) - sequence(y));
    const batch = new PacketBatch({ capacity: sealed.length });
    for (const outer of sealed) batch.add(outer);
    expect(b.inbound(batch)).toBe(sealed.length);
    expect(b.counters(spiB as EspSpi)!.inDrops).toEqual({});
  });
});
