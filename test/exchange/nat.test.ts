/** NAT traversal (RFC 7296 §2.23, RFC 3948): detection, port 4500, moving peers, keepalives. */
import { describe, expect, it } from 'vitest';
import { ADDRESS_A, Dialogue } from './harness/dialogue.js';
import type { ConnectionOptions, Datagram } from './harness/peer.js';

const OUTSIDE = '198.51.100.1';

/** A dialogue in which a is behind a NAT: b sees another address and other ports. */
class Translated extends Dialogue {
  portOffset = 10_000;

  constructor(b: ConnectionOptions = {}, a: ConnectionOptions = {}) {
    super({ a, b: { remoteAddress: '%any', livenessSeconds: 0, ...b } });
  }

  override give(datagram: Datagram): void {
    const { local, remote } = datagram;
    if (local.address === ADDRESS_A) {
      super.give(datagram, { address: OUTSIDE, port: local.port + this.portOffset });
      return;
    }
    expect(remote.address).toBe(OUTSIDE);
    const back = { address: ADDRESS_A, port: remote.port - this.portOffset };
    super.give({ ...datagram, remote: back });
  }
}

describe('an initiator behind a NAT', () => {
  it('is seen as such by both, and both move to port 4500 with the marker', () => {
    const both = new Translated();
    both.initiate();
    expect(both.a.outbox[0]).toMatchObject({ local: { port: 500 }, marker: false });
    both.deliver(both.a);
    both.deliver(both.b);
    expect(both.a.outbox[0]).toMatchObject({
      local: { port: 4500 },
      remote: { port: 4500 },
      marker: true,
    });
    both.deliver(both.a);
    expect(both.b.outbox[0]).toMatchObject({
      local: { port: 4500 },
      remote: { address: OUTSIDE, port: 14_500 },
      marker: true,
    });
    both.settle();
    both.expectTunnel();
    expect(both.a.ike.ikeSas()[0]).toMatchObject({ natLocal: true, natRemote: false });
    expect(both.b.ike.ikeSas()[0]).toMatchObject({ natLocal: false, natRemote: true });
    const [child] = both.b.installed.values();
    expect(child).toMatchObject({
      udpEncapsulation: true,
      local: { port: 4500 },
      remote: { address: OUTSIDE, port: 14_500 },
    });
  });

  it('keeps its mapping alive by single octets, the other side does not', () => {
    const both = new Translated();
    both.establish();
    both.wait(41_000);
    expect(both.a.outbox.map(({ data, marker }) => [...data, marker])).toEqual([
      [0xff, false],
      [0xff, false],
    ]);
    expect(both.b.outbox).toEqual([]);
  });

  it('is followed to a new mapping by an authentic message only', () => {
    const both = new Translated();
    both.establish();
    both.portOffset = 20_000;
    both.a.handle({ type: 'terminate', connection: 'site' });
    const request = both.take(both.a);
    const forged = request.data.slice();
    forged[forged.length - 1]! ^= 1;
    both.give({ ...request, data: forged });
    expect(both.b.ike.ikeSas()[0]!.remote.port).toBe(14_500);
    both.give(request);
    expect(both.b.outbox[0]!.remote).toEqual({ address: OUTSIDE, port: 24_500 });
    expect(both.b.log.some((line) => line.includes('the peer is at'))).toBe(true);
  });

  it('is followed with its Child SAs, whether IKE or ESP comes from the new place', () => {
    for (const moved of ['ike', 'esp'] as const) {
      const both = new Translated();
      both.establish();
      const [child] = both.b.installed.values();
      const remote = { address: OUTSIDE, port: 24_500 };
      both.portOffset = 20_000;
      if (moved === 'ike') {
        both.rekey(both.a, 'child');
        both.give(both.take(both.a));
      } else {
        const { inboundSpi } = child!;
        both.b.handle({ type: 'nat-mapping-changed', inboundSpi, remote });
      }
      expect(both.b.installed.get(child!.inboundSpi)).toMatchObject({
        local: { port: 4500 },
        remote,
      });
      expect(both.b.ike.ikeSas()[0]!.remote).toEqual(remote);
    }
  });

  it.each([
    ['', {}],
    [' and follows no IKE message alone (RFC 4555 §3.8)', { mobike: true }],
  ])(
    'is found behind a new mapping by a peer that has rekeyed the IKE SA meanwhile%s',
    (_, more) => {
      const both = new Translated(more, more);
      both.establish();
      both.rekey(both.b, 'ike');
      both.give(both.take(both.b));
      both.a.outbox.length = 0; // the response is lost
      both.portOffset = 20_000;
      const isFound = ({ local, remote }: Datagram) =>
        local.address === ADDRESS_A || remote.port === 4500 + both.portOffset;
      for (let seconds = 0; seconds < 40; seconds++) {
        both.wait(1_000);
        for (const { outbox } of [both.a, both.b, both.a]) {
          for (const datagram of outbox.splice(0)) if (isFound(datagram)) both.give(datagram);
        }
      }
      both.expectTunnel();
    },
  );

  describe('that has a new mapping, with several requests on their way', () => {
    const net = (from: number, to: number) => {
      const pair = (n: number) => [[`10.${from}.${n}.0/24`], [`10.${to}.${n}.0/24`]] as const;
      return { windowSize: 4, children: { one: pair(1), two: pair(2) } };
    };

    function established(): Translated {
      const both = new Translated(net(2, 1), net(1, 2));
      both.initiate();
      both.settle();
      both.expectChildren(2);
      return both;
    }

    /** A datagram of a, as it comes by one of the mappings. */
    function give(both: Translated, datagram: Datagram, portOffset: number): void {
      both.portOffset = portOffset;
      both.give(datagram);
    }

    const seen = ({ b }: Translated) => b.ike.ikeSas()[0]!.remote.port;

    it('is not followed back by an older request that is late', () => {
      const both = established();
      both.rekey(both.a, 'child');
      const [older, newer] = both.a.outbox.splice(0);
      give(both, newer!, 20_000);
      expect(seen(both)).toBe(24_500);
      give(both, older!, 10_000);
      expect(seen(both)).toBe(24_500);
      // It is answered to where it came from, all the same.
      expect(both.b.outbox.map(({ remote }) => remote.port)).toEqual([24_500, 14_500]);
    });

    it('is not followed back by a late response to what went to the mapping of before', () => {
      const both = established();
      both.rekey(both.b, 'child');
      both.give(both.take(both.b));
      const response = both.take(both.a);
      both.rekey(both.a, 'child');
      give(both, both.take(both.a), 20_000);
      expect(seen(both)).toBe(24_500);
      give(both, response, 10_000);
      expect(seen(both)).toBe(24_500);
    });

    it('is followed to another one by an older request, and back by a newer one', () => {
      const both = established();
      both.rekey(both.a, 'child');
      const [older, newer] = both.a.outbox.splice(0);
      give(both, newer!, 20_000);
      give(both, older!, 30_000);
      expect(seen(both)).toBe(34_500);
      for (const answer of both.b.outbox.splice(0)) give(both, answer, 30_000);
      give(both, both.take(both.a), 20_000);
      expect(seen(both)).toBe(24_500);
    });
  });

  it('follows nobody itself, and an SA without a replay check makes nobody follow', () => {
    const both = new Translated();
    both.establish();
    const [child] = both.a.installed.values();
    const elsewhere = { address: '203.0.113.9', port: 4500 };
    const { inboundSpi, remote } = child!;
    both.a.handle({ type: 'nat-mapping-changed', inboundSpi, remote: elsewhere });
    expect(both.a.installed.get(inboundSpi)!.remote).toEqual(remote);

    const unchecked = new Translated({ replayWindow: 0 });
    unchecked.establish();
    const [other] = unchecked.b.installed.values();
    unchecked.b.handle({ ...other!, type: 'nat-mapping-changed', remote: elsewhere });
    expect(unchecked.b.installed.get(other!.inboundSpi)!.remote).toEqual(other!.remote);
  });
});

describe('a mover behind a NAT (RFC 4555 §3.8)', () => {
  function mobile(): Translated {
    const both = new Translated({ mobike: true }, { mobike: true, livenessSeconds: 30 });
    both.establish();
    return both;
  }

  function portSeen(both: Translated): number {
    return both.b.ike.ikeSas()[0]!.remote.port;
  }

  it('is not followed by its IKE messages alone, which may be to try a path', () => {
    const both = mobile();
    both.portOffset = 20_000;
    both.rekey(both.a, 'child');
    both.give(both.take(both.a));
    // The answer goes to where the request came from; all else goes on as before.
    expect(both.b.outbox.splice(0)[0]!.remote.port).toBe(24_500);
    expect(portSeen(both)).toBe(14_500);
    for (const { remote } of both.b.installed.values()) expect(remote.port).toBe(14_500);
  });

  it('asks where it is seen, though it hears of its peer, and tells of a new mapping', () => {
    const both = mobile();
    both.wait(31_000);
    both.settle();
    both.portOffset = 20_000;
    for (let second = 0; second < 35; second++) {
      // Its own requests are answered, however its peer would have to reach it.
      if (second === 20) both.rekey(both.a, 'child');
      both.settle();
      both.wait(1_000);
    }
    both.settle();
    expect(portSeen(both)).toBe(24_500);
    for (const { remote } of both.b.installed.values()) expect(remote.port).toBe(24_500);
    both.expectTunnel();
  });

  it('says no more than that as long as it is seen at one place', () => {
    const both = mobile();
    const said = new Set<string>();
    for (let second = 0; second < 200; second++) {
      for (const message of both.settle()) said.add(message);
      both.wait(1_000);
    }
    const requests = (side: string) =>
      [...said].filter((message) => message.startsWith(`${side} INFORMATIONAL request`));
    // It tells once, since it was never told of; beside that it asks every thirty seconds at most.
    expect(requests('b')).toHaveLength(1);
    expect(requests('a').length).toBeLessThan(9);
    expect(both.b.log.join('\n')).not.toContain('the peer moves');
  });
});

describe('without a NAT', () => {
  it('a peer is not followed, so that a replay cannot move it', () => {
    const both = new Dialogue({ a: { livenessSeconds: 10 } });
    both.establish();
    both.wait(10_000);
    both.give(both.take(both.a), { address: '203.0.113.9', port: 500 });
    // The answer goes to where the request came from; the IKE SA stays where it is.
    expect(both.b.outbox[0]!.remote.address).toBe('203.0.113.9');
    expect(both.b.ike.ikeSas()[0]!.remote.address).toBe(ADDRESS_A);
  });

  it('one can be pretended from either side, so that ESP travels in UDP', () => {
    for (const side of ['a', 'b'] as const) {
      const both = new Dialogue({ [side]: { forceUdpEncapsulation: true } });
      both.establish();
      expect([...both.a.installed.values()][0]).toMatchObject({
        udpEncapsulation: true,
        local: { port: 4500 },
        remote: { port: 4500 },
      });
    }
  });
});
