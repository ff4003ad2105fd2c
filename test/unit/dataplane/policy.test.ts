import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SpdEntry } from '../../../src/dataplane/dataplane.js';
import { A, B, collect, Lone, protectBothWays, range, until } from './gateways.js';
import { frame, hex, ipOf, ipPacket, pattern, udp } from './packets.js';

const anyone = [range('0.0.0.0', '255.255.255.255')];
const host = (address: string) => [range(address, address)];

const entry = (
  action: SpdEntry['action'],
  direction: SpdEntry['direction'],
  remote: string,
): SpdEntry => ({
  action,
  direction,
  localSelectors: anyone,
  remoteSelectors: host(remote),
});

const toB = (destination: string, seed = 1) =>
  ipPacket({ source: '10.1.0.5', destination, payload: pattern(40, seed) });

describe('outbound policy (RFC 4301 §5.1)', () => {
  let lone: Lone;
  beforeEach(() => {
    lone = new Lone();
    lone.connect();
  });
  afterEach(() => lone.stop());

  it('the first entry that matches decides', async () => {
    lone.gateway.dataplane.setSpd([
      entry('bypass', 'outbound', '10.2.0.1'),
      entry('discard', 'outbound', '10.2.0.2'),
      ...protectBothWays(A, B),
    ]);
    const bypassed = toB('10.2.0.1');
    lone.gateway.host.send([bypassed, toB('10.2.0.2'), toB('10.2.0.3')].map((p) => frame(p)));
    const [sealed] = await collect(lone.wire, 1);
    expect(sealed?.[14 + 9]).toBe(50);
    await expect
      .poll(() => lone.gateway.verdicts)
      .toEqual({ reinjected: 1, policy_discard: 1, sent: 1 });
    expect(lone.gateway.kernel.receive().map(hex)).toEqual([hex(bypassed)]);
  });

  it('a packet that no entry matches is discarded', async () => {
    lone.gateway.host.send([frame(toB('10.3.0.1'))]);
    await until(() => lone.gateway.verdicts.policy_no_match === 1, 'the drop');
    expect(lone.wire.receive()).toEqual([]);
    expect(lone.gateway.kernel.receive()).toEqual([]);
  });

  it('a whole new SPD takes effect while an SA stays installed', async () => {
    lone.gateway.dataplane.setSpd([]);
    lone.gateway.host.send([frame(toB('10.2.0.3'))]);
    await until(() => lone.gateway.verdicts.policy_no_match === 1, 'the drop');
    lone.gateway.dataplane.setSpd(protectBothWays(A, B));
    lone.gateway.host.send([frame(toB('10.2.0.3'))]);
    expect(await collect(lone.wire, 1)).toHaveLength(1);
  });

  it('destinations that nobody forwards are refused before policy', async () => {
    const refused = ['224.0.0.1', '127.0.0.1', '169.254.1.1', '255.255.255.255', '0.0.0.0'];
    const refusedV6 = ['ff02::1', 'fe80::1', '::1', '::'];
    lone.gateway.host.send([
      ...refused.map((d) => frame(toB(d))),
      ...refusedV6.map((destination) =>
        frame(ipPacket({ source: '2001:db8:1::5', destination, payload: pattern(8) })),
      ),
    ]);
    await until(() => lone.gateway.verdicts.not_forwardable === 9, 'nine drops');
    await expect.poll(() => lone.gateway.verdicts).toEqual({ not_forwardable: 9 });
  });
});

describe('inbound policy (RFC 4301 §5.2)', () => {
  let lone: Lone;
  beforeEach(() => {
    lone = new Lone();
    lone.connect();
  });
  afterEach(() => lone.stop());

  const spoofed = ipPacket({ source: '10.2.0.7', destination: '10.1.0.5', payload: pattern(40) });
  const stranger = ipPacket({
    source: '198.51.100.9',
    destination: '10.1.0.5',
    payload: pattern(40),
  });

  it('clear text that should have come through a tunnel is dropped', async () => {
    lone.wire.send([frame(spoofed)]);
    await until(() => lone.gateway.verdicts.clear_text_inbound === 1, 'the drop');
    expect(lone.gateway.host.receive()).toEqual([]);
    expect(lone.gateway.kernel.receive()).toEqual([]);
  });

  it('so is clear text from a stranger to a protected network', async () => {
    lone.wire.send([frame(stranger)]);
    await until(() => lone.gateway.verdicts.clear_text_inbound === 1, 'the drop');
    expect(lone.gateway.kernel.receive()).toEqual([]);
  });

  it('unless the inbound SPD says BYPASS: then it is the kernel’s', async () => {
    lone.gateway.dataplane.setSpd([
      entry('bypass', 'inbound', '198.51.100.9'),
      ...protectBothWays(A, B),
    ]);
    lone.wire.send([frame(stranger), frame(spoofed)]);
    await until(() => lone.gateway.verdicts.reinjected === 1, 'the bypass');
    expect(lone.gateway.kernel.receive().map(hex)).toEqual([hex(stranger)]);
    await expect
      .poll(() => lone.gateway.verdicts)
      .toEqual({ reinjected: 1, clear_text_inbound: 1 });
  });

  it('what is for the gateway itself and no tunnel’s goes to the kernel', async () => {
    const addresses = { source: '198.51.100.9', destination: A.outer };
    const ike = ipPacket({
      ...addresses,
      protocol: 17,
      payload: udp(addresses, [500, 4500], Uint8Array.of(0, 0, 0, 0, 1, 2, 3, 4)),
    });
    const ssh = ipPacket({ ...addresses, protocol: 6, payload: pattern(20) });
    lone.wire.send([frame(ike), frame(ssh)]);
    const received = await collect(lone.gateway.kernel, 2);
    expect(received.map(hex)).toEqual([hex(ike), hex(ssh)]);
  });

  it('an SPI that is not ours is dropped, and reported a bounded number of times', async () => {
    const unknown = (spi: number) =>
      ipPacket({
        source: B.outer,
        destination: A.outer,
        protocol: 50,
        payload: Uint8Array.of(0, 0, spi >> 8, spi & 255, 0, 0, 0, 1, ...pattern(40)),
      });
    lone.wire.send(Array.from({ length: 50 }, (_, i) => frame(unknown(0x7700 + i))));
    await until(() => lone.gateway.verdicts.unknown_spi === 50, 'fifty drops');
    await until(() => lone.gateway.events.length > 0, 'an event');
    expect(lone.gateway.events.length).toBeLessThanOrEqual(12);
    expect(lone.gateway.events[0]).toEqual({ type: 'unknown-spi', spi: 0x7700, remote: B.outer });
  });

  it('NAT keepalives are consumed, ESP in fragments is put together first', async () => {
    const addresses = { source: B.outer, destination: A.outer };
    const keepalive = udp(addresses, [4500, 4500], Uint8Array.of(0xff));
    lone.wire.send([
      frame(ipPacket({ ...addresses, protocol: 17, payload: keepalive })),
      frame(ipPacket({ ...addresses, protocol: 50, moreFragments: true, payload: pattern(64, 2) })),
      frame(ipPacket({ ...addresses, protocol: 50, fragmentOffset: 64, payload: pattern(24) })),
      frame(ipPacket({ ...addresses, protocol: 50, payload: pattern(7) })),
    ]);
    await until(() => lone.gateway.statistics.workers[0]?.packets === 4n, 'four packets');
    await expect
      .poll(() => lone.gateway.verdicts)
      .toEqual({ nat_keepalive: 1, fragment_reassembled: 1, unknown_spi: 1, esp_too_short: 1 });
  });

  it('a packet whose header lies is dropped by what is wrong with it', async () => {
    const good = ipPacket({ source: B.outer, destination: A.outer, payload: pattern(40) });
    const changed = (at: number, value: number) => {
      const bad = good.slice();
      bad[at] = value;
      return frame(bad, 0x0800);
    };
    lone.wire.send([
      changed(10, good[10]! ^ 1), // checksum
      changed(0, 0x55), // version 5
      changed(0, 0x44), // header length 16
      changed(2, 0x40), // total length beyond the frame
      frame(good, 0x86dd), // Ethertype of the other family
      frame(good, 0x0806), // ARP
      frame(good).subarray(0, 13),
      frame(good).subarray(0, 14 + 19),
    ]);
    await until(() => lone.gateway.statistics.workers[0]?.packets === 8n, 'eight packets');
    const { verdicts } = lone.gateway;
    const total = Object.values(verdicts).reduce((sum, n) => sum + n, 0);
    expect(total).toBe(8);
    expect(verdicts).toMatchObject({ bad_ip_checksum: 1, bad_ethertype: 1 });
    expect(verdicts.bad_ip_version).toBeGreaterThanOrEqual(2);
    expect(verdicts.too_short).toBe(2);
    expect(lone.gateway.kernel.receive()).toEqual([]);
    expect(lone.gateway.host.receive()).toEqual([]);
  });
});

describe('Ethernet padding', () => {
  it('is cut off before the packet is sealed', async () => {
    const lone = new Lone();
    lone.connect();
    const short = ipPacket({ source: '10.1.0.5', destination: '10.2.0.7', payload: pattern(2) });
    const padded = new Uint8Array(60);
    padded.set(frame(short));
    lone.gateway.host.send([padded, frame(short)]);
    const [first, second] = await collect(lone.wire, 2);
    expect(first?.length).toBe(second?.length);
    expect(ipOf(first!).length).toBe(20 + 8 + 8 + 24 + 16);
    lone.stop();
  });
});
