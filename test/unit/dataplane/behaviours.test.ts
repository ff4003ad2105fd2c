/**
 * What a peer is entitled to expect of ESP (RFC 4303, RFC 4301), through the whole dataplane, and
 * exactly counted. The peer is written apart from it (test/fuzz/esp-peer.ts).
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/crypto/secret.js';
import type { ChildSa, ChildSaCounters, EspSpi } from '../../../src/sad/sad.js';
import { EspPeer, withTrailer } from '../../fuzz/esp-peer.js';
import { A, B, childSa, Lone, type TunnelOptions, until } from './gateways.js';
import { forwarded, frame, hex, ipOf, ipPacket, pattern } from './packets.js';

const TWO_TO_32 = 1n << 32n;
const PEER_SPI = 0x2000 as EspSpi;
const NONE: Partial<ChildSaCounters> = { inPackets: 0n, inDrops: {}, inLost: 0n, inSequence: 0n };

const inward = (seed = 1, ends = { source: '10.2.0.7', destination: '10.1.0.5' }) =>
  ipPacket({ ...ends, payload: pattern(40, seed) });

/** The gateway, and a peer behind one SA of it. */
class Ends {
  readonly lone: Lone;
  readonly spi: EspSpi;
  readonly peer: EspPeer;

  constructor(options: TunnelOptions = {}, changes: Partial<ChildSa> = {}, lone = new Lone()) {
    this.lone = lone;
    const { dataplane } = lone.gateway;
    this.spi = dataplane.allocateSpi();
    const spis = { inbound: this.spi, outbound: PEER_SPI };
    dataplane.install({ ...childSa(A, B, spis, options), ...changes });
    this.peer = new EspPeer(this.spi, PEER_SPI, options);
  }

  /** Sends outer packets in one burst. */
  receive(packets: readonly Uint8Array[]): void {
    expect(this.lone.wire.send(packets.map((packet) => frame(packet)))).toBe(packets.length);
  }

  sealed(sequence: bigint, inner = inward()): Uint8Array {
    return this.peer.sealText(withTrailer(inner, 4), sequence);
  }

  async expectVerdicts(verdicts: Record<string, number>): Promise<void> {
    await expect.poll(() => this.lone.gateway.verdicts).toEqual(verdicts);
  }

  get counters(): ChildSaCounters {
    return this.lone.gateway.dataplane.counters(this.spi)!;
  }

  /** What reached the host behind the gateway. */
  delivered(): string[] {
    return this.lone.gateway.host.receive().map((f) => hex(ipOf(f)));
  }
}

describe('a gateway', () => {
  let ends: Ends;
  const start = (options: TunnelOptions = {}, changes: Partial<ChildSa> = {}): Ends => {
    ends = new Ends(options, changes);
    return ends;
  };
  afterEach(() => ends.lone.stop());

  it('accepts one of eight copies in one batch', async () => {
    const { peer } = start();
    ends.receive(Array<Uint8Array>(8).fill(peer.seal(inward())));
    await ends.expectVerdicts({ sent: 1, replay_duplicate: 7 });
    expect(ends.counters).toMatchObject({ inPackets: 1n, inDrops: { replay_duplicate: 7n } });
    expect(ends.delivered()).toEqual([hex(forwarded(inward(), 1))]);
  });

  it('leaves the window alone where the ICV is bad', async () => {
    start({ replayWindow: 64 });
    const far = ends.sealed(1_000_000n);
    far[far.length - 1]! ^= 1;
    ends.receive([far, ends.sealed(1n), far, ends.sealed(2n)]);
    await ends.expectVerdicts({ icv_bad: 2, sent: 2 });
    expect(ends.counters).toMatchObject({
      inPackets: 2n,
      inSequence: 2n,
      inLost: 0n,
      inDrops: { icv_bad: 2n },
    });
  });

  it('drops an authentic packet with pad length 0xFF that has no such padding', async () => {
    const { peer } = start();
    const text = withTrailer(inward(), 4);
    text[text.length - 2] = 0xff;
    ends.receive([peer.sealText(text, 7n), ends.sealed(7n), ends.sealed(8n)]);
    // It was authentic, so its number is used up (RFC 4303 §3.4.3).
    await ends.expectVerdicts({ bad_padding: 1, replay_duplicate: 1, sent: 1 });
    expect(ends.counters).toMatchObject({
      inPackets: 1n,
      inSequence: 8n,
      inDrops: { bad_padding: 1n, replay_duplicate: 1n },
    });
  });

  it('counts a loss when its hole leaves the window', async () => {
    start({ replayWindow: 64 });
    const numbers = Array.from({ length: 100 }, (_, i) => BigInt(i + 1));
    ends.receive(numbers.filter((n) => n !== 10n && n !== 50n).map((n) => ends.sealed(n)));
    await ends.expectVerdicts({ sent: 98 });
    expect(ends.counters).toMatchObject({ inSequence: 100n, inLost: 1n }); // 10; 50 may yet come
    ends.receive([ends.sealed(50n), ends.sealed(10n), ends.sealed(200n)]);
    await ends.expectVerdicts({ sent: 100, replay_old: 1 });
    // 137 to 200 are the window: 101 to 136 are lost as well.
    expect(ends.counters).toMatchObject({
      inPackets: 100n,
      inSequence: 200n,
      inLost: 1n + 36n,
      inDrops: { replay_old: 1n },
    });
  });

  it('stops at the last sequence number without ESN', async () => {
    start({}, { outboundSequence: TWO_TO_32 - 3n });
    const { host } = ends.lone.gateway;
    const packets = [1, 2, 3, 4, 5].map((seed) =>
      ipPacket({ source: '10.1.0.5', destination: '10.2.0.7', payload: pattern(20, seed) }),
    );
    host.send(packets.map((packet) => frame(packet)));
    await ends.expectVerdicts({ sent: 2, sequence_exhausted: 3 });
    const numbers = ends.lone.wire
      .receive()
      .map((f) => new DataView(f.buffer, f.byteOffset).getUint32(14 + 20 + 4));
    expect(numbers).toEqual([0xffff_fffe, 0xffff_ffff]);
    expect(ends.counters).toMatchObject({ outPackets: 2n, outSequence: TWO_TO_32 });
    await until(() => ends.lone.gateway.events.length > 0, 'a warning in time');
    const warning = { type: 'sequence-near-end', inboundSpi: ends.spi };
    expect(ends.lone.gateway.events).toEqual([warning]);
  });

  it('consumes a dummy packet: next header 59 (RFC 4303 §2.6)', async () => {
    const { peer } = start();
    ends.receive([peer.sealText(withTrailer(pattern(200), 59), 1n), ends.sealed(2n)]);
    await ends.expectVerdicts({ dummy_packet: 1, sent: 1 });
    expect(ends.counters).toMatchObject({ inPackets: 1n, inSequence: 2n, inDrops: {} });
    expect(ends.delivered()).toHaveLength(1);
  });

  it('tells a NAT keepalive from a packet that is too short (RFC 3948 §2.3)', async () => {
    const { peer } = start({ udpEncapsulation: true });
    const short = [new Uint8Array(4).fill(0xee), new Uint8Array(0), Uint8Array.of(0xfe)];
    ends.receive([Uint8Array.of(0xff), ...short].map((data) => peer.wrap(data)));
    await ends.expectVerdicts({ nat_keepalive: 1, esp_too_short: 3 });
    // With an SPI of ours, but nothing behind it.
    const esp = new Uint8Array(12);
    new DataView(esp.buffer).setUint32(0, ends.spi);
    ends.receive([peer.wrap(esp)]);
    await ends.expectVerdicts({ nat_keepalive: 1, esp_too_short: 4 });
    expect(ends.counters).toMatchObject({ ...NONE, inDrops: { esp_too_short: 1n } });
  });

  it('refuses an inner packet outside of the selectors of its SA (RFC 4301 §5.2)', async () => {
    start();
    const foreign = [
      { source: '10.9.0.7', destination: '10.1.0.5' },
      { source: '10.2.0.7', destination: '10.2.0.9' },
    ].map((outside) => inward(1, outside));
    ends.receive(foreign.map((inner, i) => ends.sealed(BigInt(i + 1), inner)));
    await ends.expectVerdicts({ selector_mismatch: 2 });
    expect(ends.counters).toMatchObject({ inPackets: 0n, inDrops: { selector_mismatch: 2n } });
    expect(ends.delivered()).toEqual([]);
  });

  it('refuses NULL encryption without integrity (RFC 4303 §3.2)', () => {
    start();
    const { dataplane } = ends.lone.gateway;
    const nothing = { encryption: 11, keyBits: 0, integrity: 0 };
    const none = new Secret(new Uint8Array(1));
    const spis = { inbound: dataplane.allocateSpi(), outbound: PEER_SPI };
    const sa = { ...childSa(A, B, spis), ...nothing, inboundKey: none, outboundKey: none };
    expect(() => dataplane.install(sa)).toThrow(
      'encryption 11 with a key of 0 bits and integrity 0',
    );
    expect(dataplane.counters(spis.inbound)).toBeUndefined();
  });
});

/**
 * RFC 4303 Appendix A2.2, with a window of 64: T is the highest number authenticated before, all
 * up to it received. Then come packets with these numbers, of which each meets this verdict. A
 * packet is sealed with its whole number: inferred otherwise, its ICV does not hold.
 */
const APPENDIX_A: readonly (readonly [string, bigint, readonly (readonly [bigint, string])[]])[] = [
  [
    'case A, within the window: Seqh = Th',
    5n * TWO_TO_32 + 1000n,
    [
      [5n * TWO_TO_32 + 1100n, 'sent'],
      [5n * TWO_TO_32 + 1037n, 'sent'],
      [5n * TWO_TO_32 + 1037n, 'replay_duplicate'],
    ],
  ],
  [
    'case A, right of the window: Seqh = Th',
    5n * TWO_TO_32 + 1000n,
    [
      [5n * TWO_TO_32 + 1001n, 'sent'],
      [5n * TWO_TO_32 + 0xffff_ffffn, 'sent'],
    ],
  ],
  [
    'case A, left of the window: Seqh = Th + 1',
    5n * TWO_TO_32 + 1000n,
    [
      [5n * TWO_TO_32 + 936n, 'icv_bad'],
      [6n * TWO_TO_32 + 936n, 'sent'],
    ],
  ],
  [
    'case A from Tl = W - 1 on: the number before the border is inferred behind it',
    5n * TWO_TO_32 + 63n,
    [
      [4n * TWO_TO_32 + 0xffff_ffffn, 'icv_bad'],
      [5n * TWO_TO_32 + 0xffff_ffffn, 'sent'],
    ],
  ],
  [
    'case B, before the border: Seqh = Th - 1, and behind it: Seqh = Th',
    5n * TWO_TO_32 - 40n,
    [
      [5n * TWO_TO_32 + 10n, 'sent'],
      [5n * TWO_TO_32 - 5n, 'sent'],
      [5n * TWO_TO_32 + 3n, 'sent'],
      [5n * TWO_TO_32 - 5n, 'replay_duplicate'],
      [5n * TWO_TO_32 + 3n, 'replay_duplicate'],
    ],
  ],
  [
    'case B, right of the window: Seqh = Th',
    5n * TWO_TO_32 + 10n,
    [
      [5n * TWO_TO_32 + 11n, 'sent'],
      [6n * TWO_TO_32 - 54n, 'sent'],
    ],
  ],
  ['case B in the first subspace: nothing is before it', 0n, [[0xffff_ffffn, 'replay_old']]],
  [
    'case A in the last subspace: nothing is behind it',
    2n * (1n << 63n) - 11n,
    [
      [5n, 'replay_old'],
      [2n * (1n << 63n) - 1n, 'sent'],
      [2n * (1n << 63n) - 1n, 'replay_duplicate'],
      [0n, 'replay_old'],
    ],
  ],
];

describe('the inference of RFC 4303 Appendix A', () => {
  let lone: Lone;
  beforeEach(() => {
    lone = new Lone();
  });
  afterEach(() => lone.stop());

  it.each(APPENDIX_A)('%s', async (_, highest, arrivals) => {
    const options = { esn: true, replayWindow: 64 };
    const ends = new Ends(options, { inboundSequence: highest }, lone);
    const expected: Record<string, number> = {};
    for (const [sequence, verdict] of arrivals) {
      ends.receive([ends.sealed(sequence)]);
      expected[verdict] = (expected[verdict] ?? 0) + 1;
      await ends.expectVerdicts(expected);
    }
    const accepted = arrivals.filter(([, verdict]) => verdict === 'sent').map(([n]) => n);
    const { sent = 0, ...drops } = expected;
    expect(ends.counters).toMatchObject({
      inPackets: BigInt(sent),
      inSequence: [highest, ...accepted].sort((a, b) => (a < b ? -1 : 1)).at(-1)!,
      inDrops: Object.fromEntries(Object.entries(drops).map(([name, n]) => [name, BigInt(n)])),
    });
  });
});
