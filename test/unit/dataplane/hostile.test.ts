/** The smallest inputs that have shown a mistake in the packet path. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EspPeer } from '../../fuzz/esp-peer.js';
import { A, B, collect, Lone, protectBothWays, until } from './gateways.js';
import { forwarded, frame, hex, internetChecksum, ipOf, ipPacket, pattern } from './packets.js';

const inner = (fields: { ttl?: number } = {}) =>
  ipPacket({ source: '10.2.0.7', destination: '10.1.0.5', payload: pattern(40), ...fields });

describe('a gateway', () => {
  let lone: Lone;
  beforeEach(() => {
    lone = new Lone();
  });
  afterEach(() => lone.stop());

  it('takes what IP carries behind a UDP datagram for no part of ESP', async () => {
    const options = { udpEncapsulation: true };
    const peer = new EspPeer(lone.connect(options), 0x2000 as never, options);
    const packet = peer.seal(inner());
    const longer = new Uint8Array(packet.length + 6);
    longer.set(packet);
    const view = new DataView(longer.buffer);
    view.setUint16(2, longer.length);
    view.setUint16(10, 0);
    view.setUint16(10, internetChecksum(longer.subarray(0, 20)));
    lone.wire.send([frame(longer)]);
    const [arrived] = await collect(lone.gateway.host, 1);
    expect(hex(ipOf(arrived!))).toBe(hex(forwarded(inner(), 1)));
  });

  it('counts an ICMP error of its own in no verdict, whatever becomes of it', async () => {
    const peer = new EspPeer(lone.connect(), 0x2000 as never, {});
    const [, inbound] = protectBothWays(A, B);
    lone.gateway.dataplane.setSpd([inbound!]);
    lone.wire.send([frame(peer.seal(inner({ ttl: 1 })))]);
    await until(() => lone.gateway.statistics.icmpErrors === 1n, 'the error');
    await until(() => lone.gateway.verdicts.ttl_exceeded === 1, 'the verdict');
    expect(lone.gateway.verdicts).toEqual({ ttl_exceeded: 1 });
  });
});
