import { afterEach, describe, expect, it } from 'vitest';
import { collect, Lone, Pair, until } from './gateways.js';
import { forwarded, frame, hex, internetChecksum, ipOf, ipPacket, pattern } from './packets.js';

const V4 = { source: '10.1.0.5', destination: '10.2.0.7' };
const BACK = { source: V4.destination, destination: V4.source };

/** The datagram's data that these fragments carry, which must have no gap. */
function dataOf(fragments: readonly Uint8Array[]): Uint8Array {
  const parts = fragments
    .map((packet) => {
      expect(internetChecksum(packet.subarray(0, 20))).toBe(0);
      const field = (packet[6]! << 8) | packet[7]!;
      return { at: (field & 0x1fff) * 8, more: (field & 0x2000) !== 0, data: packet.slice(20) };
    })
    .sort((a, b) => a.at - b.at);
  let end = 0;
  for (const part of parts) {
    expect(part.at).toBe(end);
    end += part.data.length;
  }
  expect(parts.map((part) => part.more)).toEqual(parts.map((_, i) => i < parts.length - 1));
  return Uint8Array.from(parts.flatMap((part) => [...part.data]));
}

/** What a host with an MTU of 1500 makes of a datagram with this much data. */
function fromHost(addresses: typeof V4, bytes: number): Uint8Array[] {
  const data = pattern(bytes);
  const packets = [];
  for (let at = 0; at < bytes; at += 1480) {
    const moreFragments = at + 1480 < bytes;
    const payload = data.slice(at, at + 1480);
    packets.push(ipPacket({ ...addresses, fragmentOffset: at, moreFragments, payload }));
  }
  return packets;
}

describe('packets without DF that do not fit behind ESP', () => {
  let pair: Pair;
  afterEach(() => pair.stop());

  for (const [name, options] of Object.entries({
    'over IPv4': {},
    'in UDP': { udpEncapsulation: true },
    'over IPv6': { outerV6: true },
    'over IPv6 in UDP': { outerV6: true, udpEncapsulation: true },
  } as const)) {
    it(`are cut before ESP ${name}, each piece a packet of its own`, async () => {
      pair = new Pair();
      pair.connect(options);
      const packet = ipPacket({ ...V4, payload: pattern(1480) });
      pair.a.host.send([frame(packet)]);
      const arrived = (await collect(pair.b.host, 2)).map(ipOf);
      expect(arrived).toHaveLength(2);
      expect(hex(dataOf(arrived))).toBe(hex(pattern(1480)));
      await expect.poll(() => pair.a.verdicts).toEqual({ fragmented: 1 });
      await expect.poll(() => pair.b.verdicts).toEqual({ sent: 2 });
      expect(pair.a.statistics.espOutPackets).toBe(2n);
    });

    it(`or behind ESP ${name}, and arrive whole`, async () => {
      pair = new Pair();
      pair.connect({ ...options, fragmentation: 'after' });
      const packet = ipPacket({ ...V4, payload: pattern(1480) });
      pair.a.host.send([frame(packet)]);
      const [arrived] = await collect(pair.b.host, 1);
      expect(hex(ipOf(arrived!))).toBe(hex(forwarded(packet)));
      await expect.poll(() => pair.a.verdicts).toEqual({ fragmented: 1 });
      await expect.poll(() => pair.b.verdicts).toEqual({ fragment_reassembled: 1, sent: 1 });
      expect(pair.a.statistics.espOutPackets).toBe(1n);
      expect(pair.b.statistics.espInPackets).toBe(1n);
    });
  }

  it('carry datagrams of 1800 and 20,000 bytes both ways at once', async () => {
    pair = new Pair();
    pair.connect();
    for (const bytes of [1780, 19_980]) {
      pair.a.host.send(fromHost(V4, bytes).map((p) => frame(p)));
      pair.b.host.send(fromHost(BACK, bytes).map((p) => frame(p)));
      // Each full fragment becomes two.
      const count = 2 * Math.floor(bytes / 1480) + 1;
      const there = (await collect(pair.b.host, count)).map(ipOf);
      const back = (await collect(pair.a.host, count)).map(ipOf);
      expect(hex(dataOf(there))).toBe(hex(pattern(bytes)));
      expect(hex(dataOf(back))).toBe(hex(pattern(bytes)));
    }
  });

  it('keep their order among others where several workers share the work', async () => {
    pair = new Pair({ workers: 2, framesPerQueue: 4096 });
    pair.connect({ fragmentation: 'after', replayWindow: 1024 });
    const packets = Array.from({ length: 900 }, (_, i) =>
      ipPacket({ ...V4, payload: pattern(i % 7 === 3 ? 1480 : 200, i) }),
    );
    const arrived: Uint8Array[] = [];
    for (let from = 0; from < packets.length; from += 100) {
      const some = packets.slice(from, from + 100).map((p) => frame(p));
      expect(pair.a.host.send(some)).toBe(some.length);
      arrived.push(...(await collect(pair.b.host, some.length, 2)));
    }
    expect(arrived.map((f) => hex(ipOf(f)))).toEqual(packets.map((p) => hex(forwarded(p))));
    expect(pair.b.verdicts.replay_old).toBeUndefined();
  });
});

describe('fragments from the wire that never become whole', () => {
  it('are counted, hold no frame and go when the dataplane stops', async () => {
    const lone = new Lone();
    lone.connect();
    const addresses = { source: '192.0.2.2', destination: '192.0.2.1', protocol: 50 };
    lone.wire.send(
      Array.from({ length: 10 }, (_, i) =>
        frame(ipPacket({ ...addresses, fragmentOffset: 800 + 64 * i, payload: pattern(64) })),
      ),
    );
    await until(() => lone.gateway.statistics.workers[0]?.packets === 10n, 'ten packets');
    // Ten last fragments of one datagram: the second contradicts the first.
    await expect.poll(() => lone.gateway.verdicts).toEqual({ fragment_overlap: 10 });
    lone.wire.send([
      frame(
        ipPacket({ ...addresses, source: '192.0.2.3', moreFragments: true, payload: pattern(64) }),
      ),
    ]);
    await until(() => lone.gateway.statistics.workers[0]?.packets === 11n, 'one more');
    lone.gateway.dataplane.stop();
    expect(lone.gateway.verdicts).toEqual({ fragment_overlap: 10, stopping: 1 });
    lone.stop();
  });
});
