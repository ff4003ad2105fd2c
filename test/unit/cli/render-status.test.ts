import { describe, expect, it } from 'vitest';
import { bits, bytes, duration, renderStatus } from '../../../src/cli/render-status.js';
import { busyStatus, emptyStatus } from '../fixtures.js';

describe('the status for people', () => {
  it('shows a gateway without connections', () => {
    expect(renderStatus(emptyStatus)).toBe(`gateway: main
  esplane 0.1.0, up 1 minute 1 second, 2 workers, AES-GCM on aesni

drops: none
`);
  });

  it('shows tunnels, SAs, algorithms, age, traffic and drops', () => {
    expect(renderStatus(busyStatus)).toBe(`gateway: main
  esplane 0.1.0, up 1 minute 1 second, 2 workers, AES-GCM on aesni
  lan lan0: xdp-native-copy, 1 queue, 12,345 packets in, 1 packet out

connection: office
  state: up
  IKE SA: 1111111111111111 2222222222222222, established, initiator
    192.0.2.1:500 [a.example] <-> 192.0.2.2:500 [b.example], no NAT
    AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519, 1 hour 1 minute old
  Child SA: net, ESP tunnel, SPI 01000001 in, 02000002 out
    10.1.0.0/16 <-> 10.2.0.0/16
    AES_GCM_16_128/ESN, 59 seconds old
    transfer: 1.50 KiB received (10 packets), 100 B sent (1 packet)

connection: home
  state: down, retrying
  last error: no answer from 192.0.2.9

connection: lab
  state: waiting for traffic or the peer

drops:
  no-sa: 1,000 packets
  replay-duplicate: 3 packets
`);
  });

  it('shows rates against an earlier status', () => {
    const [office, ...others] = busyStatus.connections;
    const [ikeSa] = office!.ikeSas;
    const childSas = [{ ...ikeSa!.childSas[0]!, inBytes: 1_536 + 250_000 }];
    const later = {
      ...busyStatus,
      uptimeSeconds: busyStatus.uptimeSeconds + 2,
      drops: { ...busyStatus.drops, 'no-sa': 1_500 },
      connections: [{ ...office!, ikeSas: [{ ...ikeSa!, childSas }] }, ...others],
    };
    const text = renderStatus(later, busyStatus);
    expect(text).toContain('    rate: 1.00 Mbit/s received, 0 bit/s sent\n');
    expect(text).toContain('  no-sa: 1,500 packets, 250 a second\n');
    expect(text).toContain('  replay-duplicate: 3 packets\n');
  });

  it('says which queue a Child SA is for, where it is of one, or of all', () => {
    const [office] = busyStatus.connections;
    const [ikeSa] = office!.ikeSas;
    const [child] = ikeSa!.childSas;
    const of = (resource: number | 'all') => {
      const connections = [
        { ...office!, ikeSas: [{ ...ikeSa!, childSas: [{ ...child!, resource }] }] },
      ];
      return renderStatus({ ...busyStatus, connections });
    };
    expect(of(1)).toContain('Child SA: net, ESP tunnel, of queue 1, SPI 01000001 in');
    expect(of('all')).toContain('Child SA: net, ESP tunnel, of all queues, SPI 01000001 in');
  });

  it('scales its units', () => {
    expect([bytes(1023), bytes(1024), bytes(10 * 1024 ** 3)]).toEqual([
      '1023 B',
      '1.00 KiB',
      '10.0 GiB',
    ]);
    expect([bits(999), bits(1_500_000), bits(123.4e9)]).toEqual([
      '999 bit/s',
      '1.50 Mbit/s',
      '123 Gbit/s',
    ]);
    expect([duration(0.4), duration(60), duration(90_061)]).toEqual([
      '0 seconds',
      '1 minute',
      '1 day 1 hour',
    ]);
  });
});
