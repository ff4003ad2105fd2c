import { describe, expect, it } from 'vitest';
import type { Status } from '../../../src/api/status.js';
import { bulkResult, makeReport, type Observation } from '../../../src/lab/report.js';

function status(outPackets: number, inPackets: number, tunnels = 1): Status {
  const ikeSa = { state: 'established', childSas: [{}] };
  const port = (device: string) => ({ device, mode: 'xdp-native-copy' });
  return {
    ports: [port('lan'), port('wan')],
    connections: [{ name: 'lab', wanted: 'up', ikeSas: Array(tunnels).fill(ikeSa) }],
    esp: { outPackets, inPackets, outBytes: 0, inBytes: 0 },
    drops: { too_big: 1 },
  } as unknown as Status;
}

const good: Observation = {
  network: 'namespaces',
  plain: false,
  a: status(100, 70),
  b: status(70, 99),
  wire: { espPackets: 170, ikePackets: 4, clearTextPackets: 0, missed: 0 },
  ping: { sent: 10, received: 10 },
  bulk: { bitsPerSecond: 3, aToB: 2, bToA: 4 },
  failures: [],
};

describe('the report of the lab', () => {
  it('adds up both gateways', () => {
    expect(makeReport(good)).toMatchObject({
      ok: true,
      problems: [],
      ports: {
        'a/lan': 'xdp-native-copy',
        'a/wan': 'xdp-native-copy',
        'b/lan': 'xdp-native-copy',
        'b/wan': 'xdp-native-copy',
      },
      ikeSas: 1,
      childSas: 1,
      ping: { sent: 10, received: 10 },
      tcp: { bitsPerSecond: 3 },
      esp: { outPackets: 170, inPackets: 169 },
      drops: { too_big: 2 },
      cleartextPackets: 0,
    });
  });

  const bad: [string, Partial<Observation>, string][] = [
    ['a lost ping', { ping: { sent: 10, received: 9 } }, '1 pings were lost'],
    ['no ping at all', { ping: { sent: 0, received: 0 } }, 'no ping was sent'],
    [
      'bulk traffic in one direction only',
      { bulk: { bitsPerSecond: 1, aToB: 1, bToA: 0 } },
      'no bulk traffic in one direction',
    ],
    ['no tunnel', { a: status(100, 70, 0) }, 'no tunnel'],
    [
      'clear text on the wire',
      { wire: { ...good.wire, clearTextPackets: 2 } },
      '2 packets crossed the wire in clear',
    ],
    [
      'a tap that counts one packet more than the gateways',
      { wire: { ...good.wire, espPackets: 171 } },
      'the wire saw 171 ESP packets, the gateways sent 170',
    ],
    [
      'a tap that missed packets',
      { wire: { ...good.wire, missed: 5 } },
      'the tap missed 5 packets',
    ],
    ['a connection that broke', { failures: ['TCP: reset'] }, 'TCP: reset'],
    [
      'a control run without clear text',
      { plain: true, a: status(0, 0), b: status(0, 0), wire: { ...good.wire, espPackets: 0 } },
      'the tap saw no clear text although encryption is off',
    ],
  ];
  it.each(bad)('is not content with %s', (_, change, problem) => {
    expect(makeReport({ ...good, ...change })).toMatchObject({ ok: false, problems: [problem] });
  });

  it('weighs the rates of several measurements by their length', () => {
    const long = { bytes: 3000, seconds: 3, bitsPerSecond: 8000 };
    const short = { bytes: 5000, seconds: 1, bitsPerSecond: 40_000 };
    expect(bulkResult([long, short], [])).toEqual({
      bitsPerSecond: 16_000,
      aToB: 16_000,
      bToA: 0,
    });
  });
});
