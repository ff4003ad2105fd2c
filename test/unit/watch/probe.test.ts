import { describe, expect, it } from 'vitest';
import type { IkeSaView, IkeSpi } from '../../../src/ike/event.js';
import { type ProbedGateway, probeConnection } from '../../../src/watch/probe.js';

const sa = {
  ...{ connection: 'office', state: 'established', role: 'initiator' },
  ...{ initiatorSpi: '00', responderSpi: '11', natLocal: true, natRemote: false },
  ...{ local: { address: '10.0.0.1', port: 4500 }, remote: { address: '192.0.2.2', port: 4500 } },
  children: [],
} as unknown as IkeSaView;

/** A path of so many bytes, whose routers send ICMP or not. */
function path(mtu: number, icmp: boolean, over: Partial<ProbedGateway> = {}) {
  const asked: number[] = [];
  let known: number | undefined;
  const gateway: ProbedGateway = {
    ikeSas: async () => [sa],
    async probe(ikeSpi: IkeSpi, bytes: number) {
      expect(ikeSpi).toBe('00');
      asked.push(bytes);
      if (bytes <= mtu) return { sent: 1, milliseconds: 2, bytes };
      if (icmp) known = mtu;
      // Sent again without DF it arrives.
      return { sent: 2, milliseconds: 500 };
    },
    counters: () => undefined,
    portMtu: () => 1500,
    knownMtu: async () => known,
    ...over,
  };
  return { gateway, asked };
}

describe('a probe', () => {
  it('asks with the MTU of the port first, and is done where that arrives', async () => {
    const { gateway, asked } = path(1500, true);
    expect(await probeConnection('office', gateway)).toEqual({
      connection: 'office',
      ...{ local: '10.0.0.1:4500', remote: '192.0.2.2:4500', nat: 'local' },
      liveness: {
        ...{ requests: 5, lost: 0 },
        roundTripMilliseconds: { least: 2, median: 2, most: 2 },
      },
      pathMtu: 1500,
      tried: [{ bytes: 1500, arrived: true }],
      children: [],
    });
    expect(asked).toEqual([0, 0, 0, 0, 0, 1500]);
  });

  it('takes the number that ICMP tells, and asks for nothing longer then', async () => {
    const { gateway, asked } = path(1391, true);
    expect(await probeConnection('office', gateway)).toMatchObject({ pathMtu: 1391 });
    expect(Math.max(...asked.slice(6))).toBeLessThanOrEqual(1391);
  });

  it('halves where no ICMP comes', async () => {
    const { gateway, asked } = path(1432, false);
    const { pathMtu, tried } = await probeConnection('office', gateway);
    expect(pathMtu).toBe(1430);
    expect(tried).toContainEqual({ bytes: 1440, arrived: false });
    expect(asked.length).toBeLessThan(5 + 7);
  });

  it('does not go on where the peer is silent, and says where there is no IKE SA', async () => {
    const silent = path(1500, true, { probe: async () => undefined }).gateway;
    expect(await probeConnection('office', silent)).toMatchObject({
      liveness: { requests: 1, lost: 5, roundTripMilliseconds: null },
    });
    expect(await probeConnection('home', path(1500, true).gateway)).toEqual({ connection: 'home' });
  });
});
