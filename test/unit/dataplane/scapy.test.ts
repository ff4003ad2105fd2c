import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { A, B, collect, keyBytes, Lone, type TunnelOptions } from './gateways.js';
import { forwarded, frame, hex, ipOf, ipPacket, pattern, udp } from './packets.js';

const PYTHON = '/usr/bin/python3';
const scapy = spawnSync(PYTHON, ['-c', 'import scapy.layers.ipsec, cryptography']);
const isThere = scapy.status === 0;
if (!isThere) {
  if (process.env.CI) throw new Error('python3-scapy and python3-cryptography are missing');
  console.warn('SKIPPED: ESP against scapy (install python3-scapy and python3-cryptography)');
}

interface Request {
  readonly sa: {
    readonly spi: number;
    readonly key: string;
    readonly esn: boolean;
    readonly udp: boolean;
    readonly source: string;
    readonly destination: string;
  };
  readonly open?: readonly string[];
  readonly seal?: readonly { readonly inner: string; readonly sequence: number }[];
}

function ask(request: Request): { readonly opened: string[]; readonly sealed: string[] } {
  const script = join(import.meta.dirname, 'scapy_peer.py');
  const run = spawnSync(PYTHON, [script], { input: JSON.stringify(request), encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(run.stdout);
}

const V4 = { source: '10.1.0.5', destination: '10.2.0.7' };
const V6 = { source: '2001:db8:1::5', destination: '2001:db8:2::7' };
const turned = (a: typeof V4) => ({ source: a.destination, destination: a.source });

/** Inner packets of every padding length and family. */
const inner = (turn: boolean) =>
  [0, 1, 2, 3, 700, 1300].flatMap((size, i) =>
    [V4, V6].map((addresses) => {
      const way = turn ? turned(addresses) : addresses;
      const payload = udp(way, [1000, 2000], pattern(size, i));
      return ipPacket({ ...way, protocol: 17, dontFragment: true, payload });
    }),
  );

const CASES: Record<string, TunnelOptions> = {
  'AES-128-GCM': {},
  'AES-256-GCM over IPv6': { keyBits: 256, outerV6: true },
  ESN: { esn: true },
  'UDP encapsulation': { udpEncapsulation: true },
  'UDP encapsulation over IPv6 with ESN': { udpEncapsulation: true, outerV6: true, esn: true },
};

describe.skipIf(!isThere)('scapy as the peer', () => {
  let lone: Lone;
  afterEach(() => lone.stop());

  const sa = (direction: 1 | 2, spi: number, options: TunnelOptions): Request['sa'] => {
    const address = (site: typeof A) => (options.outerV6 ? site.outerV6 : site.outer);
    return {
      spi,
      key: hex(keyBytes(direction, options.keyBits ?? 128)),
      esn: options.esn ?? false,
      udp: options.udpEncapsulation ?? false,
      source: address(direction === 1 ? B : A),
      destination: address(direction === 1 ? A : B),
    };
  };

  for (const [name, options] of Object.entries(CASES)) {
    it(`decrypts what we send: ${name}`, async () => {
      lone = new Lone();
      lone.connect(options);
      const packets = inner(false);
      lone.gateway.host.send(packets.map((p) => frame(p)));
      const outer = (await collect(lone.wire, packets.length)).map((f) => hex(ipOf(f)));
      const { opened } = ask({ sa: sa(2, 0x2000, options), open: outer });
      expect(opened).toEqual(packets.map((p) => hex(forwarded(p, 1))));
    });

    it(`sends what we decrypt: ${name}`, async () => {
      lone = new Lone();
      const spi = lone.connect(options);
      const packets = inner(true);
      // Out of order within the window, and with gaps.
      const seal = packets.map((p, i) => ({ inner: hex(p), sequence: 3 + ((i * 7) % 60) }));
      const { sealed } = ask({ sa: sa(1, spi, options), seal });
      const frames = sealed.map((p) => frame(Uint8Array.from(Buffer.from(p, 'hex'))));
      lone.wire.send(frames);
      const arrived = await collect(lone.gateway.host, packets.length);
      expect(arrived.map((f) => hex(ipOf(f)))).toEqual(packets.map((p) => hex(forwarded(p, 1))));

      lone.wire.send([...frames, ...frames]);
      await expect
        .poll(() => lone.gateway.verdicts)
        .toEqual({ sent: packets.length, replay_duplicate: 2 * packets.length });
    });
  }

  it('with one bit wrong anywhere behind the SPI is refused, and the window does not move', async () => {
    lone = new Lone();
    const spi = lone.connect();
    const [packet] = inner(true);
    const { sealed } = ask({
      sa: sa(1, spi, {}),
      seal: [{ inner: hex(packet!), sequence: 50 }],
    });
    const good = Uint8Array.from(Buffer.from(sealed[0]!, 'hex'));
    const bad = Array.from({ length: good.length - 24 }, (_, i) => {
      const copy = good.slice();
      copy[24 + i]! ^= 1 << (i % 8);
      return frame(copy);
    });
    lone.wire.send([...bad, frame(good)]);
    await expect.poll(() => lone.gateway.verdicts).toEqual({ icv_bad: bad.length, sent: 1 });
    expect(lone.gateway.dataplane.counters(spi)).toMatchObject({
      inPackets: 1n,
      inSequence: 50n,
      inDrops: { icv_bad: BigInt(bad.length) },
    });
  });

  it('in UDP where we send without, and the other way round, is accepted (RFC 7296 §2.23)', async () => {
    const packets = inner(true).slice(0, 2);
    for (const udpEncapsulation of [false, true]) {
      lone?.stop();
      lone = new Lone();
      const spi = lone.connect({ udpEncapsulation });
      const seal = packets.map((p, i) => ({ inner: hex(p), sequence: i + 1 }));
      const { sealed } = ask({ sa: sa(1, spi, { udpEncapsulation: !udpEncapsulation }), seal });
      lone.wire.send(sealed.map((p) => frame(Uint8Array.from(Buffer.from(p, 'hex')))));
      const arrived = await collect(lone.gateway.host, packets.length);
      expect(arrived.map((f) => hex(ipOf(f)))).toEqual(packets.map((p) => hex(forwarded(p, 1))));
      expect(lone.gateway.events).toEqual([]);
    }
  });

  it('from another address behind a NAT is accepted, and the new mapping reported once', async () => {
    lone = new Lone();
    const options = { udpEncapsulation: true };
    const spi = lone.connect(options);
    const request = sa(1, spi, options);
    const packets = inner(true).slice(0, 3);
    const seal = packets.map((p, i) => ({ inner: hex(p), sequence: i + 1 }));
    const { sealed } = ask({ sa: { ...request, source: '192.0.2.77' }, seal });
    lone.wire.send(sealed.map((p) => frame(Uint8Array.from(Buffer.from(p, 'hex')))));
    expect(await collect(lone.gateway.host, 3)).toHaveLength(3);
    await expect
      .poll(() => lone.gateway.events)
      .toEqual([
        { type: 'nat-mapping-changed', inboundSpi: spi, address: '192.0.2.77', port: 4500 },
      ]);
  });

  it('moved, gets packets between the new ends, which it opens', async () => {
    lone = new Lone();
    const options = { udpEncapsulation: true };
    const spi = lone.connect(options);
    const [local, remote] = [
      { address: '192.0.2.78', port: 4500 },
      { address: '192.0.2.77', port: 1077 },
    ];
    expect(lone.gateway.dataplane.move(spi, local, remote)).toBe(true);
    const packet = inner(false)[0]!;
    lone.gateway.host.send([frame(packet)]);
    const [outer] = (await collect(lone.wire, 1)).map((f) => hex(ipOf(f)));
    // Source, destination, and both ports (RFC 791 §3.1, RFC 768).
    expect(outer!.slice(24, 48)).toBe('c000024ec000024d11940435');
    const ends = { source: local.address, destination: remote.address };
    const { opened } = ask({ sa: { ...sa(2, 0x2000, options), ...ends }, open: [outer!] });
    expect(opened).toEqual([hex(forwarded(packet, 1))]);
  });

  it('with an inner packet outside the selectors is refused by name', async () => {
    lone = new Lone();
    const spi = lone.connect();
    const outside = ipPacket({ source: '10.9.0.7', destination: '10.1.0.5', payload: pattern(20) });
    const { sealed } = ask({ sa: sa(1, spi, {}), seal: [{ inner: hex(outside), sequence: 1 }] });
    lone.wire.send([frame(Uint8Array.from(Buffer.from(sealed[0]!, 'hex')))]);
    await expect.poll(() => lone.gateway.verdicts).toEqual({ selector_mismatch: 1 });
    expect(lone.gateway.host.receive()).toEqual([]);
  });
});
