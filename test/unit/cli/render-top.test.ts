import { describe, expect, it } from 'vitest';
import type { Status } from '../../../src/api/status.js';
import { renderTop, topOf } from '../../../src/cli/render-top.js';
import { busyStatus } from '../fixtures.js';

const queue = (number: number, receive: number, transmit: number) => ({
  port: 'wan0',
  queue: number,
  receive: { used: receive, size: 512 },
  transmit: { used: transmit, size: 512 },
  fill: { used: 512 - receive, size: 512 },
  completion: { used: 0, size: 512 },
});
const load = { packets: 1000, helpedBursts: 0, busyCycles: 4e5, cycles: 1e6, rings: [] };
const before: Status = { ...busyStatus, workerLoads: [load] };

/** Two seconds later. */
function later(): Status {
  const now = structuredClone(before) as { -readonly [K in keyof Status]: Status[K] };
  now.uptimeSeconds += 2;
  const rings = [queue(0, 128, 0), queue(1, 5, 51)];
  now.workerLoads = [{ packets: 5000, helpedBursts: 20, busyCycles: 2.4e6, cycles: 5e6, rings }];
  const child = now.connections[0]!.ikeSas[0]!.childSas[0] as {
    inBytes: number;
    inPackets: number;
  };
  child.inBytes += 250_000;
  child.inPackets += 200;
  now.drops = { ...now.drops, 'no-sa': 1_010 };
  return now;
}

describe('top', () => {
  it('has rates of workers, tunnels and drops', () => {
    const { workers, tunnels, drops } = topOf(before, later());
    expect(workers).toEqual([
      {
        ...{ worker: 0, packets: 2000, busy: 0.5, cyclesPerPacket: 500, helpedBursts: 10 },
        ...{ receiveRing: 128 / 512, transmitRing: 51 / 512 },
      },
    ]);
    expect(tunnels[0]).toMatchObject({
      connection: 'office',
      inBits: 1e6,
      inPackets: 100,
      outBits: 0,
    });
    expect(drops).toEqual({ 'no-sa': 5 });
  });

  it('is drawn as tables, and tells what it has no room for', () => {
    const top = topOf(before, later());
    expect(renderTop(top)).toBe(`gateway main, up 1 minute 3 seconds

worker  packets/s  busy  cycles/packet  bursts helped/s  rx ring  tx ring
0           2,000  50 %            500               10     25 %     10 %

tunnel         received  packets/s     sent  packets/s      SA age
office/net  1.00 Mbit/s        100  0 bit/s          0  59 seconds

drops a second: no-sa 5
`);
    expect(renderTop(topOf(before, before))).toContain('0        -        -\n');
    const crowded = { ...top, tunnels: Array.from({ length: 9 }, () => top.tunnels[0]!) };
    expect(renderTop(crowded, 11)).toContain('\nand 7 more that carry less\n');
  });

  it('counts a new SA from its beginning, and one that is gone not at all', () => {
    const none: Status = { ...before, connections: [] };
    expect(topOf(none, { ...before, uptimeSeconds: 63 }).tunnels[0]!.inPackets).toBe(5);
    expect(topOf(before, { ...none, uptimeSeconds: 63 }).tunnels).toEqual([]);
  });
});
