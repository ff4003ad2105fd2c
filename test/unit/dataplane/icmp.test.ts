import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { B, collect, Lone, Pair, until } from './gateways.js';
import {
  addressBytes,
  forwarded,
  frame,
  hex,
  internetChecksum,
  ipOf,
  ipPacket,
  pattern,
} from './packets.js';

const V4 = { source: '10.1.0.5', destination: '10.2.0.7' };
const V6 = { source: '2001:db8:1::5', destination: '2001:db8:2::7' };

/** Type, code, rest of header and quotation of an ICMP error, its checksums verified. */
function readError(packet: Uint8Array) {
  const is4 = packet[0]! >> 4 === 4;
  const header = is4 ? 20 : 40;
  const icmp = packet.slice(header);
  if (is4) {
    expect(internetChecksum(packet.subarray(0, 20))).toBe(0);
    expect(internetChecksum(icmp)).toBe(0);
  } else {
    const pseudo = [
      ...packet.subarray(8, 40),
      0,
      0,
      icmp.length >> 8,
      icmp.length & 255,
      0,
      0,
      0,
      58,
    ];
    expect(internetChecksum(Uint8Array.from([...pseudo, ...icmp]))).toBe(0);
  }
  return {
    source: hex(packet.subarray(is4 ? 12 : 8, is4 ? 16 : 24)),
    destination: hex(packet.subarray(is4 ? 16 : 24, is4 ? 20 : 40)),
    type: icmp[0],
    code: icmp[1],
    mtu: new DataView(icmp.buffer).getUint32(4),
    quoted: icmp.slice(8),
  };
}

describe('ICMP errors to the sender of a packet from the LAN', () => {
  let lone: Lone;
  beforeEach(() => {
    lone = new Lone();
    lone.connect();
  });
  afterEach(() => lone.stop());

  it('time exceeded, from our address on the LAN port (RFC 792, RFC 4443 §3.3)', async () => {
    const packet4 = ipPacket({ ...V4, ttl: 1, payload: pattern(100) });
    const packet6 = ipPacket({ ...V6, ttl: 1, payload: pattern(100) });
    lone.gateway.host.send([frame(packet4), frame(packet6)]);
    const [error4, error6] = (await collect(lone.gateway.host, 2)).map((f) => readError(ipOf(f)));
    expect(error4).toMatchObject({
      source: hex(addressBytes('10.1.0.1')),
      destination: hex(addressBytes(V4.source)),
      type: 11,
      code: 0,
    });
    expect(hex(error4!.quoted)).toBe(hex(packet4));
    expect(error6).toMatchObject({
      source: hex(addressBytes('2001:db8:1::1')),
      destination: hex(addressBytes(V6.source)),
      type: 3,
      code: 0,
    });
    expect(hex(error6!.quoted)).toBe(hex(packet6));
    await expect.poll(() => lone.gateway.verdicts).toEqual({ ttl_exceeded: 2 });
    await expect.poll(() => lone.gateway.statistics.icmpErrors).toBe(2n);
  });

  it('tells exactly the largest packet that fits the tunnel (RFC 1191 §4, RFC 8201)', async () => {
    // Outer IPv4 at 1500: 20 outer header, 8 ESP, 8 IV, 16 ICV, 2 trailer, padded to four.
    const largest = 1446;
    const exact = (addresses: typeof V4, size: number) =>
      ipPacket({
        ...addresses,
        dontFragment: true,
        payload: pattern(size - (addresses === V4 ? 20 : 40)),
      });
    lone.gateway.host.send([
      frame(exact(V4, largest)),
      frame(exact(V6, largest)),
      frame(exact(V4, largest + 1)),
      frame(exact(V6, largest + 1)),
    ]);
    const sealed = await collect(lone.wire, 2);
    expect(sealed.map((f) => ipOf(f).length)).toEqual([1500, 1500]);
    const [error4, error6] = (await collect(lone.gateway.host, 2)).map((f) => readError(ipOf(f)));
    expect(error4).toMatchObject({ type: 3, code: 4, mtu: largest });
    expect(error6).toMatchObject({ type: 2, code: 0, mtu: largest });
    await expect.poll(() => lone.gateway.verdicts).toEqual({ sent: 2, too_big: 2 });
  });

  it('quotes no more than 576 and 1280 bytes allow (RFC 1812 §4.3.2.3, RFC 4443 §2.4)', async () => {
    lone.gateway.host.send([
      frame(ipPacket({ ...V4, dontFragment: true, payload: pattern(1480) })),
      frame(ipPacket({ ...V6, payload: pattern(1460) })),
    ]);
    const errors = await collect(lone.gateway.host, 2);
    expect(errors.map((f) => ipOf(f).length)).toEqual([576, 1280]);
    for (const error of errors) readError(ipOf(error));
  });

  it('none about an ICMP error, a later fragment, or from an impossible source', async () => {
    const silent = [
      ipPacket({ ...V4, ttl: 1, protocol: 1, payload: Uint8Array.of(3, 4, ...pattern(30)) }),
      ipPacket({ ...V4, ttl: 1, fragmentOffset: 64, payload: pattern(30) }),
      ipPacket({ ...V6, ttl: 1, protocol: 58, payload: Uint8Array.of(2, 0, ...pattern(30)) }),
    ];
    const echo = ipPacket({
      ...V4,
      ttl: 1,
      protocol: 1,
      payload: Uint8Array.of(8, 0, ...pattern(6)),
    });
    lone.gateway.host.send([...silent, echo].map((p) => frame(p)));
    await until(() => lone.gateway.verdicts.ttl_exceeded === 4, 'four drops');
    expect(await collect(lone.gateway.host, 1)).toHaveLength(1);
    await expect.poll(() => lone.gateway.statistics.icmpErrors).toBe(1n);
  });

  it('are limited to fifty at once and a thousand a second', async () => {
    const packet = frame(ipPacket({ ...V4, ttl: 1, payload: pattern(30) }));
    const from = performance.now();
    lone.gateway.host.send(new Array(800).fill(packet));
    await until(() => lone.gateway.verdicts.ttl_exceeded === 800, 'eight hundred drops');
    const milliseconds = performance.now() - from;
    const errors = Number(lone.gateway.statistics.icmpErrors);
    expect(errors).toBeGreaterThanOrEqual(50);
    expect(errors).toBeLessThanOrEqual(51 + milliseconds);
  });
});

describe('ICMP errors about a packet out of a tunnel', () => {
  it('go back through the tunnel: traceroute sees the far gateway', async () => {
    const pair = new Pair();
    pair.connect();
    const packet = ipPacket({ ...V4, ttl: 2, payload: pattern(60) });
    pair.a.host.send([frame(packet)]);
    const [arrived] = await collect(pair.a.host, 1);
    const error = readError(ipOf(arrived!));
    expect(error).toMatchObject({ type: 11, source: hex(addressBytes(B.gateway[0]!)) });
    expect(hex(error.quoted)).toBe(hex(forwarded(packet, 1)));
    await expect.poll(() => pair.b.verdicts).toEqual({ ttl_exceeded: 1 });
    await expect.poll(() => pair.b.statistics.espOutPackets).toBe(1n);
    await expect.poll(() => pair.a.statistics.espInPackets).toBe(1n);
    pair.stop();
  });
});

describe('a partial checksum', () => {
  it('of a local stack behind a veth is completed before it is sealed', async () => {
    const { udp } = await import('./packets.js');
    const pair = new Pair();
    pair.connect();
    const make = (checksum: 'right' | 'partial') => [
      ipPacket({ ...V4, protocol: 17, payload: udp(V4, [1, 2], pattern(33), checksum) }),
      ipPacket({ ...V6, protocol: 17, payload: udp(V6, [1, 2], pattern(32), checksum) }),
    ];
    pair.a.host.send(make('partial').map((p) => frame(p)));
    const arrived = await collect(pair.b.host, 2);
    expect(arrived.map((f) => hex(ipOf(f)))).toEqual(make('right').map((p) => hex(forwarded(p))));
    pair.stop();
  });
});
