import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChildSa, EspSpi } from '../../../src/sad/sad.js';
import { A, B, childSa, collect, Lone, until } from './gateways.js';
import { frame, ipPacket, pattern } from './packets.js';

const ETHERNET_BYTES = 14;

describe('what the path of an SA takes, and what hides how much is sent', () => {
  let lone: Lone;
  beforeEach(() => {
    lone = new Lone();
  });
  afterEach(() => lone.stop());

  const install = (more: Partial<ChildSa>, standby = false) => {
    const inbound = lone.gateway.dataplane.allocateSpi();
    const sa = childSa(A, B, { inbound, outbound: 0x2000 as EspSpi });
    lone.gateway.dataplane.install({ ...sa, ...more }, standby);
    return inbound;
  };
  const send = (bytes: number) => {
    const payload = pattern(bytes - 20);
    lone.gateway.host.send([
      frame(ipPacket({ source: '10.1.0.5', destination: '10.2.0.3', payload })),
    ]);
  };

  it('tells the MTU of the path, outside and inside, once something was sent', async () => {
    const spi = install({});
    const before = lone.gateway.dataplane.counters(spi);
    expect(before).toMatchObject({ pathMtu: 0, innerMtu: 0 });
    send(60);
    await collect(lone.wire, 1);
    const after = lone.gateway.dataplane.counters(spi);
    expect(after).toMatchObject({ pathMtu: 1500, innerMtu: 1446 });
  });

  it('pads every packet to the MTU (RFC 4303 §2.7)', async () => {
    install({ tfc: { padTo: 65535 } });
    for (const bytes of [21, 60, 1000, 1446]) send(bytes);
    const frames = await collect(lone.wire, 4);
    expect(frames.map((f) => f.length - ETHERNET_BYTES)).toEqual([1500, 1500, 1500, 1500]);
  });

  it('sends dummies while there is nothing else, and none once the SA is gone (§2.6)', async () => {
    const spi = install({ tfc: { padTo: 500, dummiesPerSecond: 200 } });
    const frames = await collect(lone.wire, 5);
    expect(new Set(frames.map((f) => f.length)).size).toBe(1);
    await until(() => lone.gateway.statistics.dummiesSent >= 5n, 'the counter');
    lone.gateway.dataplane.remove(spi);
    const { dummiesSent } = lone.gateway.statistics;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(lone.gateway.statistics.dummiesSent - dummiesSent).toBeLessThanOrEqual(1n);
  });

  it('sends them only on a pair that the peer has and that is sent on', async () => {
    const { dataplane } = lone.gateway;
    const sent = async () => {
      const before = lone.gateway.statistics.dummiesSent;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return lone.gateway.statistics.dummiesSent - before;
    };
    const spi = install({ tfc: { padTo: 500, dummiesPerSecond: 200 } }, true);
    send(60); // its next hop is known now
    await collect(lone.wire, 1);
    expect(await sent()).toBe(0n);
    dataplane.prefer(spi);
    // A worker that sleeps looks within a second.
    await until(() => lone.gateway.statistics.dummiesSent > 0n, 'a dummy');
    dataplane.retire(spi);
    await sent();
    expect(await sent()).toBe(0n);
  });

  it('tells that a silent SA has come to its end by time', async () => {
    const inboundSpi = install({ lifetime: { softSeconds: 1, hardSeconds: 2 } });
    const directions = ['inbound', 'outbound'] as const;
    const expected = [false, true].flatMap((hard) =>
      directions.map((direction) => ({
        type: 'expire',
        inboundSpi,
        direction,
        cause: 'time',
        hard,
      })),
    );
    await until(() => lone.gateway.events.length >= 4, 'four events', 8000);
    expect(lone.gateway.events).toEqual(expected);
  }, 10_000);

  it('names the field that it cannot use', () => {
    expect(() => install({ tfc: { padTo: 70_000 } })).toThrow(/sa\.tfc\.padTo/);
    expect(() => install({ tfc: { dummiesPerSecond: -1 } })).toThrow(/sa\.tfc\.dummiesPerSecond/);
    expect(() => install({ tcpMss: 'raise' as 'keep' })).toThrow(/sa\.tcpMss/);
    expect(() => install({ mode: 'transport', tfc: { padTo: 100 } })).toThrow(/TFC/);
  });
});
