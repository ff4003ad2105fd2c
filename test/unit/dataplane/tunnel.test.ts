import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { collect, Pair, until } from './gateways.js';
import { forwarded, frame, hex, ipOf, ipPacket, pattern, udp } from './packets.js';

const ADDRESSES_V4 = { source: '10.1.0.5', destination: '10.2.0.7' };
const ADDRESSES_V6 = { source: '2001:db8:1::5', destination: '2001:db8:2::7' };

const fromA = (size: number, seed = 1, addresses = ADDRESSES_V4) =>
  ipPacket({
    ...addresses,
    protocol: 17,
    payload: udp(addresses, [4000, 5000], pattern(size, seed)),
  });

describe('two gateways over memory ports', () => {
  let pair: Pair;
  beforeEach(() => {
    pair = new Pair();
  });
  afterEach(() => pair.stop());

  for (const [name, options] of Object.entries({
    'AES-128-GCM': {},
    'AES-256-GCM': { keyBits: 256 },
    'extended sequence numbers': { esn: true },
    'UDP encapsulation': { udpEncapsulation: true },
    'an IPv6 outer header': { outerV6: true },
    'IPv6, UDP encapsulation and ESN': { outerV6: true, udpEncapsulation: true, esn: true },
  } as const)) {
    it(`carry IPv4 and IPv6 packets of every size class with ${name}`, async () => {
      pair.connect(options);
      const packets = [0, 1, 2, 3, 64, 500, 1300].flatMap((size, i) => [
        fromA(size, i),
        fromA(size, i, ADDRESSES_V6),
      ]);
      expect(pair.a.host.send(packets.map((p) => frame(p)))).toBe(packets.length);
      const arrived = await collect(pair.b.host, packets.length);
      expect(arrived.map((f) => hex(ipOf(f)))).toEqual(packets.map((p) => hex(forwarded(p))));
      await expect.poll(() => pair.a.verdicts).toMatchObject({ sent: packets.length });
      await expect.poll(() => pair.b.verdicts).toMatchObject({ sent: packets.length });
      await expect.poll(() => pair.a.statistics.espOutPackets).toBe(BigInt(packets.length));
      await expect.poll(() => pair.b.statistics.espInPackets).toBe(BigInt(packets.length));
      await expect.poll(() => pair.b.statistics.espInBytes).toBe(pair.a.statistics.espOutBytes);
    });
  }

  it('accept ESP in UDP and without, whatever they send themselves (RFC 7296 §2.23)', async () => {
    pair.connect({ udpEncapsulation: true }, { udpEncapsulation: false });
    const back = ipPacket({ source: '10.2.0.7', destination: '10.1.0.5', payload: pattern(30, 1) });
    pair.a.host.send([frame(fromA(64))]);
    pair.b.host.send([frame(back)]);
    const atB = await collect(pair.b.host, 1);
    const atA = await collect(pair.a.host, 1);
    expect(atB.map((f) => hex(ipOf(f)))).toEqual([hex(forwarded(fromA(64)))]);
    expect(atA.map((f) => hex(ipOf(f)))).toEqual([hex(forwarded(back))]);
    expect(pair.a.events).toEqual([]);
    expect(pair.b.events).toEqual([]);
  });

  it('carry packets both ways at once and keep their order', async () => {
    pair.connect();
    const there = Array.from({ length: 200 }, (_, i) => fromA(20, i));
    const back = there.map((_, i) =>
      ipPacket({ source: '10.2.0.7', destination: '10.1.0.5', payload: pattern(30, i) }),
    );
    pair.a.host.send(there.map((p) => frame(p)));
    pair.b.host.send(back.map((p) => frame(p)));
    const atB = await collect(pair.b.host, 200);
    const atA = await collect(pair.a.host, 200);
    expect(atB.map((f) => hex(ipOf(f)))).toEqual(there.map((p) => hex(forwarded(p))));
    expect(atA.map((f) => hex(ipOf(f)))).toEqual(back.map((p) => hex(forwarded(p))));
  });

  it('put nothing in clear on the wire and drop by name what has no SA yet', async () => {
    pair.a.host.send([frame(fromA(10)), frame(fromA(10, 2))]);
    await until(() => pair.a.verdicts.no_sa === 2, 'two drops for want of an SA');
    await until(() => pair.a.events.length > 0, 'an acquire');
    expect(pair.a.events).toEqual([{ type: 'acquire', policy: 'tunnel' }]);
    expect(pair.b.statistics.workers[0]?.packets).toBe(0n);
  });

  it('count per Child SA what its packets were', async () => {
    const spis = pair.connect();
    const packets = [fromA(100), fromA(200)];
    pair.a.host.send(packets.map((p) => frame(p)));
    await collect(pair.b.host, 2);
    expect(pair.a.dataplane.counters(spis.a)).toMatchObject({
      outPackets: 2n,
      outBytes: 356n,
      outSequence: 3n,
      inPackets: 0n,
    });
    expect(pair.b.dataplane.counters(spis.b)).toMatchObject({
      inPackets: 2n,
      inBytes: 356n,
      inSequence: 2n,
      inDrops: {},
    });
  });

  it('use the newest SA of a policy, and the older one again when it is removed', async () => {
    const first = pair.connect();
    const second = pair.connect({ keyBits: 256 });
    pair.a.host.send([frame(fromA(10))]);
    await collect(pair.b.host, 1);
    expect(pair.b.dataplane.counters(second.b)?.inPackets).toBe(1n);
    pair.a.dataplane.remove(second.a);
    pair.b.dataplane.remove(second.b);
    pair.a.host.send([frame(fromA(10))]);
    await collect(pair.b.host, 1);
    expect(pair.b.dataplane.counters(first.b)?.inPackets).toBe(1n);
    expect(pair.b.dataplane.counters(second.b)).toBeUndefined();
  });
});
