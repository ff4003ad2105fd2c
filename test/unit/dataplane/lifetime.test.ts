import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EspSpi, SaLifetime } from '../../../src/sad/sad.js';
import { A, B, childSa, collect, Lone, until } from './gateways.js';
import { frame, ipPacket, pattern } from './packets.js';

describe('lifetimes of SAs (RFC 4301 §4.4.2.1)', () => {
  let lone: Lone;
  beforeEach(() => {
    lone = new Lone();
  });
  afterEach(() => lone.stop());

  const install = (lifetime: SaLifetime) => {
    const inbound = lone.gateway.dataplane.allocateSpi();
    const sa = childSa(A, B, { inbound, outbound: 0x2000 as EspSpi });
    lone.gateway.dataplane.install({ ...sa, lifetime });
    return inbound;
  };
  const send = (count: number) => {
    const packet = ipPacket({ source: '10.1.0.5', destination: '10.2.0.3', payload: pattern(40) });
    lone.gateway.host.send(Array.from({ length: count }, () => frame(packet)));
  };

  it('tells of the soft and of the hard limit once each and lets exactly ten packets through', async () => {
    const inboundSpi = install({ softPackets: 4, hardPackets: 10n });
    send(12);
    expect(await collect(lone.wire, 10)).toHaveLength(10);
    await until(() => lone.gateway.verdicts.lifetime_expired === 2, 'two drops');
    send(3);
    await until(() => lone.gateway.verdicts.lifetime_expired === 5, 'three more');
    const expire = { type: 'expire', inboundSpi, direction: 'outbound', cause: 'packets' };
    await until(() => lone.gateway.events.length >= 2, 'two events');
    expect(lone.gateway.events).toEqual([
      { ...expire, hard: false },
      { ...expire, hard: true },
    ]);
    expect(lone.wire.receive()).toEqual([]);
    expect(lone.gateway.dataplane.counters(inboundSpi)?.outPackets).toBe(10n);
  });

  it('names the field of a limit that is none', () => {
    expect(() => install({ hardBytes: -1 })).toThrow(/sa\.lifetime\.hardBytes/);
    expect(() => install({ softSeconds: 1.5 })).toThrow(/sa\.lifetime\.softSeconds/);
  });
});
